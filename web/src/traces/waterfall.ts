/** A turn as the rows of a waterfall: what is drawn, and each thing's words; pure. */
import { stageColour, stageLabel, TOTAL } from "../stages";
import * as format from "./format";
import type { Segment, Span, TraceEvent, Turn } from "./model";
import { lanes } from "./scale";
import { attributes, eventLabel, outcome, spanLabel, took } from "./words";

export type Shape = "voice" | "segment" | "span" | "event";

/** One thing on the time axis; `end_ms` is `start_ms` for an event. */
export interface Item {
  shape: Shape;
  start_ms: number;
  end_ms: number;
  /** On the bar, where it fits. */
  label: string;
  /** What it is, in a line. */
  title: string;
  /** More lines for whoever asks. */
  details: string[];
  /** Number of the stage's colour. */
  colour?: number;
  /** Work on a guess. */
  guess?: boolean;
  outcome?: Span["outcome"];
  /** Of an event: its name, which picks the symbol. */
  event?: string;
  /** Where in it a budget was used up, ms; the rest is drawn as over. */
  over_from?: number;
}

/** From where to where a budget would have allowed to wait. */
export interface Allowance {
  start_ms: number;
  end_ms: number;
  budget_ms: number;
}

export interface Row {
  id: string;
  label: string;
  /** At the right of the row. */
  figure: string;
  /** Items of one lane do not overlap, events excepted. */
  lanes: Item[][];
  allowance?: Allowance;
  guilty?: boolean;
  /** Why it was waited, to be read before the first bar where there is room. */
  note?: string;
}

export interface Group {
  title: string;
  rows: Row[];
}

/** The groups of a turn's waterfall, empty ones left out. */
export function groups(turn: Turn): Group[] {
  const voices = turn.spans.filter(isVoice);
  const work = turn.spans.filter((span) => !isVoice(span));
  return [
    { title: "Voices", rows: voiceRows(turn, voices) },
    { title: "What was waited for", rows: waits(turn) },
    { title: "What ran meanwhile", rows: spanRows(work, "span") },
    { title: "What happened", rows: eventRows(turn.events) },
  ].filter((group) => group.rows.length > 0);
}

/** A recording has both sides, and so both are drawn, even one that said nothing. */
function voiceRows(turn: Turn, voices: readonly Span[]): Row[] {
  const rows = spanRows(voices, "voice");
  if (!turn.audio) return rows;
  return ["user", "agent"].map(
    (name) =>
      rows.find((row) => row.id === name) ?? {
        id: name,
        label: spanLabel(name),
        figure: "",
        lanes: [[]],
      },
  );
}

const isVoice = (span: Span): boolean => span.name === "user" || span.name === "agent";

function waits(turn: Turn): Row[] {
  if (turn.v2v_ms === null) return [];
  const total: Row = {
    id: TOTAL,
    label: stageLabel(TOTAL),
    figure: format.ms(turn.v2v_ms),
    lanes: [turn.segments.map((segment) => segmentItem(segment))],
    allowance: allowance([{ start_ms: 0, ms: turn.v2v_ms }], turn.budgets[TOTAL]),
    guilty: turn.guilty === TOTAL,
  };
  const rows = grouped(turn.segments, (segment) => segment.stage).map(([stage, segments]): Row => {
    const allowed = allowance(segments, segments[0]?.budget_ms);
    return {
      id: stage,
      label: stageLabel(stage),
      figure: format.ms(took(segments, stage)),
      note: [...new Set(segments.map((segment) => segment.cause).filter(Boolean))].join(", then "),
      lanes: [segments.map((segment) => segmentItem(segment, allowed))],
      allowance: allowed,
      guilty: turn.guilty === stage,
    };
  });
  return [total, ...rows];
}

/** `Map.groupBy`, which Node 20 does not have yet. */
function grouped<T>(items: readonly T[], key: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups];
}

/** A stage's budget, laid over the stretches in which the stage was waited for. */
export function allowance(
  waited: readonly { start_ms: number; ms: number }[],
  budget: number | null | undefined,
): Allowance | undefined {
  const [first] = waited;
  if (!first || budget === null || budget === undefined) return undefined;
  let left = budget;
  let end = first.start_ms;
  for (const { start_ms, ms } of waited) {
    end = start_ms + Math.min(left, ms);
    left -= ms;
    if (left <= 0) break;
  }
  return { start_ms: first.start_ms, end_ms: end + Math.max(0, left), budget_ms: budget };
}

