/** The list of sessions: conversations, whoever is talking now first. */
import { make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { Session, TurnSummary } from "../model";
import { HOME, isFiltered, type Route } from "../route";
import { firstRun } from "./summary";
import { LongTable } from "./long-table";
import { emptyState, link } from "./parts";
import { Latest, throttled, type View } from "./view";

const REFRESH_MS = 2000;

const REASONS: Record<string, string> = {
  gone: "hung up",
  idle: "fell silent",
  shutdown: "server ended",
  error: "failed",
  lost: "server died",
};

export class SessionsView implements View {
  readonly element = make("div", "view");
  private readonly requests = new Latest();
  private readonly empty = make("div");
  private readonly table = new LongTable<Session>({
    caption: "Sessions",
    className: "sessions",
    heads: ["Began", "Lasted", "Turns", "Over budget", "Median", "95 % within", "Where", "Session"],
    key: (session) => session.id,
    cells: (session) => this.cells(session),
    more: () => void this.more(),
  });
  private route: Route = HOME;
  private sessions: Session[] = [];
  private next: string | null = null;
  private loading = false;
  private readonly follow = throttled(() => this.refresh().catch(this.failed), REFRESH_MS);

  constructor(private readonly failed: (error: unknown) => void) {
    this.table.element.hidden = true;
    this.element.append(this.table.element, this.empty);
  }

  async show(route: Route): Promise<void> {
    this.route = route;
    this.sessions = [];
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const { filters } = this.route;
    const page = await this.requests.run((signal) => api.sessions(filters, null, signal));
    // What is further down stays: it is older, and does not change.
    const first = new Set(page.sessions.map((session) => session.id));
    const rest = this.sessions.length > page.sessions.length ? this.sessions : [];
    this.sessions = [...page.sessions, ...rest.filter((session) => !first.has(session.id))];
    if (!rest.length) this.next = page.next;
    this.draw();
  }

  turn(_turn: TurnSummary): void {
    this.follow();
  }

  session(session: Session): void {
    const known = this.sessions.findIndex((other) => other.id === session.id);
    if (known >= 0) {
      this.sessions = this.sessions.with(known, session);
      this.draw();
    }
    this.follow();
  }

  private async more(): Promise<void> {
    if (this.loading || this.next === null) return;
    this.loading = true;
    const { filters } = this.route;
    const cursor = this.next;
    try {
      const page = await this.requests.run((signal) => api.sessions(filters, cursor, signal));
      this.sessions = [...this.sessions, ...page.sessions];
      this.next = page.next;
      this.draw();
    } catch (error) {
      this.failed(error);
    } finally {
      this.loading = false;
    }
  }

  private draw(): void {
    const any = this.sessions.length > 0;
    this.table.element.hidden = !any;
    this.table.show(this.sessions, this.sessions.length + (this.next === null ? 0 : 1));
    this.empty.replaceChildren(...(any ? [] : [this.nothing()]));
  }

  private nothing(): HTMLElement {
    if (!isFiltered(this.route.filters)) return firstRun();
    const all = link({ ...this.route, filters: {} }, "Take the filters away", "button outlined");
    return emptyState("No session is like that", "The filters leave nothing.", all);
  }

  private cells(session: Session): (Node | string)[] {
    const began = link(
      { ...this.route, view: "turns", filters: { session: session.id } },
      format.moment(session.started_at),
      "row-link",
    );
    began.title = format.fullMoment(session.started_at);
    const lasted = make("span", "lasted");
    if (session.ended_at === null) lasted.append(make("span", "chip now", "talking now"));
    else {
      const why = REASONS[session.reason ?? ""] ?? session.reason ?? "";
      lasted.append(format.duration(session.ended_at - session.started_at), " ");
      lasted.append(make("span", "quiet", why));
    }
    const missed = make("span", session.missed ? "over" : "quiet", format.count(session.missed));
    const value = (ms: number | null) => (ms === null ? "–" : format.ms(ms));
    return [
      began,
      lasted,
      format.count(session.turns),
      missed,
      make("span", "v2v", value(session.p50_ms)),
      value(session.p95_ms),
      make("span", "quiet", `${session.pipeline} · ${session.transport}`),
      make("span", "quiet", format.short(session.id)),
    ];
  }
}
