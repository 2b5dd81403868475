/** What the page shows, as its address says it; everything here is pure. */
import type { TurnSummary } from "./model";

export const VIEWS = ["turns", "sessions", "latency", "compare"] as const;
export type View = (typeof VIEWS)[number];

/** Filters by an exact value. */
export const FACETS = ["pipeline", "transport", "verdict", "kind", "run", "session"] as const;
export type Facet = (typeof FACETS)[number];

/** The last so many seconds. */
export const RANGES: Record<string, number> = {
  "15m": 900,
  "1h": 3600,
  "24h": 86_400,
  "7d": 604_800,
};

export interface Filters extends Partial<Record<Facet, string>> {
  /** A key of RANGES: back from now. */
  range?: string;
  /** Unix seconds; instead of a range. */
  since?: number;
  until?: number;
}

export type Sort = "recent" | "slowest";

export interface Route {
  view: View;
  /** The turn that is shown instead of the view. */
  turn?: string;
  filters: Filters;
  sort: Sort;
  /** Whose percentiles are drawn. */
  stage?: string;
  /** Two runs to compare. */
  a?: string;
  b?: string;
}

export const HOME: Route = { view: "turns", filters: {}, sort: "recent" };

/** Read an address's query; what it does not know is left out. */
export function parse(search: string): Route {
  const query = new URLSearchParams(search);
  const text = (key: string) => query.get(key) || undefined;
  const number = (key: string) => {
    const value = Number(query.get(key) || Number.NaN);
    return Number.isFinite(value) ? value : undefined;
  };
  const filters: Filters = {};
  for (const facet of FACETS) if (text(facet)) filters[facet] = text(facet);
  const range = text("range");
  if (range && range in RANGES) filters.range = range;
  else {
    if (number("since") !== undefined) filters.since = number("since");
    if (number("until") !== undefined) filters.until = number("until");
  }
  return {
    view: VIEWS.find((view) => view === query.get("view")) ?? HOME.view,
    turn: text("turn"),
    filters,
    sort: query.get("sort") === "slowest" ? "slowest" : "recent",
    stage: text("stage"),
    a: text("a"),
    b: text("b"),
  };
}

/** The query of a route, with its question mark; the shortest that `parse` reads back. */
export function href(route: Route): string {
  const query = new URLSearchParams();
  // A link to a turn names the turn alone: it is sent to people with other filters.
  if (route.turn) query.set("turn", route.turn);
  else {
    if (route.view !== HOME.view) query.set("view", route.view);
    for (const [key, value] of Object.entries(route.filters)) {
      if (value !== undefined && value !== "") query.set(key, String(value));
    }
    if (route.sort !== HOME.sort) query.set("sort", route.sort);
    for (const key of ["stage", "a", "b"] as const) {
      const value = route[key];
      if (value) query.set(key, value);
    }
  }
  return `?${query}`;
}

/** What the API is asked for; `now` is in unix seconds. */
export function asked(filters: Filters, now: number): URLSearchParams {
  const query = new URLSearchParams();
  for (const facet of FACETS) {
    const value = filters[facet];
    if (value) query.set(facet, value);
  }
  const since = filters.range ? now - (RANGES[filters.range] ?? 0) : filters.since;
  if (since !== undefined) query.set("since", since.toFixed(3));
  if (filters.until !== undefined) query.set("until", filters.until.toFixed(3));
  return query;
}

/** Would the server, asked with these filters at `now`, count this turn in? */
export function matches(turn: TurnSummary, filters: Filters, now: number): boolean {
  // A turn without a verdict is found by "none".
  const value = (facet: Facet) => turn[facet] ?? "none";
  if (FACETS.some((facet) => filters[facet] && value(facet) !== filters[facet])) return false;
  const since = filters.range ? now - (RANGES[filters.range] ?? 0) : filters.since;
  if (since !== undefined && turn.started_at < since) return false;
  return filters.until === undefined || turn.started_at < filters.until;
}

export const isFiltered = (filters: Filters): boolean =>
  Object.values(filters).some((value) => value !== undefined && value !== "");
