/** How long to wait before the next try, and when to stop trying. */

const FIRST_MS = 500;
const LONGEST_MS = 5_000;
/** About a minute and a half in all: long enough for a server to restart. */
export const MAX_ATTEMPTS = 20;

/** Milliseconds before attempt number `attempt` (1 is the first), or null when it is time to stop. */
export function delayBefore(attempt: number, random: () => number = Math.random): number | null {
  if (attempt > MAX_ATTEMPTS) return null;
  const exact = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  // A restarted server must not be met by all its callers in the same instant.
  return Math.round(exact * (0.75 + 0.5 * random()));
}

/** Seconds asked for by a Retry-After header (seconds or a date), kept within 1 s and 2 minutes. */
export function retryAfter(header: string | null, now: number = Date.now()): number {
  const value = header?.trim() ?? "";
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
  if (!Number.isFinite(seconds)) return 5;
  return Math.min(120, Math.max(1, Math.ceil(seconds)));
}
