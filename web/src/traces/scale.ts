/** Where a time lies on a line, and what the line is marked with; pure. */
import { TOTAL } from "../stages";
import type { Turn } from "./model";

/** A stretch of time, ms. */
export interface Domain {
  from: number;
  to: number;
}

/** How far along the domain a time is: 0 at its start, 1 at its end, beyond for what is outside. */
export const position = (domain: Domain, ms: number): number =>
  (ms - domain.from) / (domain.to - domain.from);

/** Round numbers within the domain, at most `most` of them; 0 is one of them when it is inside. */
export function ticks(domain: Domain, most: number): number[] {
  const step = niceStep((domain.to - domain.from) / Math.max(1, most));
  const found: number[] = [];
  for (let n = Math.ceil(domain.from / step); n * step <= domain.to; n++) found.push(n * step);
  return found;
}

/** The smallest of 1, 2, 5, 10, 20, 50 ... that is at least `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least) ?? 10 * power;
}

/** A round number at or above `value`, for the end of a scale. */
export function roundUp(value: number): number {
  const step = niceStep(value / 4);
  return Math.max(step, Math.ceil(value / step) * step);
}

/** Everything the turn knows about, with a little air. */
export function wholeTurn(turn: Turn): Domain {
  const times = [
    0,
    turn.v2v_ms ?? 0,
    ...turn.spans.flatMap((span) => [span.start_ms, span.end_ms]),
    ...turn.events.map((event) => event.at_ms),
  ];
  return aired({ from: Math.min(...times), to: Math.max(...times) });
}

const BEFORE_MS = 1000;
/** A guess that came to nothing is of interest if it was begun so shortly before. */
const LATELY_MS = 600;

/** The wait itself, with the guesses shortly before it; null where nothing was waited for. */
export function waitOf(turn: Turn): Domain | null {
  if (turn.v2v_ms === null) return null;
  const early = turn.spans
    .filter((span) => span.speculative)
    .filter((span) => span.outcome === "hit" || span.start_ms > -LATELY_MS)
    .map((span) => span.start_ms);
  const budget = turn.budgets[TOTAL] ?? 0;
  const to = budget < 2 * turn.v2v_ms ? Math.max(turn.v2v_ms, budget) : turn.v2v_ms;
  const from = Math.max(-BEFORE_MS, Math.min(...early, -0.6 * to));
  return aired({ from, to });
}

function aired({ from, to }: Domain): Domain {
  const air = Math.max(10, (to - from) * 0.04);
  return { from: from - air, to: to + air };
}

/** No less than this is shown at a time. */
export const NARROWEST_MS = 20;

/** `domain` made `factor` times as wide around `centre`, within `bounds`. */
export function zoom(domain: Domain, centre: number, factor: number, bounds: Domain): Domain {
  const widest = bounds.to - bounds.from;
  const width = Math.min(widest, Math.max(NARROWEST_MS, (domain.to - domain.from) * factor));
  const from = centre - position(domain, centre) * width;
  return shift({ from, to: from + width }, 0, bounds);
}

/** `domain` moved by `ms`, as far as `bounds` allow. */
export function shift(domain: Domain, ms: number, bounds: Domain): Domain {
  const width = domain.to - domain.from;
  const from = Math.max(bounds.from, Math.min(bounds.to - width, domain.from + ms));
  return { from, to: from + width };
}

export interface Stretch {
  start_ms: number;
  end_ms: number;
}

/** Spread stretches over as few lanes as it takes for none to overlap. */
export function lanes<T extends Stretch>(stretches: readonly T[]): T[][] {
  const found: T[][] = [];
  for (const stretch of [...stretches].sort((a, b) => a.start_ms - b.start_ms)) {
    const free = found.find((lane) => (lane.at(-1)?.end_ms ?? -Infinity) <= stretch.start_ms);
    if (free) free.push(stretch);
    else found.push([stretch]);
  }
  return found;
}

/** Rows of a long list to draw: those within `height` px from `top`, and some beyond both ends. */
export function visibleRows(
  top: number,
  height: number,
  rowHeight: number,
  count: number,
  beyond = 12,
): [first: number, end: number] {
  const first = Math.floor(top / rowHeight) - beyond;
  const end = Math.ceil((top + height) / rowHeight) + beyond;
  return [Math.min(count, Math.max(0, first)), Math.max(0, Math.min(count, end))];
}
