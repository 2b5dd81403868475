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

/** What takes long is done so many times less often than it could be. */
const RESTS = 10;

/**
 * Calls `act` soon after it is asked to and at most every `every_ms`, less often when it takes
 * long; always once more when everything that was told until then is in the file.
 */
export function throttled(act: () => unknown, every_ms: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = -Infinity;
  let asked = -Infinity;
  let took = 0;
  const schedule = () => {
    const due = last + Math.max(every_ms, RESTS * took);
    timer = setTimeout(run, Math.max(WRITTEN_MS, due - performance.now()));
  };
  const run = async () => {
    timer = undefined;
    last = performance.now();
    const again = last - asked < WRITTEN_MS;
    await act();
    took = performance.now() - last;
    if (again && timer === undefined) schedule();
  };
  return () => {
    asked = performance.now();
    if (timer === undefined) schedule();
  };
}
