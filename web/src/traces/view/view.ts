/** What the page asks of each of its views. */
import type { Session, TurnSummary } from "../model";
import type { Route } from "../route";

export interface View {
  readonly element: HTMLElement;
  /** What the address now asks for; rejects where the server does not give it. */
  show(route: Route): Promise<void>;
  /** Something may have been missed: ask again. */
  refresh(): Promise<void>;
  /** A turn as it is now; it may have been told of before. */
  turn?(turn: TurnSummary): void;
  session?(session: Session): void;
  /** Colours have changed. */
  recolour?(): void;
}

/** Goes to another route: as a new page of the browser's history, or in place of this one. */
export type Navigate = (route: Route, replace?: boolean) => void;

/** Runs one request at a time: a newer one cancels the one before. */
export class Latest {
  private controller: AbortController | null = null;

  async run<T>(request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.controller?.abort();
    const { signal } = (this.controller = new AbortController());
    const answer = await request(signal);
    signal.throwIfAborted();
    return answer;
  }
}

/** The feed tells of a turn before it is in the file that everything else is read from. */
const WRITTEN_MS = 500;

/**
 * Calls `act` soon after it is asked to and at most every `every_ms`; always once more when
 * everything that was told until then is in the file.
 */
export function throttled(act: () => void, every_ms: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  let asked = -Infinity;
  const schedule = () => {
    const now = performance.now();
    timer = setTimeout(run, Math.max(WRITTEN_MS, last + every_ms - now));
  };
  const run = () => {
    timer = undefined;
    last = performance.now();
    act();
    if (last - asked < WRITTEN_MS) schedule();
  };
  return () => {
    asked = performance.now();
    if (timer === undefined) schedule();
  };
}
