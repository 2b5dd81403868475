/** What the server says about turns (`/api/traces`). Milliseconds; 0 is the end of the user's voice. */

/** `open`: not over yet, the turn comes again as it goes on. Percentiles count `answered` alone. */
export type Kind = "open" | "answered" | "interrupted" | "failed" | "greeting" | "typed";
export type Verdict = "ok" | "missed";

/** What was waited for; contiguous from 0 to the first sound, so that they sum to `v2v_ms`. */
export interface Segment {
  stage: string;
  name: string;
  ms: number;
  start_ms: number;
  cause: string;
  /** The budget of the whole stage, which may have several segments. */
  budget_ms: number | null;
}

export type Attributes = Record<string, string | number | boolean | null>;

/** Work that went on beside the waits, and the two voices (`user`, `agent`); may begin before 0. */
export interface Span {
  name: string;
  start_ms: number;
  end_ms: number;
  speculative: boolean;
  outcome: "hit" | "miss" | "dropped" | null;
  attributes: Attributes;
}

export interface TraceEvent {
  name: string;
  at_ms: number;
  attributes: Attributes;
}

export interface TurnSummary {
  id: string;
  session: string;
  turn: number;
  revision: number;
  run: string;
  pipeline: string;
  transport: string;
  /** Unix seconds. */
  started_at: number;
  kind: Kind;
  verdict: Verdict | null;
  /** A stage, or `voice_to_voice`. */
  guilty: string | null;
  v2v_ms: number | null;
  /** When it was over, ms; null while it goes on. */
  ended_ms: number | null;
  segments: Segment[];
  /** By stage; `voice_to_voice` is the total's. */
  budgets: Record<string, number>;
  figures: Record<string, number>;
}

export interface Words {
  user: string;
  agent: string;
  /** How much of `agent` was played. */
  heard: string;
}

export interface Turn extends TurnSummary {
  caller: Attributes | null;
  spans: Span[];
  events: TraceEvent[];
  words: Words | null;
  /** A recording exists; it ends with the turn. */
  audio: boolean;
}

export interface Session {
  id: string;
  run: string;
  pipeline: string;
  transport: string;
  started_at: number;
  ended_at: number | null;
  reason: string | null;
  turns: number;
  missed: number;
  p50_ms: number | null;
  p95_ms: number | null;
}

/** Of nothing: null. */
export interface Percentiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface StageStats extends Percentiles {
  budget_ms: number | null;
  n: number;
  /** Turns over the budget; null without one. */
  over: number | null;
  /** The last bar holds everything beyond its edge. */
  histogram: { edges: number[]; counts: number[] };
}

/** One bucket of time; beside these, percentiles under the name of each stage that has turns. */
export interface Bucket {
  t: number;
  n: number;
  missed: number;
}

export interface Stats {
  stages: Record<string, StageStats>;
  series: (Bucket & Record<string, Percentiles | number>)[];
  kinds: Record<string, number>;
  verdicts: Record<string, number>;
}

export interface Run {
  id: string;
  pipeline: string;
  started_at: number;
  version: string;
  turns: number;
}

export interface Facets {
  pipelines: string[];
  transports: string[];
  runs: string[];
  kinds: string[];
  verdicts: string[];
}

export interface ComparedStage {
  a: Percentiles & { n: number };
  b: Percentiles & { n: number };
  /** b - a. */
  delta: { p50: number | null; p95: number | null };
  /** 95 % confidence interval of the difference of medians. */
  ci95: { p50: [number, number] | null };
}

export interface Comparison {
  a: { run: string; label: string };
  b: { run: string; label: string };
  stages: Record<string, ComparedStage>;
}

export interface TurnPage {
  turns: TurnSummary[];
  next: string | null;
  total: number;
}

export interface SessionPage {
  sessions: Session[];
  next: string | null;
}
