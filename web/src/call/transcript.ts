/**
 * What was said, as lines on the page. Pure: `step(transcript, event)` returns the next one.
 *
 * A user's line stays open, its words replaced with every partial, until the server decides the
 * turn. An agent's line grows by the words being played and, when the answer ends, is corrected to
 * what was heard. Both can be open at once: somebody talks while the agent does.
 */

export type Role = "user" | "agent" | "note";

export interface Line {
  readonly id: number;
  readonly role: Role;
  readonly text: string;
  readonly final: boolean;
  readonly interrupted: boolean;
}

export interface Transcript {
  readonly lines: readonly Line[];
  readonly nextId: number;
  readonly openUser: number | null;
  readonly openAgent: number | null;
  /** Typed lines the server has not yet echoed as a turn. */
  readonly typed: readonly number[];
}

export type SpokenEvent =
  | { kind: "user-words"; text: string; final: boolean }
  | { kind: "user-turn"; text: string }
  | { kind: "typed"; text: string }
  | { kind: "agent-words"; text: string }
  | { kind: "agent-turn"; text: string; interrupted: boolean }
  | { kind: "note"; text: string }
  | { kind: "ended" };

export const EMPTY: Transcript = {
  lines: [],
  nextId: 1,
  openUser: null,
  openAgent: null,
  typed: [],
};

function added(t: Transcript, role: Role, text: string, final: boolean, interrupted = false) {
  const line: Line = { id: t.nextId, role, text, final, interrupted };
  return { ...t, lines: [...t.lines, line], nextId: t.nextId + 1 };
}

function changed(t: Transcript, id: number, change: Partial<Line>): Transcript {
  return { ...t, lines: t.lines.map((line) => (line.id === id ? { ...line, ...change } : line)) };
}

function removed(t: Transcript, id: number): Transcript {
  return { ...t, lines: t.lines.filter((line) => line.id !== id) };
}

function find(t: Transcript, id: number): Line | undefined {
  return t.lines.find((line) => line.id === id);
}

const words = (text: string): string => text.toLowerCase().replace(/\s+/g, " ").trim();

/** Join words as they come: engines send them with or without their space. */
export function join(said: string, next: string): string {
  if (said === "" || /^\s/.test(next) || /\s$/.test(said)) return said + next;
  return /^[,.;:!?…%)\]}’']/.test(next) ? said + next : `${said} ${next}`;
}

function userWords(t: Transcript, text: string, final: boolean): Transcript {
  if (t.openUser !== null) {
    return text === ""
      ? { ...removed(t, t.openUser), openUser: null }
      : changed(t, t.openUser, { text, final });
  }
  const echoed = t.typed.some((id) => words(find(t, id)?.text ?? "") === words(text));
  if (text === "" || echoed) return t;
  return { ...added(t, "user", text, final), openUser: t.nextId };
}

function userTurn(t: Transcript, text: string): Transcript {
  const echoed = t.typed.find((id) => words(find(t, id)?.text ?? "") === words(text));
  if (echoed !== undefined) return { ...t, typed: t.typed.filter((id) => id !== echoed) };
  if (t.openUser !== null) {
    const closed =
      text === "" ? removed(t, t.openUser) : changed(t, t.openUser, { text, final: true });
    return { ...closed, openUser: null };
  }
  return text === "" ? t : added(t, "user", text, true);
}

function agentTurn(t: Transcript, text: string, interrupted: boolean): Transcript {
  if (t.openAgent !== null) {
    const closed =
      text === ""
        ? removed(t, t.openAgent)
        : changed(t, t.openAgent, { text, final: true, interrupted });
    return { ...closed, openAgent: null };
  }
  return text === "" ? t : added(t, "agent", text, true, interrupted);
}

export function step(t: Transcript, event: SpokenEvent): Transcript {
  switch (event.kind) {
    case "user-words":
      return userWords(t, event.text.trim(), event.final);
    case "user-turn":
      return userTurn(t, event.text.trim());
    case "typed":
      return { ...added(t, "user", event.text.trim(), true), typed: [...t.typed, t.nextId] };
    case "agent-words": {
      if (event.text.trim() === "") return t;
      if (t.openAgent === null) {
        // An answer to a final line settles it, even if its server announces no turns.
        const settled = t.openUser !== null && find(t, t.openUser)?.final;
        const openUser = settled ? null : t.openUser;
        return {
          ...added(t, "agent", event.text.trimStart(), false),
          openAgent: t.nextId,
          openUser,
        };
      }
      const said = find(t, t.openAgent)?.text ?? "";
      return changed(t, t.openAgent, { text: join(said, event.text) });
    }
    case "agent-turn":
      return agentTurn(t, event.text.trim(), event.interrupted);
    case "note":
      return added(t, "note", event.text, true);
    case "ended":
      return {
        ...t,
        lines: t.lines.map((line) => (line.final ? line : { ...line, final: true })),
        openUser: null,
        openAgent: null,
      };
  }
}
