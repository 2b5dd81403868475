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
  /** The server's number of the turn, once it has named one. */
  readonly turn: number | null;
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
  | { kind: "user-turn"; turn: number; text: string }
  | { kind: "typed"; text: string }
  | { kind: "agent-words"; text: string }
  | { kind: "agent-turn"; turn: number; text: string; interrupted: boolean }
  | { kind: "note"; text: string }
  | { kind: "ended" };

export const EMPTY: Transcript = {
  lines: [],
  nextId: 1,
  openUser: null,
  openAgent: null,
  typed: [],
};

function added(t: Transcript, line: Pick<Line, "role" | "text"> & Partial<Line>): Transcript {
  const whole = { final: true, interrupted: false, turn: null, ...line, id: t.nextId };
  return { ...t, lines: [...t.lines, whole], nextId: t.nextId + 1 };
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

/**
 * Does `text` go on with what `line` began? An endpoint that came too early is taken back by the
 * server without a word, and the turn's words then start from the beginning again.
 */
function continues(line: Line | undefined, text: string): boolean {
  if (line?.role !== "user" || !line.final) return false;
  const [first, second] = words(line.text).split(" ");
  const [a, b] = words(text).split(" ");
  return first === a && (second === undefined || second === b);
}

function userWords(t: Transcript, text: string, final: boolean): Transcript {
  if (t.openUser !== null) {
    return text === ""
      ? { ...removed(t, t.openUser), openUser: null }
      : changed(t, t.openUser, { text, final });
  }
  const echoed = t.typed.some((id) => words(find(t, id)?.text ?? "") === words(text));
  if (text === "" || echoed) return t;
  const last = t.lines.at(-1);
  if (last && continues(last, text)) {
    return { ...changed(t, last.id, { text, final, turn: null }), openUser: last.id };
  }
  return { ...added(t, { role: "user", text, final }), openUser: t.nextId };
}

function userTurn(t: Transcript, turn: number, text: string): Transcript {
  const told = t.lines.find((line) => line.role === "user" && line.turn === turn);
  if (told) return changed(t, told.id, { text }); // the final transcript came late
  const echoed = t.typed.find((id) => words(find(t, id)?.text ?? "") === words(text));
  if (echoed !== undefined) {
    return { ...changed(t, echoed, { turn }), typed: t.typed.filter((id) => id !== echoed) };
  }
  if (t.openUser !== null) {
    const closed =
      text === "" ? removed(t, t.openUser) : changed(t, t.openUser, { text, turn, final: true });
    return { ...closed, openUser: null };
  }
  return text === "" ? t : added(t, { role: "user", text, turn });
}

function agentWords(t: Transcript, text: string): Transcript {
  if (text.trim() === "") return t;
  if (t.openAgent !== null) {
    return changed(t, t.openAgent, { text: join(find(t, t.openAgent)?.text ?? "", text) });
  }
  const open = t.openUser === null ? undefined : find(t, t.openUser);
  // The answer was stopped, nobody had said anything after all, and it goes on where it stopped.
  const noise = open && !open.final ? removed(t, open.id) : t;
  const last = noise.lines.at(-1);
  if (last?.role === "agent" && last.interrupted) {
    const resumed = { text: join(last.text, text), final: false, interrupted: false };
    return { ...changed(noise, last.id, resumed), openAgent: last.id, openUser: null };
  }
  // An answer to a final line settles it, even if its server announces no turns.
  const openUser = open?.final ? null : t.openUser;
  const line = { role: "agent" as const, text: text.trimStart(), final: false };
  return { ...added(t, line), openAgent: t.nextId, openUser };
}

function agentTurn(t: Transcript, turn: number, text: string, interrupted: boolean): Transcript {
  if (t.openAgent !== null) {
    const closed =
      text === ""
        ? removed(t, t.openAgent)
        : changed(t, t.openAgent, { text, turn, final: true, interrupted });
    return { ...closed, openAgent: null };
  }
  return text === "" ? t : added(t, { role: "agent", text, turn, interrupted });
}

export function step(t: Transcript, event: SpokenEvent): Transcript {
  switch (event.kind) {
    case "user-words":
      return userWords(t, event.text.trim(), event.final);
    case "user-turn":
      return userTurn(t, event.turn, event.text.trim());
    case "typed":
      return {
        ...added(t, { role: "user", text: event.text.trim() }),
        typed: [...t.typed, t.nextId],
      };
    case "agent-words":
      return agentWords(t, event.text);
    case "agent-turn":
      return agentTurn(t, event.turn, event.text.trim(), event.interrupted);
    case "note":
      return added(t, { role: "note", text: event.text });
    case "ended":
      return {
        ...t,
        // The next connection may count its turns from one again.
        lines: t.lines.map((line) => ({ ...line, final: true, turn: null })),
        openUser: null,
        openAgent: null,
      };
  }
}
