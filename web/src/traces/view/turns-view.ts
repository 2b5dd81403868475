/** The list of turns, newest or slowest first, under a summary of what the filters leave. */
import { TOTAL } from "../../stages";
import { make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { Stats, TurnPage, TurnSummary } from "../model";
import { type Filters, HOME, isFiltered, matches, type Route } from "../route";
import { roundUp } from "../scale";
import { PercentileChart } from "./chart";
import { firstRun, stageLegend, tiles } from "./summary";
import { LongTable } from "./long-table";
import { emptyState, kindLabel, link, miniBar, verdictChip } from "./parts";
import { Latest, type Navigate, throttled, type View } from "./view";

const BUCKETS = 80;
/** How often figures follow turns that come in. */
const REFRESH_MS = 4000;
const DEFAULT_SCALE_MS = 1000;

export class TurnsView implements View {
  readonly element = make("div", "view");
  private readonly list = new Latest();
  private readonly figures = new Latest();
  private readonly summary = make("section", "summary");
  private readonly tiles = make("div", "tiles");
  private readonly chart: PercentileChart;
  private readonly legend = make("p", "legend");
  private readonly pill = make("button", "primary pill");
  private readonly empty = make("div");
  private readonly table = new LongTable<TurnSummary>({
    caption: "Turns",
    className: "turns",
    heads: ["When", "Answer after", "Where it went", "Budget", "Kind", "Pipeline", "Session"],
    key: (turn) => turn.id,
    cells: (turn) => this.cells(turn),
    more: () => void this.more(),
  });
  private route: Route = HOME;
  private turns: TurnSummary[] = [];
  /** Told by the feed and not in the list yet. */
  private unseen = new Map<string, TurnSummary>();
  private next: string | null = null;
  private total = 0;
  private loading = false;
  private scale = DEFAULT_SCALE_MS;
  private readonly followFigures = throttled(() => this.showFigures().catch(ignored), REFRESH_MS);

  constructor(
    navigate: Navigate,
    private readonly failed: (error: unknown) => void,
  ) {
    this.chart = new PercentileChart(150, (since, until) => {
      const { range: _, ...filters } = this.route.filters;
      navigate({ ...this.route, filters: { ...filters, since, until } });
    });
    this.summary.hidden = this.table.element.hidden = this.legend.hidden = true;
    this.summary.setAttribute("aria-label", "Summary");
    this.summary.append(this.tiles, this.chart.element);
    this.pill.type = "button";
    this.pill.hidden = true;
    this.pill.addEventListener("click", () => this.showUnseen());
    this.element.append(this.summary, this.legend, this.pill, this.table.element, this.empty);
  }

  async show(route: Route): Promise<void> {
    const same = sameList(route, this.route) && this.turns.length > 0;
    this.route = route;
    if (same) return this.table.show(this.turns, this.total);
    this.unseen.clear();
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const { filters, sort } = this.route;
    const page = this.list.run((signal) => api.turns(filters, sort, null, signal));
    // Of very many turns the figures take a moment; the list does not wait for them.
    await Promise.all([page.then((first) => this.begin(first)), this.showFigures()]);
  }

  private begin(page: TurnPage): void {
    this.turns = page.turns;
    this.next = page.next;
    this.total = page.total;
    this.takeUnseen();
  }

  turn(turn: TurnSummary): void {
    const known = this.turns.findIndex((other) => other.id === turn.id);
    if (known >= 0) {
      this.turns = this.turns.with(known, turn);
      this.draw();
    } else if (matches(turn, this.route.filters, Date.now() / 1000)) {
      this.unseen.set(turn.id, turn);
      if (this.route.sort === "recent" && this.table.atTop) this.takeUnseen();
      else this.tellUnseen();
    }
    this.followFigures();
  }

  recolour(): void {
    this.chart.recolour();
  }

  private tellUnseen(): void {
    this.pill.hidden = false;
    this.pill.textContent = `Show ${format.counted(this.unseen.size, "new turn")}`;
  }

  private showUnseen(): void {
    scrollTo({ top: 0 });
    if (this.route.sort === "recent") this.takeUnseen();
    else void this.refresh().catch(this.failed);
  }

  /** The newest go on top: the feed is ahead of the file, so that asking again might miss them. */
  private takeUnseen(): void {
    const known = new Set(this.turns.map((turn) => turn.id));
    const newer = [...this.unseen.values()].filter((turn) => !known.has(turn.id));
    this.unseen.clear();
    this.pill.hidden = true;
    if (this.route.sort === "recent" && newer.length) {
      this.turns = [...newer, ...this.turns].sort((a, b) => b.started_at - a.started_at);
      this.total += newer.length;
    }
    this.draw();
  }

  private async more(): Promise<void> {
    if (this.loading || this.next === null) return;
    this.loading = true;
    const { filters, sort } = this.route;
    try {
      const cursor = this.next;
      const page = await this.list.run((signal) => api.turns(filters, sort, cursor, signal));
      const known = new Set(this.turns.map((turn) => turn.id));
      this.turns = [...this.turns, ...page.turns.filter((turn) => !known.has(turn.id))];
      this.next = page.next;
      this.draw();
    } catch (error) {
      this.failed(error);
    } finally {
      this.loading = false;
    }
  }

  private async showFigures(): Promise<void> {
    const { filters } = this.route;
    const stats = await this.figures.run((signal) => api.stats(filters, BUCKETS, signal));
    const scale = scaleOf(stats);
    if (scale !== this.scale) {
      this.scale = scale;
      this.table.redraw();
    }
    this.tiles.replaceChildren(...tiles(stats));
    this.chart.element.hidden = !stats.stages[TOTAL]?.n;
    if (!this.chart.element.hidden) this.chart.show(stats, TOTAL, "Voice to voice");
    this.legend.replaceChildren(...stageLegend(Object.keys(stats.stages), this.scale));
  }

  private draw(): void {
    const any = this.turns.length > 0;
    this.table.element.hidden = this.legend.hidden = !any;
    this.summary.hidden = !any;
    this.table.show(this.turns, this.total);
    this.empty.replaceChildren(...(any ? [] : [this.nothing(this.route.filters)]));
  }

  private nothing(filters: Filters): HTMLElement {
    if (!isFiltered(filters)) return firstRun();
    const all = link({ ...this.route, filters: {} }, "Take the filters away", "button outlined");
    return emptyState("No turn is like that", "The filters leave nothing.", all);
  }

  private cells(turn: TurnSummary): (Node | string)[] {
    const when = link({ turn: turn.id }, format.moment(turn.started_at), "row-link");
    when.title = format.fullMoment(turn.started_at);
    const after = make("span", "v2v", turn.v2v_ms === null ? "–" : format.ms(turn.v2v_ms));
    after.dataset.kind = turn.kind;
    const kind = make("span", "kind", kindLabel(turn.kind));
    kind.dataset.kind = turn.kind;
    const where = make("span", "quiet", `${turn.pipeline} · ${turn.transport}`);
    const session = link(
      { ...this.route, filters: { ...this.route.filters, session: turn.session } },
      `${format.short(turn.session)} · ${turn.turn}`,
      "quiet",
    );
    session.title = "Only this session";
    return [when, after, miniBar(turn, this.scale), verdictChip(turn), kind, where, session];
  }
}

const ignored = (): void => undefined;

const sameList = (a: Route, b: Route): boolean =>
  a.sort === b.sort && JSON.stringify(a.filters) === JSON.stringify(b.filters);

/** The end of the bars' scale: room for most turns, and for the budget. */
function scaleOf(stats: Stats): number {
  const total = stats.stages[TOTAL];
  if (!total?.p95) return DEFAULT_SCALE_MS;
  return roundUp(Math.max(total.p95, (total.budget_ms ?? 0) * 1.2));
}
