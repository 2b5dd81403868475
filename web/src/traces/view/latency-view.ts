/** Every stage against its budget: percentiles, over time, their spread, and the worst turns. */
import { byOrder, stageLabel, TOTAL } from "../../stages";
import { make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { StageStats, Stats, TurnSummary, Verdict } from "../model";
import { HOME, isFiltered, type Route } from "../route";
import { position, roundUp } from "../scale";
import { PercentileChart } from "./chart";
import { histogram } from "./histogram";
import { firstRun } from "./summary";
import {
  emptyState,
  kindLabel,
  link,
  miniBar,
  place,
  section,
  stageName,
  tableOf,
  verdictChip,
} from "./parts";
import { took } from "../words";
import { Latest, type Navigate, throttled, type View } from "./view";

const BUCKETS = 120;
const WORST = 10;
const REFRESH_MS = 5000;

export class LatencyView implements View {
  readonly element = make("div", "view");
  private readonly requests = new Latest();
  private readonly stages = make("div");
  private readonly spread = make("div");
  private readonly worst = make("div");
  private readonly counts = make("div", "counts");
  private readonly chart: PercentileChart;
  private readonly charted: HTMLElement;
  private readonly spreadCard: HTMLElement;
  private readonly worstCard: HTMLElement;
  private readonly cards: HTMLElement[];
  private readonly empty = make("div");
  private route: Route = HOME;
  private readonly follow = throttled(() => this.refresh().catch(this.failed), REFRESH_MS);

  constructor(
    navigate: Navigate,
    private readonly failed: (error: unknown) => void,
  ) {
    this.chart = new PercentileChart(240, (since, until) => {
      const { range: _, ...filters } = this.route.filters;
      navigate({ ...this.route, filters: { ...filters, since, until } });
    });
    const hint = make("p", "quiet", "Draw over a stretch of time to look at it alone.");
    hint.classList.add("mouse");
    this.charted = section("Over time", this.chart.element, hint);
    this.spreadCard = section("How they spread", this.spread);
    this.worstCard = section("The slowest", this.worst);
    const pair = make("div", "pair");
    pair.append(this.spreadCard, this.worstCard);
    this.cards = [
      section("Stages", this.stages),
      this.charted,
      pair,
      section("Verdicts and kinds", this.counts),
    ];
    for (const card of this.cards) card.hidden = true;
    this.element.append(...this.cards, this.empty);
  }

  async show(route: Route): Promise<void> {
    this.route = route;
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const { filters, stage = TOTAL } = this.route;
    const [stats, worst] = await this.requests.run((signal) =>
      Promise.all([
        api.stats(filters, BUCKETS, signal),
        api.turns(filters, "slowest", null, signal, { stage, limit: WORST }),
      ]),
    );
    const any = Object.keys(stats.kinds).length > 0;
    for (const card of this.cards) card.hidden = !any;
    this.empty.replaceChildren(...(any ? [] : [this.nothing()]));
    if (any) this.draw(stats, worst.turns, stage);
  }

  turn(_turn: TurnSummary): void {
    this.follow();
  }

  recolour(): void {
    this.chart.recolour();
  }

  private nothing(): HTMLElement {
    if (!isFiltered(this.route.filters)) return firstRun();
    const all = link({ ...this.route, filters: {} }, "Take the filters away", "button outlined");
    return emptyState("No turn is like that", "The filters leave nothing.", all);
  }

  private draw(stats: Stats, worst: readonly TurnSummary[], stage: string): void {
    const label = stageLabel(stage);
    title(this.charted, `${label}, over time`);
    title(this.spreadCard, `${label}, how it spreads`);
    title(this.worstCard, `The slowest by ${label}`);
    this.stages.replaceChildren(this.stageTable(stats, stage));
    this.chart.show(stats, stage, label);
    const figures = stats.stages[stage];
    this.spread.replaceChildren(
      figures?.n ? histogram(figures, label) : make("p", "quiet", "Nobody waited for this."),
    );
    this.worst.replaceChildren(worstTable(worst, stage));
    this.counts.replaceChildren(
      this.countList("verdict", stats.verdicts, (verdict) =>
        verdictChip({ verdict: verdict === "none" ? null : (verdict as Verdict), guilty: null }),
      ),
      this.countList("kind", stats.kinds, (kind) => make("span", "kind", kindLabel(kind))),
    );
  }

  private stageTable(stats: Stats, chosen: string): HTMLElement {
    const names = Object.keys(stats.stages).sort(byOrder);
    const most = Math.max(
      ...Object.values(stats.stages).map((s) => Math.max(s.p99 ?? 0, s.budget_ms ?? 0)),
    );
    const scale = roundUp(most);
    const rows = names.map((stage) => {
      const figures = stats.stages[stage] as StageStats;
      const choose = link({ ...this.route, stage: stage === TOTAL ? undefined : stage }, "");
      choose.append(stageName(stage));
      choose.className = "choose";
      if (stage === chosen) choose.setAttribute("aria-current", "true");
      return [
        choose,
        rangeBar(figures, scale),
        format.number(figures.p50),
        format.number(figures.p95),
        format.number(figures.p99),
        figures.budget_ms === null ? "–" : format.number(figures.budget_ms),
        overBudget(figures),
        format.count(figures.n),
      ];
    });
    const heads = [
      "Stage",
      "Median to 99 %",
      "p50 ms",
      "p95 ms",
      "p99 ms",
      "Budget ms",
      "Over",
      "Turns",
    ];
    return tableOf("Percentiles of each stage", heads, rows, [2, 3, 4, 5, 6, 7]);
  }

  private countList(
    facet: "verdict" | "kind",
    counts: Record<string, number>,
    name: (value: string) => HTMLElement,
  ): HTMLElement {
    const list = make("ul", "count-list");
    for (const [value, n] of Object.entries(counts).sort(([, a], [, b]) => b - a)) {
      const filters = { ...this.route.filters, [facet]: value };
      const entry = link({ ...this.route, view: "turns", filters }, "");
      entry.append(make("b", "", format.count(n)), name(value));
      list.appendChild(make("li")).append(entry);
    }
    return list;
  }
}

function title(card: HTMLElement, text: string): void {
  const head = card.querySelector("h2");
  if (head) head.textContent = text[0]?.toUpperCase() + text.slice(1);
}

/** Median, 95 % and 99 % as one bar, with a mark at the budget. */
function rangeBar(figures: StageStats, scale: number): HTMLElement {
  const bar = make("span", "range");
  bar.setAttribute("aria-hidden", "true");
  const domain = { from: 0, to: scale };
  const [p50, p95, p99] = [figures.p50, figures.p95, figures.p99].map((ms) =>
    position(domain, ms ?? 0),
  );
  if (!figures.n || p50 === undefined || p95 === undefined || p99 === undefined) return bar;
  place(bar.appendChild(make("i", "to-99")), p50, p99 - p50);
  place(bar.appendChild(make("i", "to-95")), p50, p95 - p50);
  place(bar.appendChild(make("i", "at-50")), p50);
  if (figures.budget_ms !== null)
    place(bar.appendChild(make("b")), position(domain, figures.budget_ms));
  bar.title = `median ${format.ms(figures.p50)}, 95 % ${format.ms(figures.p95)}, 99 % ${format.ms(figures.p99)}`;
  return bar;
}

function overBudget(figures: StageStats): Node {
  if (figures.over === null || !figures.n) return make("span", "quiet", "–");
  const share = figures.over / figures.n;
  return make("span", share > 0.05 ? "over" : "", format.percent(share));
}

function worstTable(turns: readonly TurnSummary[], stage: string): HTMLElement {
  const scale = roundUp(Math.max(1, ...turns.map((turn) => turn.v2v_ms ?? 0)));
  const rows = turns.map((turn) => [
    link({ turn: turn.id }, format.moment(turn.started_at)),
    make("b", "", format.ms(took(turn.segments, stage))),
    miniBar(turn, scale),
    verdictChip(turn),
  ]);
  return tableOf("The slowest turns", ["When", "Took", "Where it went", "Budget"], rows, [1]);
}
