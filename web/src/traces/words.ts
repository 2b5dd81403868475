/** Every sentence the dashboard says, as pure functions of what it shows. */
import { stageLabel, TOTAL } from "../stages";
import type { Notice } from "../words";
import * as format from "./format";
import type { Attributes, ComparedStage, Kind, Segment, Span, Turn, TurnSummary } from "./model";

export const KINDS: Record<Kind, string> = {
  open: "in progress",
  answered: "answered",
  interrupted: "interrupted",
  failed: "failed",
  greeting: "greeting",
  typed: "typed",
};

/** Why a turn of this kind is not in the percentiles; "" for one that is. */
export const LEFT_OUT: Record<Kind, string> = {
  open: "It is not over yet.",
  answered: "",
  interrupted: "The caller cut the answer off, so percentiles leave this turn out.",
  failed: "No answer came, so percentiles leave this turn out.",
  greeting: "Nobody had asked, so percentiles leave this turn out.",
  typed: "It was typed, so percentiles leave this turn out.",
};

/** What a verdict is read from; of a mere count there is only the verdict. */
export type Judged = Pick<TurnSummary, "verdict" | "guilty"> &
  Partial<Pick<TurnSummary, "segments" | "budgets">>;

/** How the budget was kept, in a few words. */
export function verdictLabel(turn: Judged): string {
  if (turn.verdict === null) return "no verdict";
  if (turn.verdict === "ok") return "in budget";
  if (!turn.guilty) return "over budget";
  const over = overrun(turn);
  return over === null
    ? stageLabel(turn.guilty)
    : `${stageLabel(turn.guilty)} ${format.change(over)}`;
}

/** How much longer the guilty stage took than it was allowed, ms; null where that is not known. */
function overrun(turn: Judged): number | null {
  if (!turn.guilty || !turn.segments) return null;
  const budget = turn.budgets?.[turn.guilty];
  const over = budget === undefined ? 0 : took(turn.segments, turn.guilty) - budget;
  return over > 0 ? over : null;
}

/** What was waited for a stage, or for everything, ms. */
export const took = (segments: readonly Segment[], stage: string): number =>
  segments.filter((s) => stage === TOTAL || s.stage === stage).reduce((sum, s) => sum + s.ms, 0);

/** How the budget was kept, in a sentence or two. */
export function verdictSentence(turn: TurnSummary): string {
  const total = turn.budgets[TOTAL];
  if (turn.verdict === null || turn.v2v_ms === null) return LEFT_OUT[turn.kind];
  const sentences: string[] = [];
  if (total !== undefined) {
    const left = total - turn.v2v_ms;
    sentences.push(
      left >= 0
        ? `${format.ms(left)} under the budget of ${format.ms(total)}.`
        : `${format.ms(-left)} over the budget of ${format.ms(total)}.`,
    );
  }
  const guilty = turn.guilty && turn.guilty !== TOTAL ? turn.guilty : null;
  if (turn.verdict === "missed" && guilty) {
    const budget = turn.budgets[guilty];
    const allowed = budget === undefined ? "" : ` of its ${format.ms(budget)}`;
    sentences.push(
      `The guilty stage: ${stageLabel(guilty)}, ${format.ms(took(turn.segments, guilty))}${allowed}.`,
    );
  }
  if (!sentences.length)
    sentences.push(turn.verdict === "ok" ? "Every budget was kept." : "A budget was missed.");
  return sentences.join(" ");
}

const SPANS: Record<string, string> = {
  user: "caller",
  agent: "agent",
  receive: "reception",
  vad: "voice detection",
  asr: "recogniser",
  turn_model: "turn model",
  llm: "language model",
  tts: "voice synthesis",
};

/** The name of a span for people. */
export function spanLabel(name: string): string {
  if (name.startsWith("tool:")) return name.slice(5).replace(/_/g, " ");
  return SPANS[name] ?? name.replace(/[_.-]+/g, " ");
}

/** What became of work, for a person. */
export function outcome(span: Span): string {
  switch (span.outcome) {
    case "hit":
      return "used: the guess was right";
    case "miss":
      return "thrown away: the guess was wrong";
    case "dropped":
      return "dropped: its words or its turn were given up";
    case null:
      return span.speculative ? "on a guess" : "";
  }
}

