/** What our server says beside the standard RTVI messages (`server-message`), checked. */

export type TurnState = "listening" | "thinking" | "speaking" | "interrupted";

export interface Segment {
  name: string;
  ms: number;
}

export interface Latency {
  turn: number;
  /** Names the turn among the traces; "" where none are kept. */
  id: string;
  v2v_ms: number;
  segments: Segment[];
}

export type ServerMessage =
  | { type: "session"; conversation: string; agent: string; pipeline: string }
  | { type: "state"; state: TurnState }
  | { type: "user-turn"; turn: number; text: string }
  | { type: "agent-turn"; turn: number; text: string; interrupted: boolean }
  | ({ type: "latency" } & Latency)
  | { type: "goodbye"; reason: string; text: string };

const STATES: readonly string[] = ["listening", "thinking", "speaking", "interrupted"];

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;

function segments(value: unknown): Segment[] {
  if (!Array.isArray(value)) return [];
  return value
    .map((s: unknown) =>
      typeof s === "object" && s !== null ? (s as Record<string, unknown>) : {},
    )
    .map((s) => ({ name: text(s.name), ms: number(s.ms) }))
    .filter((s) => s.name !== "" && s.ms > 0);
}

/** The message in `data`, or null for one this page does not know. */
export function parse(data: unknown): ServerMessage | null {
  if (typeof data !== "object" || data === null) return null;
  const m = data as Record<string, unknown>;
  switch (m.type) {
    case "session":
      return {
        type: "session",
        conversation: text(m.conversation),
        agent: text(m.agent),
        pipeline: text(m.pipeline),
      };
    case "state":
      return STATES.includes(text(m.state)) ? { type: "state", state: m.state as TurnState } : null;
    case "user-turn":
      return { type: "user-turn", turn: number(m.turn), text: text(m.text) };
    case "agent-turn":
      return {
        type: "agent-turn",
        turn: number(m.turn),
        text: text(m.text),
        interrupted: m.interrupted === true,
      };
    case "latency":
      return {
        type: "latency",
        turn: number(m.turn),
        id: text(m.id),
        v2v_ms: number(m.v2v_ms),
        segments: segments(m.segments),
      };
    case "goodbye":
      return { type: "goodbye", reason: text(m.reason), text: text(m.text) };
    default:
      return null;
  }
}
