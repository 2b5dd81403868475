import { describe, expect, it } from "vitest";
import {
  lanes,
  NARROWEST_MS,
  position,
  roundUp,
  shift,
  ticks,
  visibleRows,
  waitOf,
  wholeTurn,
  zoom,
} from "../../src/traces/scale";
import { turn } from "./turn";

const span = (start_ms: number, end_ms: number, speculative = true) => ({
  name: "llm",
  start_ms,
  end_ms,
  speculative,
  outcome: null,
  attributes: {},
});

describe("ticks", () => {
  it("are round, few, and 0 is one of them", () => {
    expect(ticks({ from: -520, to: 530 }, 6)).toEqual([-400, -200, 0, 200, 400].map((n) => n + 0));
    expect(ticks({ from: 0, to: 90 }, 10)).toHaveLength(10);
    for (const [from, to] of [
      [-1234, 567],
      [3, 31],
      [-90_000, 4_000],
    ] as const) {
      const found = ticks({ from, to }, 8);
      expect(found.length).toBeLessThanOrEqual(9);
      expect(found.every((tick) => tick >= from && tick <= to)).toBe(true);
      if (from <= 0 && to >= 0) expect(found.some((tick) => tick === 0)).toBe(true);
    }
  });

  it("end a scale at a round number", () => {
    expect(roundUp(613)).toBe(800);
    expect(roundUp(600)).toBe(600);
    expect(roundUp(3.2)).toBeGreaterThanOrEqual(3.2);
  });
});

describe("what is shown of a turn", () => {
  it("is first the wait, with the guesses before it and the budget after it", () => {
    const wait = waitOf(turn({ spans: [span(-400, 100)] }));
    expect(wait?.from).toBeLessThan(-400);
    expect(wait?.from).toBeGreaterThan(-500);
    expect(wait?.to).toBeGreaterThan(500);
  });

  it("leaves out what ran long before, and a budget that is far away", () => {
    const wait = waitOf(turn({ spans: [span(-9000, 100)], budgets: { voice_to_voice: 5000 } }));
    expect(wait?.from).toBeGreaterThan(-1200);
    expect(wait?.to).toBeLessThan(500);
  });

  it("is everything where nothing was waited for", () => {
    const greeting = turn({ v2v_ms: null, spans: [span(0, 2000, false)], budgets: {} });
    expect(waitOf(greeting)).toBeNull();
    expect(wholeTurn(greeting).to).toBeGreaterThanOrEqual(2000);
  });

  it("zooms around a moment that keeps its place, and never leaves the turn", () => {
    const bounds = { from: -1000, to: 1000 };
    const near = zoom(bounds, 500, 0.5, bounds);
    expect(position(near, 500)).toBeCloseTo(position(bounds, 500));
    expect(zoom(near, 500, 100, bounds)).toEqual(bounds);
    expect(zoom(near, 500, 0, bounds).to - zoom(near, 500, 0, bounds).from).toBe(NARROWEST_MS);
    expect(shift(near, 99_999, bounds).to).toBe(1000);
    expect(shift(near, -99_999, bounds).from).toBe(-1000);
  });
});

describe("lanes", () => {
  it("keep apart what overlaps and join what does not", () => {
    const found = lanes([span(50, 80), span(0, 60), span(60, 90), span(10, 20)]);
    expect(found.map((lane) => lane.map((s) => s.start_ms))).toEqual([
      [0, 60],
      [10, 50],
    ]);
  });
});

describe("a long list", () => {
  it("draws what is on screen and a little more, wherever it is scrolled", () => {
    expect(visibleRows(0, 800, 40, 100_000, 5)).toEqual([0, 25]);
    expect(visibleRows(2_000_000, 800, 40, 100_000, 5)).toEqual([49_995, 50_025]);
    expect(visibleRows(99_999_999, 800, 40, 100, 5)).toEqual([100, 100]);
    expect(visibleRows(-5_000, 800, 40, 100, 5)).toEqual([0, 0]);
  });
});
