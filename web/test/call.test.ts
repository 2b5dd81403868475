import { describe, expect, it } from "vitest";
import { levelOf, smoothed } from "../src/audio/level";
import { troubleOf } from "../src/audio/microphone";
import { delayBefore, MAX_ATTEMPTS, retryAfter } from "../src/call/backoff";
import { parse } from "../src/call/messages";
import { microphoneNotice } from "../src/words";

describe("waiting", () => {
  it("tries soon, then less and less often, then stops", () => {
    const delays = Array.from({ length: MAX_ATTEMPTS }, (_, i) => delayBefore(i + 1, () => 0.5));
    expect(delays.slice(0, 6)).toEqual([500, 1000, 2000, 4000, 5000, 5000]);
    expect(delayBefore(MAX_ATTEMPTS + 1)).toBeNull();
  });

  it("spreads the callers of a restarted server", () => {
    expect(delayBefore(1, () => 0)).toBe(375);
    expect(delayBefore(1, () => 1)).toBe(625);
  });

  it("honours Retry-After as seconds or as a date, within reason", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(retryAfter("7", now)).toBe(7);
    expect(retryAfter("Thu, 01 Jan 2026 00:00:09 GMT", now)).toBe(9);
    expect(retryAfter("0", now)).toBe(1);
    expect(retryAfter("86400", now)).toBe(120);
    expect(retryAfter(null, now)).toBe(5);
    expect(retryAfter("soon", now)).toBe(5);
  });
});

describe("server messages", () => {
  it("are passed on when known and whole", () => {
    expect(parse({ type: "state", state: "thinking" })).toEqual({
      type: "state",
      state: "thinking",
    });
    expect(
      parse({
        type: "latency",
        turn: 2,
        id: "c-2",
        v2v_ms: 412,
        segments: [{ name: "endpoint", ms: 120 }],
      }),
    ).toEqual({
      type: "latency",
      turn: 2,
      id: "c-2",
      v2v_ms: 412,
      segments: [{ name: "endpoint", ms: 120 }],
    });
  });

  it("are ignored when unknown, and never trusted in shape", () => {
    expect(parse({ type: "state", state: "dancing" })).toBeNull();
    expect(parse({ type: "something new" })).toBeNull();
    expect(parse("hello")).toBeNull();
    expect(parse(null)).toBeNull();
    expect(
      parse({ type: "latency", segments: [null, { name: 3 }, { name: "x", ms: -1 }] }),
    ).toEqual({ type: "latency", turn: 0, id: "", v2v_ms: 0, segments: [] });
  });
});

describe("levels", () => {
  it("are linear in decibels between silence and full scale", () => {
    expect(levelOf(0)).toBe(0);
    expect(levelOf(0.001)).toBeCloseTo(0); // -60 dB
    expect(levelOf(10 ** (-36 / 20))).toBeCloseTo(0.5);
    expect(levelOf(1)).toBe(1);
  });

  it("rise fast and fall slowly", () => {
    expect(smoothed(0, 1, 0.03)).toBeGreaterThan(0.6);
    expect(smoothed(1, 0, 0.03)).toBeGreaterThan(0.8);
  });
});

describe("a microphone that does not open", () => {
  const error = (name: string) => Object.assign(new Error(name), { name });

  it("is told apart by its cause", () => {
    expect(troubleOf(error("NotAllowedError"))).toBe("denied");
    expect(troubleOf(error("NotFoundError"))).toBe("missing");
    expect(troubleOf(error("NotReadableError"))).toBe("busy");
    expect(troubleOf("?")).toBe("failed");
  });

  it("is explained for the browser and the address at hand", () => {
    const origin = new URL("http://192.0.2.7:7860/");
    const firefox = microphoneNotice("denied", origin, "Mozilla/5.0 Firefox/140.0");
    const chrome = microphoneNotice("denied", origin, "Chrome/150.0 Safari/537.36");
    expect(firefox.text).toContain("crossed-out");
    expect(chrome.text).toContain("icon at the left");
    const insecure = microphoneNotice("insecure", origin, "");
    expect(insecure.text).toContain("http://localhost:7860");
    expect(insecure.text).toContain("http://192.0.2.7:7860");
  });
});
