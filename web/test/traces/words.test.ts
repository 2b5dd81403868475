import { describe, expect, it } from "vitest";
import { shownFigures } from "../../src/traces/figures";
import * as format from "../../src/traces/format";
import { peaks } from "../../src/traces/peaks";
import { attributes, difference, verdictLabel, verdictSentence } from "../../src/traces/words";
import { unheard } from "../../src/traces/unheard";
import { segment, turn } from "./turn";

const plain = (text: string) => text.replace(/\u00a0/g, " ");

describe("a verdict", () => {
  it("that is good says how much was left", () => {
    expect(plain(verdictSentence(turn()))).toBe("200 ms under the budget of 500 ms.");
    expect(verdictLabel(turn())).toBe("in budget");
  });

  it("that is bad names the guilty stage and by how much", () => {
    const missed = turn({
      verdict: "missed",
      guilty: "endpoint",
      v2v_ms: 640,
      segments: [segment("endpoint", 0, 400), segment("endpoint", 400, 140)],
      budgets: { voice_to_voice: 500, endpoint: 250 },
    });
    expect(plain(verdictSentence(missed))).toBe(
      "140 ms over the budget of 500 ms. The guilty stage: end of turn, 540 ms of its 250 ms.",
    );
    expect(plain(verdictLabel(missed))).toBe("end of turn +290 ms");
  });

  it("that there is none of says why", () => {
    const greeting = turn({ verdict: null, v2v_ms: null, kind: "greeting", budgets: {} });
    expect(verdictSentence(greeting)).toContain("Nobody had asked");
    expect(verdictLabel(greeting)).toBe("no verdict");
  });
});

describe("a difference", () => {
  const compared = (p50: number, interval: [number, number] | null, n = 100) => {
    const side = { p50: 0, p95: 0, p99: 0, n };
    return plain(difference({ a: side, b: side, delta: { p50, p95: 0 }, ci95: { p50: interval } }));
  };

  it("is claimed only where its interval does not hold zero", () => {
    expect(compared(-31, [-42, -19])).toBe("31 ms faster");
    expect(compared(12, [4, 20])).toBe("12 ms slower");
    expect(compared(-31, [-70, 3])).toBe("no difference shown");
  });

  it("is not claimed of a handful of turns, nor of none", () => {
    expect(compared(-31, [-42, -19], 8)).toBe("too few turns to tell");
    expect(compared(0, null, 0)).toBe("nothing to compare");
  });
});

describe("attributes", () => {
  it("begin with what was said, and leave out what is not so", () => {
    const values = { words: 2, end_p: 0.53, text: "please cancel", failed: false, audio_ms: 12.5 };
    expect(plain(attributes(values))).toBe("“please cancel”, words 2, 53 % an end, audio 13 ms");
    expect(attributes({})).toBe("");
  });
});

describe("words", () => {
  it("that were never heard are what follows the heard ones", () => {
    expect(unheard("We open at noon.", "We open")).toBe("at noon.");
    expect(unheard("We open at noon.", "We  open at noon.")).toBe("");
    expect(unheard("", "")).toBe("");
  });
});

describe("figures", () => {
  it("come in their order, with their units, those added since included", () => {
    const shown = shownFigures({ queue_ms: 12, tokens: 9, hits: 1, acceptance: 0.625, gone: null });
    expect(shown.map(([label, value]) => [label, plain(value)])).toEqual([
      ["right guesses", "1"],
      ["tokens", "9"],
      ["acceptance of drafts", "62.5 %"],
      ["queue", "12 ms"],
    ]);
  });

  it("are read in milliseconds with a true minus", () => {
    expect(plain(format.ms(-90.4))).toBe("−90 ms");
    expect(plain(format.ms(4.26))).toBe("4.3 ms");
    expect(plain(format.change(15))).toBe("+15 ms");
    expect(format.duration(3725)).toBe("1 h 2 min");
    expect(format.duration(59.6)).toBe("1 min 0 s");
  });
});

describe("a waveform", () => {
  const samples = new Float32Array([0, 0.5, -1, 0.25, 0, 0]);

  it("has in each column the loudest of its samples", () => {
    expect([...peaks(samples, 0, 2, 3)]).toEqual([0.5, 1, 0]);
  });

  it("is silent before and after the recording", () => {
    expect([...peaks(samples, -4, 2, 6)]).toEqual([0, 0, 0.5, 1, 0, 0]);
  });

  it("shows single samples when it is drawn very large", () => {
    expect([...peaks(samples, 1, 0.5, 4)]).toEqual([0.5, 0.5, 1, 1]);
  });
});
