/** The server's feed of turns, held open while the page is looked at and made again when it breaks. */
import { delayBefore } from "../call/backoff";
import type { Session, TurnSummary } from "./model";

/** From this attempt on every wait is the longest one. */
const SLOWEST_ATTEMPT = 6;

export interface FeedEvents {
  turn(turn: TurnSummary): void;
  session(session: Session): void;
  /** So many events were not sent because this page was too slow. */
  lost(events: number): void;
  /** The feed flows; `again`: it had been closed, so that something may have been missed. */
  opened(again: boolean): void;
  broken(): void;
}

/**
 * A browser's own EventSource gives up on an error status, and six hidden tabs would use up the
 * connections HTTP/1.1 allows to a server: so it is closed while hidden, and reopened here.
 */
export class Feed {
  private source: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private opened = false;

  constructor(
    private readonly url: string,
    private readonly events: FeedEvents,
  ) {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.close();
      else this.open();
    });
    addEventListener("online", () => this.retryNow());
    if (!document.hidden) this.open();
  }

  /** Cut a wait short. */
  retryNow(): void {
    this.close();
    this.attempt = 0;
    this.open();
  }

  private open(): void {
    if (this.source) return;
    const source = (this.source = new EventSource(this.url));
    source.addEventListener("open", () => {
      this.attempt = 0;
      this.events.opened(this.opened);
      this.opened = true;
    });
    source.addEventListener("error", () => this.retry());
    this.on<TurnSummary>("turn", (turn) => this.events.turn(turn));
    this.on<Session>("session", (session) => this.events.session(session));
    this.on<{ dropped: number }>("lost", ({ dropped }) => this.events.lost(dropped));
  }

  private on<T>(name: string, take: (data: T) => void): void {
    this.source?.addEventListener(name, (event: MessageEvent<string>) => {
      take(JSON.parse(event.data) as T);
    });
  }

  private retry(): void {
    this.close();
    this.events.broken();
    this.attempt = Math.min(SLOWEST_ATTEMPT, this.attempt + 1);
    this.timer = setTimeout(() => this.open(), delayBefore(this.attempt) ?? 0);
  }

  private close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}
