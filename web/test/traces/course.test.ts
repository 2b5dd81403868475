import { expect, it } from "vitest";
import { course } from "../../src/traces/course";

const bucket = (t: number, p50: number | null) => ({
  t,
  n: 1,
  missed: 0,
  endpoint: { p50, p95: p50, p99: p50 },
});

it("a line breaks where nobody talked for a while, and nowhere else", () => {
  const series = [bucket(0, 10), bucket(5, null), bucket(8, 20), bucket(90, 30), bucket(100, 40)];
  expect(course(series, "endpoint").map(({ t, p50 }) => [t, p50])).toEqual([
    [0, 10],
    [8, 20],
    [49, null],
    [90, 30],
    [100, 40],
  ]);
  expect(course(series, "transport")).toEqual([]);
});
