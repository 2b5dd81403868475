import { describe, expect, it } from "vitest";
import { asked, HOME, href, isFiltered, matches, parse, type Route } from "../../src/traces/route";
import { turn } from "./turn";

describe("an address", () => {
  it("says the whole route and is read back as the same route", () => {
    const routes: Route[] = [
      HOME,
      { ...HOME, view: "latency", stage: "endpoint", filters: { pipeline: "a b", kind: "typed" } },
      { ...HOME, sort: "slowest", filters: { range: "1h", session: "x&y=z", verdict: "missed" } },
      { ...HOME, view: "sessions", filters: { since: 12.5, until: 99 } },
      { ...HOME, view: "compare", a: "run-1", b: "run-2" },
    ];
    for (const route of routes) expect(parse(href(route))).toEqual(route);
  });

  it("of a turn names the turn alone, so that it reads the same for everybody", () => {
    expect(href({ ...HOME, turn: "s-1", sort: "slowest", filters: { kind: "typed" } })).toBe(
      "?turn=s-1",
    );
  });

  it("that makes no sense shows the list", () => {
    expect(parse("?view=nonsense&range=9y&since=soon&sort=up&pipeline=")).toEqual(HOME);
  });
});

describe("filters", () => {
  it("ask for a range as the time it began", () => {
    expect(asked({ range: "1h", pipeline: "p" }, 10_000).toString()).toBe(
      "pipeline=p&since=6400.000",
    );
  });

  it("let a live turn in exactly when the server would", () => {
    const now = 4_000;
    expect(matches(turn(), {}, now)).toBe(true);
    expect(matches(turn(), { pipeline: "embedded", kind: "answered" }, now)).toBe(true);
    expect(matches(turn(), { verdict: "missed" }, now)).toBe(false);
    expect(matches(turn({ started_at: 399 }), { range: "1h" }, now)).toBe(false);
    expect(matches(turn({ started_at: 400 }), { range: "1h" }, now)).toBe(true);
    expect(matches(turn({ started_at: 500 }), { since: 500, until: 501 }, now)).toBe(true);
    expect(matches(turn({ started_at: 501 }), { since: 500, until: 501 }, now)).toBe(false);
  });

  it("are none when nothing is chosen", () => {
    expect(isFiltered({})).toBe(false);
    expect(isFiltered({ session: undefined })).toBe(false);
    expect(isFiltered({ until: 0 })).toBe(true);
  });
});
