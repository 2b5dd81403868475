/** Requests to `/api/traces`, and what can go wrong with them. */
import type { Comparison, Facets, Run, SessionPage, Stats, Turn, TurnPage } from "./model";
import { asked, type Filters, type Sort } from "./route";

/** The page lies in a folder beside `api/`. */
const BASE = new URL("../api/traces/", document.baseURI);
const PAGE = 100;

/** The server answered with an error, or (status 0) not at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The request was given up for a newer one; nobody needs to hear of it. */
export const isAborted = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";

const now = () => Date.now() / 1000;

export function turns(
  filters: Filters,
  sort: Sort,
  cursor: string | null,
  signal?: AbortSignal,
  more: { stage?: string; limit?: number } = {},
): Promise<TurnPage> {
  const query = asked(filters, now());
  query.set("sort", sort);
  query.set("limit", String(more.limit ?? PAGE));
  if (more.stage) query.set("stage", more.stage);
  if (cursor) query.set("cursor", cursor);
  return get("turns", query, signal);
}

export const turn = (id: string, signal?: AbortSignal): Promise<Turn> =>
  get(`turns/${encodeURIComponent(id)}`, undefined, signal);

export const turnUrl = (id: string): string => url(`turns/${encodeURIComponent(id)}`);

export const audioUrl = (id: string): string => url(`turns/${encodeURIComponent(id)}/audio`);

export const liveUrl = (): string => url("live");

export function sessions(
  filters: Filters,
  cursor: string | null,
  signal?: AbortSignal,
): Promise<SessionPage> {
  const query = asked(filters, now());
  query.set("limit", String(PAGE));
  if (cursor) query.set("cursor", cursor);
  return get("sessions", query, signal);
}

export function stats(filters: Filters, buckets: number, signal?: AbortSignal): Promise<Stats> {
  const query = asked(filters, now());
  query.set("buckets", String(buckets));
  return get("stats", query, signal);
}

export const compare = (a: string, b: string, signal?: AbortSignal): Promise<Comparison> =>
  get("compare", new URLSearchParams({ a, b }), signal);

export const runs = (signal?: AbortSignal): Promise<{ runs: Run[] }> =>
  get("runs", undefined, signal);

export const facets = (signal?: AbortSignal): Promise<Facets> => get("facets", undefined, signal);

export function exportUrl(filters: Filters, form: "json" | "csv"): string {
  const query = asked(filters, now());
  query.set("format", form);
  return `${url("export")}?${query}`;
}

/** Show the server the token it asks for; true when it is the right one. */
export async function present(token: string): Promise<boolean> {
  const answer = await answered(
    fetch(url("token"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    }),
  );
  if (answer.ok) return true;
  if (answer.status === 403 || answer.status === 401) return false;
  throw await failure(answer);
}

const url = (path: string): string => new URL(path, BASE).href;

async function get<T>(path: string, query?: URLSearchParams, signal?: AbortSignal): Promise<T> {
  const address = query?.size ? `${url(path)}?${query}` : url(path);
  const answer = await answered(fetch(address, { signal }));
  if (!answer.ok) throw await failure(answer);
  return (await answer.json()) as T;
}

async function answered(request: Promise<Response>): Promise<Response> {
  try {
    return await request;
  } catch (error) {
    throw isAborted(error) ? error : new ApiError(0, "");
  }
}

async function failure(answer: Response): Promise<ApiError> {
  const body: unknown = await answer.json().catch(() => null);
  const said = typeof body === "object" && body !== null ? (body as { error?: unknown }).error : "";
  return new ApiError(answer.status, typeof said === "string" ? said : "");
}
