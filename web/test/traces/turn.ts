/** A turn as the server tells it, with what a test changes. */
import type { Segment, Turn } from "../../src/traces/model";

export const segment = (stage: string, start_ms: number, ms: number, more = {}): Segment => ({
  stage,
  name: stage,
  start_ms,
  ms,
  cause: `why ${stage}`,
  budget_ms: null,
  ...more,
});

export const turn = (more: Partial<Turn> = {}): Turn => ({
  id: "s-1",
  session: "s",
  turn: 1,
  revision: 1,
  run: "r",
  pipeline: "embedded",
  transport: "webrtc",
  caller: null,
  started_at: 1_000,
  kind: "answered",
  verdict: "ok",
  guilty: null,
  v2v_ms: 300,
  ended_ms: 2000,
  segments: [segment("endpoint", 0, 200), segment("tts_first_audio", 200, 100)],
  spans: [],
  events: [],
  figures: {},
  budgets: { voice_to_voice: 500 },
  words: null,
  audio: false,
  ...more,
});