const EVENTS: Record<string, string> = {
  partial: "partial transcript",
  final: "final transcript",
  "speculation.start": "an answer begun on a guess",
  "speculation.hit": "the guess was right",
  "speculation.miss": "the guess was wrong",
  release: "turn decided, answer let out",
  retract: "the caller went on, answer taken back",
  duck: "agent's voice lowered",
  hush: "agent paused",
  unduck: "agent's voice raised again",
  barge_in: "caller interrupted the agent",
  resume: "agent went on where it had stopped",
  retry: "tried again",
  apology: "apology",
  late_final: "final transcript came late",
  no_final: "no final transcript came",
  tool: "tool called",
  underrun: "sound ran out",
  strained: "machine strained",
  typed: "typed",
  first_sound: "first sound of the answer",
  answer_sound: "first sound of the answer proper",
  played_out: "answer played to its end",
  "budget.miss": "a budget was missed",
  filler: "acknowledgement spoken",
  shorten: "first clause shortened",
  fallback: "fallback engine used",
};

/** The name of an event for people; unknown ones are shown as they are. */
export const eventLabel = (name: string): string => EVENTS[name] ?? name.replace(/[_.-]+/g, " ");

/** What the time axis counts from, and how the way from there to the first sound is called. */
export function zero(turn: Turn): { flag: string; way: string } {
  if (turn.kind === "greeting") {
    return { flag: "line open", way: "from the open line to the first sound of the greeting" };
  }
  if (turn.kind === "typed" || !turn.spans.some((span) => span.name === "user")) {
    return { flag: "typed", way: "from the typed message to the first sound of the answer" };
  }
  const way = "from the end of the caller's voice to the first sound of the answer";
  return { flag: "voice ended", way };
}

/** Attributes as "revision 2, words 3", words that were said first and in quotes; "" for none. */
export function attributes(values: Attributes): string {
  const { text, ...others } = values;
  const said = typeof text === "string" && text ? [`“${text}”`] : [];
  const rest = Object.entries(others)
    .filter(([, value]) => value !== null && value !== "" && value !== false)
    .map(([key, value]) => {
      const unit = key.endsWith("_ms") && typeof value === "number";
      const name = (unit ? key.slice(0, -3) : key).replace(/[_.]+/g, " ");
      if (value === true) return name;
      if (key === "end_p" && typeof value === "number")
        return `${Math.round(value * 100)} % an end`;
      if (typeof value === "number")
        return `${name} ${unit ? format.ms(value) : format.number(value)}`;
      return `${name} ${value}`;
    });
  return [...said, ...rest].join(", ");
}

/** Fewer turns than this on a side prove nothing, whatever their interval. */
const ENOUGH_TURNS = 20;

/** Which way a stage went between two runs; "same" where that may be chance. */
export function direction({ a, b, delta, ci95 }: ComparedStage): "faster" | "slower" | "same" {
  const [low, high] = ci95.p50 ?? [-1, 1];
  if (delta.p50 === null || Math.min(a.n, b.n) < ENOUGH_TURNS) return "same";
  if (low <= 0 && high >= 0) return "same";
  return delta.p50 < 0 ? "faster" : "slower";
}

/** A difference between two runs and whether it is one, in words. */
export function difference(stage: ComparedStage): string {
  const went = direction(stage);
  if (went !== "same") return `${format.ms(Math.abs(stage.delta.p50 ?? 0))} ${went}`;
  if (!stage.a.n || !stage.b.n) return "nothing to compare";
  return Math.min(stage.a.n, stage.b.n) < ENOUGH_TURNS
    ? "too few turns to tell"
    : "no difference shown";
}

export type Trouble =
  | { kind: "unreachable"; since: number | null }
  | { kind: "off"; text: string }
  | { kind: "refused"; text: string };

export function troubleNotice(trouble: Trouble): Notice {
  switch (trouble.kind) {
    case "unreachable":
      return {
        title: "The server does not answer",
        text: trouble.since
          ? `What you see is from ${format.moment(trouble.since)}. It goes on by itself as soon as the server is back.`
          : "Is it running, and can this device reach it?",
        action: "Try now",
      };
    case "off":
      return {
        title: "No traces on this server",
        text: trouble.text || "It was started without them.",
      };
    case "refused":
      return {
        title: "The server cannot show this",
        text: trouble.text || "It gave no reason; its log may.",
        action: "Try again",
      };
  }
}
