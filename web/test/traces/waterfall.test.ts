import { describe, expect, it } from "vitest";
import type { Turn } from "../../src/traces/model";
import { allowance, groups } from "../../src/traces/waterfall";
import { segment, turn } from "./turn";

const rows = (of: Turn) => groups(of).flatMap((group) => group.rows);
const row = (of: Turn, id: string) => {
  const found = rows(of).find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no row ${id}`);
  return found;
};

describe("a stage's budget", () => {
  it("is laid over the stretches in which the stage was waited for", () => {
    const waited = [
      { start_ms: 0, ms: 100 },
      { start_ms: 150, ms: 100 },
    ];
    expect(allowance(waited, 120)).toEqual({ start_ms: 0, end_ms: 170, budget_ms: 120 });
    expect(allowance(waited, 260)).toEqual({ start_ms: 0, end_ms: 310, budget_ms: 260 });
    expect(allowance(waited, 60)).toEqual({ start_ms: 0, end_ms: 60, budget_ms: 60 });
    expect(allowance(waited, null)).toBeUndefined();
    expect(allowance([], 60)).toBeUndefined();
  });

  it("marks as over what was waited after it was used up, and nothing before", () => {
    const over = turn({
      segments: [
        segment("endpoint", 0, 50, { budget_ms: 80 }),
        segment("endpoint", 50, 60, { budget_ms: 80, name: "turn_model" }),
      ],
    });
    const [lane] = row(over, "endpoint").lanes;
    expect(lane?.map((item) => item.over_from)).toEqual([undefined, 80]);
    expect(lane?.[1]?.title).toContain("turn model");
  });

  it("is not broken by what was waited for other stages", () => {
    const items = row(turn(), "voice_to_voice").lanes[0];
    expect(items?.some((item) => item.over_from !== undefined)).toBe(false);
  });
});

describe("a waterfall", () => {
  it("has a row for each stage, in words, with its cause and the guilty one marked", () => {
    const found = row(turn({ verdict: "missed", guilty: "endpoint" }), "endpoint");
    expect(found.label).toBe("end of turn");
    expect(found.figure).toMatch(/^200/);
    expect(found.note).toBe("why endpoint");
    expect(found.guilty).toBe(true);
  });

  it("tells guesses that held, failed and were dropped apart in words", () => {
    const guess = (outcome: "hit" | "miss" | "dropped", start_ms: number) => ({
      name: "tts",
      start_ms,
      end_ms: start_ms + 50,
      speculative: true,
      outcome,
      attributes: { audio_ms: 12.5, first: true, voice: "en" },
    });
    const spans = [guess("dropped", -200), guess("miss", -100), guess("hit", 0)];
    const items = row(turn({ spans }), "tts").lanes.flat();
    expect(items.map((item) => item.details.join("; "))).toEqual([
      expect.stringContaining("given up"),
      expect.stringContaining("wrong"),
      expect.stringContaining("right"),
    ]);
    expect(items[0]?.details.at(-1)).toMatch(/^audio 13\sms, first, voice en$/);
    expect(items.every((item) => item.guess)).toBe(true);
  });

  it("puts the voices first and tools under their own names", () => {
    const span = (name: string) => ({
      name,
      start_ms: 0,
      end_ms: 9,
      speculative: false,
      outcome: null,
      attributes: {},
    });
    const labels = rows(turn({ spans: ["tool:book_table", "llm", "agent", "user"].map(span) })).map(
      (found) => found.label,
    );
    expect(labels.slice(0, 2)).toEqual(["caller", "agent"]);
    expect(labels.slice(-2)).toEqual(["language model", "book table"]);
  });

  it("shows events that nobody told it of", () => {
    const events = [{ name: "brand_new.thing", at_ms: 7, attributes: {} }];
    expect(row(turn({ events }), "other").lanes[0]?.[0]?.title).toMatch(/^brand new thing, at 7/);
  });

  it("of a turn without an answer has no waits", () => {
    const titles = groups(turn({ v2v_ms: null, segments: [] })).map((group) => group.title);
    expect(titles).toEqual([]);
  });
});
