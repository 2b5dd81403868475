/** The figures of a turn: what they are called, and in which unit they are shown. */
import * as format from "./format";

type Show = (value: number) => string;

const perSecond: Show = (value) => `${format.number(value)}/s`;

const ratio: Show = (value) => String(Math.round(value * 1000) / 1000);

/** In the order in which they are shown. */
const FIGURES: Record<string, readonly [label: string, show: Show]> = {
  hits: ["right guesses", format.count],
  misses: ["wrong guesses", format.count],
  wasted_tokens: ["tokens wasted on guesses", format.count],
  wasted_audio_ms: ["speech wasted on guesses", format.ms],
  ttft_ms: ["model's first token after", format.ms],
  tokens: ["tokens", format.count],
  tokens_per_s: ["tokens a second", perSecond],
  drafts_offered: ["draft tokens offered", format.count],
  drafts_accepted: ["draft tokens accepted", format.count],
  acceptance: ["acceptance of drafts", format.percent],
  prompt_tokens: ["tokens of the prompt", format.count],
  cached_tokens: ["of them in the cache", format.count],
  prompt_ms: ["reading the prompt took", format.ms],
  ttfb_ms: ["voice's first audio after", format.ms],
  audio_ms: ["speech synthesized", format.ms],
  rtf: ["voice's real-time factor", ratio],
  words_heard: ["words heard", format.count],
  barge_in_ms: ["agent silent after the caller began", format.ms],
  answer_ms: ["answer proper after", format.ms],
  loop_lag_ms: ["event loop's lag", format.ms],
  rtt_ms: ["network round trip", format.ms],
  in_jitter_packets: ["jitter buffer, packets", format.number],
  in_late: ["packets too late", format.count],
  in_lost: ["packets lost", format.count],
};

/** Label and value of each figure, known ones first and in their order. */
export function shownFigures(figures: Record<string, number | null>): [string, string][] {
  const known = Object.keys(FIGURES);
  const rank = (key: string) => (known.includes(key) ? known.indexOf(key) : known.length);
  return Object.entries(figures)
    .filter((entry): entry is [string, number] => typeof entry[1] === "number")
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([key, value]) => {
      const [label, show] = FIGURES[key] ?? generic(key);
      return [label, show(value)];
    });
}

/** A figure added since: its unit is the end of its name. */
function generic(key: string): [string, Show] {
  const [, name = key, unit = ""] = /^(.*?)(_ms|_per_s)?$/.exec(key) ?? [];
  const show = { _ms: format.ms, _per_s: perSecond }[unit] ?? format.number;
  return [name.replace(/[_.]+/g, " "), show];
}