function segmentItem(segment: Segment, allowed?: Allowance): Item {
  const end = segment.start_ms + segment.ms;
  const named = segment.name === segment.stage ? "" : ` (${segment.name.replace(/[_.]+/g, " ")})`;
  const details = [segment.cause].filter(Boolean);
  if (allowed) details.push(`Budget of the stage: ${format.ms(allowed.budget_ms)}`);
  return {
    shape: "segment",
    start_ms: segment.start_ms,
    end_ms: end,
    label: format.ms(segment.ms),
    title: `${stageLabel(segment.stage)}${named}: ${format.ms(segment.ms)}`,
    details,
    colour: stageColour(segment.stage),
    over_from:
      allowed && end > allowed.end_ms + 0.05
        ? Math.max(segment.start_ms, allowed.end_ms)
        : undefined,
  };
}

const WORK = ["user", "agent", "receive", "vad", "asr", "turn_model", "llm", "tts"];

function spanRows(spans: readonly Span[], shape: Shape): Row[] {
  const rank = (name: string) => (WORK.includes(name) ? WORK.indexOf(name) : WORK.length);
  const named = grouped(spans, (span) => span.name);
  return named
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([name, all]) => ({
      id: name,
      label: spanLabel(name),
      figure: all.length > 1 ? `${all.length} ×` : length(all[0]),
      lanes: lanes(all).map((lane) => lane.map((span) => spanItem(span, shape))),
    }));
}

const length = (span?: Span): string => (span ? format.ms(span.end_ms - span.start_ms) : "");

function spanItem(span: Span, shape: Shape): Item {
  const range = `from ${format.ms(span.start_ms)} to ${format.ms(span.end_ms)}`;
  const speculative = span.speculative ? ", begun on a guess" : "";
  return {
    shape,
    start_ms: span.start_ms,
    end_ms: span.end_ms,
    label: length(span),
    title: `${spanLabel(span.name)}: ${length(span)}${speculative}`,
    details: [range, outcome(span), attributes(span.attributes)].filter(Boolean),
    colour: { llm: 2, tts: 4, asr: 1, turn_model: 0, vad: 0, user: 0, agent: 4 }[span.name] ?? 5,
    guess: span.speculative,
    outcome: span.outcome,
  };
}

/** Events of one row belong together and rarely share a moment. */
const EVENT_ROWS: [string, (name: string) => boolean][] = [
  ["words", (name) => /^(partial|final|typed|late_final|no_final)$/.test(name)],
  ["guesses", (name) => name.startsWith("speculation")],
  [
    "decision",
    (name) => /^(release|retract|budget\.miss|filler|shorten|fallback|retry)$/.test(name),
  ],
  [
    "interruption",
    (name) =>
      /^(duck|hush|unduck|barge_in|resume|played_out|first_sound|answer_sound|underrun)$/.test(
        name,
      ),
  ],
  ["other", () => true],
];
const EVENT_LABELS: Record<string, string> = {
  words: "words",
  interruption: "agent's voice",
  other: "others",
};

function eventRows(events: readonly TraceEvent[]): Row[] {
  const rowOf = (event: TraceEvent) =>
    EVENT_ROWS.find(([, holds]) => holds(event.name))?.[0] ?? "other";
  const sorted = [...events].sort((a, b) => a.at_ms - b.at_ms);
  const rows = new Map(grouped(sorted, rowOf));
  return EVENT_ROWS.flatMap(([id]) => {
    const own = rows.get(id);
    if (!own) return [];
    const label = EVENT_LABELS[id] ?? id;
    return [{ id, label, figure: `${own.length} ×`, lanes: [own.map(eventItem)] }];
  });
}

function eventItem(event: TraceEvent): Item {
  return {
    shape: "event",
    start_ms: event.at_ms,
    end_ms: event.at_ms,
    label: "",
    title: `${eventLabel(event.name)}, at ${format.ms(event.at_ms)}`,
    details: [attributes(event.attributes)].filter(Boolean),
    event: event.name,
  };
}
