/** The filters over a view. What is chosen is in the address; this only shows and changes that. */
import { byId, make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { Facets, Run } from "../model";
import { type Facet, type Filters, isFiltered, type Route } from "../route";
import { kindLabel, link } from "./parts";
import type { Navigate } from "./view";

const RANGE_LABELS: Record<string, string> = {
  "15m": "last 15 minutes",
  "1h": "last hour",
  "24h": "last 24 hours",
  "7d": "last 7 days",
};

const VERDICTS: Record<string, string> = {
  ok: "in budget",
  missed: "over budget",
  none: "no verdict",
};

const SELECTS: [facet: Facet, from: keyof Facets, label: string, any: string][] = [
  ["pipeline", "pipelines", "Pipeline", "every pipeline"],
  ["transport", "transports", "Transport", "every transport"],
  ["verdict", "verdicts", "Verdict", "every verdict"],
  ["kind", "kinds", "Kind", "every kind"],
  ["run", "runs", "Run", "every run"],
];

export class FilterBar {
  private readonly form = byId<HTMLFormElement>("filters");
  private readonly toggle = make("button", "ghost outlined small toggle", "Filters");
  private readonly fields = make("div", "fields");
  private readonly extras = make("span", "extras");
  private facets: Facets | null = null;
  /** When each run began. */
  private runs = new Map<string, string>();
  private route: Route | null = null;

  constructor(private readonly navigate: Navigate) {
    this.toggle.type = "button";
    this.toggle.setAttribute("aria-expanded", "false");
    this.toggle.addEventListener("click", () => {
      const open = this.form.classList.toggle("open");
      this.toggle.setAttribute("aria-expanded", String(open));
    });
    this.form.append(this.toggle, this.fields, this.extras);
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** The values there are to choose from. */
  offer(facets: Facets, runs: readonly Run[]): void {
    this.facets = facets;
    this.runs = new Map(runs.map((run) => [run.id, format.moment(run.started_at)]));
    if (this.route) this.show(this.route);
  }

  show(route: Route): void {
    this.route = route;
    const used = route.turn === undefined && route.view !== "compare";
    this.form.hidden = !used || this.facets === null;
    if (!used || !this.facets) return;
    const { filters } = route;
    const facets = this.facets;
    const wanted = SELECTS.filter(
      ([facet]) => route.view !== "sessions" || !/verdict|kind/.test(facet),
    );
    const focused = (document.activeElement as HTMLElement | null)?.dataset.facet;
    this.fields.replaceChildren(
      ...wanted.map(([facet, from, label, any]) =>
        this.select(
          facet,
          label,
          [["", any], ...facets[from].map((value) => [value, this.named(facet, value)] as const)],
          filters[facet] ?? "",
        ),
      ),
      this.select(
        "range",
        "Time",
        [
          ["", filters.since === undefined ? "all the time" : "the chosen time"],
          ...Object.entries(RANGE_LABELS),
        ],
        filters.range ?? "",
      ),
      ...(route.view === "turns" ? [this.sorting(route)] : []),
    );
    if (focused) this.fields.querySelector<HTMLElement>(`[data-facet="${focused}"]`)?.focus();
    const active = Object.values(filters).filter((value) => value !== undefined).length;
    this.toggle.textContent = active ? `Filters (${active})` : "Filters";
    this.extras.replaceChildren(...this.chips(route), ...exports(filters));
  }

  private select(
    key: string,
    label: string,
    options: readonly (readonly [value: string, text: string])[],
    chosen: string,
    choose = (value: string) => this.change({ [key]: value || undefined }),
  ): HTMLElement {
    const select = make("select");
    select.setAttribute("aria-label", label);
    select.dataset.facet = key;
    const known = options.some(([value]) => value === chosen)
      ? options
      : [...options, [chosen, chosen] as const];
    for (const [value, text] of known) {
      const option = select.appendChild(make("option", "", text));
      option.value = value;
    }
    select.value = chosen;
    select.classList.toggle("chosen", chosen !== "" && chosen !== "recent");
    select.addEventListener("change", () => choose(select.value));
    return select;
  }

  private named(facet: Facet, value: string): string {
    if (facet === "verdict") return VERDICTS[value] ?? value;
    if (facet === "run") return `run of ${this.runs.get(value) ?? format.short(value)}`;
    return facet === "kind" ? kindLabel(value) : value;
  }

  private sorting(route: Route): HTMLElement {
    const orders = [
      ["recent", "newest first"],
      ["slowest", "slowest first"],
    ] as const;
    return this.select("sort", "Order", orders, route.sort, (chosen) =>
      this.navigate({ ...route, sort: chosen === "slowest" ? "slowest" : "recent" }),
    );
  }

  private change(part: Filters): void {
    if (!this.route) return;
    const filters: Filters = { ...this.route.filters, ...part };
    if ("range" in part) delete filters.since;
    if ("range" in part) delete filters.until;
    this.navigate({ ...this.route, filters });
  }

  /** Filters that have no field, each with its way out. */
  private chips(route: Route): HTMLElement[] {
    const { session, since, until, ...others } = route.filters;
    const chips: HTMLElement[] = [];
    const chip = (text: string, filters: Filters) => {
      const anchor = link({ ...route, filters }, `${text} ✕`, "chip away");
      anchor.setAttribute("aria-label", `${text}: take this filter away`);
      chips.push(anchor);
    };
    if (session) chip(`session ${format.short(session)}`, { ...others, since, until });
    if (since !== undefined || until !== undefined) {
      const from = since === undefined ? "" : format.moment(since);
      const to = until === undefined ? "now" : format.moment(until);
      chip(`${from} to ${to}`, { ...others, session });
    }
    if (isFiltered(route.filters) && !session && since === undefined) {
      chips.push(link({ ...route, filters: {} }, "clear", "chip away"));
    }
    return chips;
  }
}

function exports(filters: Filters): HTMLElement[] {
  return (["json", "csv"] as const).map((form) => {
    const anchor = make("a", "quiet", form.toUpperCase());
    anchor.setAttribute("aria-label", `Export these turns as ${form.toUpperCase()}`);
    // The range counts back from now: asked for at the click, not when this was drawn.
    anchor.href = api.exportUrl(filters, form);
    anchor.addEventListener("click", () => (anchor.href = api.exportUrl(filters, form)));
    anchor.download = "";
    return anchor;
  });
}
