/** A stage's percentiles over time as points of a line that breaks where nobody talked; pure. */
import type { Percentiles, Stats } from "./model";

export interface Point extends Percentiles {
  /** Unix seconds. */
  t: number;
}

/** Points that are at most this share of the whole apart are joined. */
const JOINED = 0.1;

export function course(series: Stats["series"], stage: string): Point[] {
  const points = series.flatMap((bucket): Point[] => {
    const found = bucket[stage];
    if (typeof found !== "object" || found.p50 === null) return [];
    return [{ t: bucket.t, p50: found.p50, p95: found.p95, p99: found.p99 }];
  });
  const whole = (points.at(-1)?.t ?? 0) - (points[0]?.t ?? 0);
  return points.flatMap((point, index) => {
    const before = points[index - 1];
    if (!before || point.t - before.t <= whole * JOINED) return [point];
    return [{ t: (before.t + point.t) / 2, p50: null, p95: null, p99: null }, point];
  });
}
