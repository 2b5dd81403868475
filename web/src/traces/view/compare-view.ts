/** Two runs side by side: what changed in each stage, and how sure that is. */
import { byOrder, stageLabel } from "../../stages";
import { make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { ComparedStage, Comparison, Run } from "../model";
import { HOME, type Route } from "../route";
import { position, roundUp } from "../scale";
import { difference, direction } from "../words";
import { emptyState, place, section, stageName, tableOf } from "./parts";
import { Latest, type Navigate, type View } from "./view";

export class CompareView implements View {
  readonly element = make("div", "view");
  private readonly requests = new Latest();
  private readonly choice = make("div", "choose-runs");
  private readonly result = make("div");
  private route: Route = HOME;

  constructor(private readonly navigate: Navigate) {
    this.element.append(this.choice, this.result);
  }

  async show(route: Route): Promise<void> {
    this.route = route;
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const answer = await this.requests.run((signal) => api.runs(signal));
    const runs = answer.runs.filter((run) => run.turns > 0);
    if (runs.length < 2) {
      this.choice.replaceChildren();
      this.result.replaceChildren(oneRun());
      return;
    }
    // Newest first: by default the last two, the older one as what to compare with.
    const { a = runs[1]?.id ?? "", b = runs[0]?.id ?? "" } = this.route;
    this.choice.replaceChildren(
      this.select("Before", "a", runs, a),
      this.select("After", "b", runs, b),
    );
    const compared = await this.requests.run((signal) => api.compare(a, b, signal));
    this.result.replaceChildren(comparison(compared));
  }

  private select(
    title: string,
    side: "a" | "b",
    runs: readonly Run[],
    chosen: string,
  ): HTMLElement {
    const label = make("label", "field");
    const select = make("select");
    for (const run of runs) {
      const name = `${format.moment(run.started_at)} · ${run.pipeline} · ${run.version} · ${format.counted(run.turns, "turn")}`;
      const option = select.appendChild(make("option", "", name));
      option.value = run.id;
    }
    select.value = chosen;
    select.addEventListener("change", () =>
      this.navigate({ ...this.route, [side]: select.value }, true),
    );
    label.append(make("span", "", title), select);
    return label;
  }
}

function oneRun(): HTMLElement {
  return emptyState(
    "There is only one run with turns so far",
    "A run is the life of one server process. Change something, start the server again, talk to it, and compare the two here.",
  );
}

function comparison(compared: Comparison): HTMLElement {
  const stages = Object.entries(compared.stages).sort(([a], [b]) => byOrder(a, b));
  if (!stages.some(([, { a, b }]) => a.n && b.n)) {
    return emptyState("Nothing to compare", "One of these runs has no answered turn.");
  }
  const reach = roundUp(
    Math.max(
      10,
      ...stages.flatMap(([, { delta, ci95 }]) =>
        [delta.p50 ?? 0, ...(ci95.p50 ?? [])].map(Math.abs),
      ),
    ),
  );
  const rows = stages.map(([stage, figures]) => [
    stageName(stage),
    verdict(figures),
    interval(stage, figures, reach),
    format.number(figures.a.p50),
    format.number(figures.b.p50),
    format.number(figures.a.p95),
    format.number(figures.b.p95),
    make("span", "", format.change(figures.delta.p95 ?? 0)),
  ]);
  const heads = [
    "Stage",
    "Median",
    `${format.change(-reach)} to ${format.change(reach)}`,
    "p50 before",
    "p50 after",
    "p95 before",
    "p95 after",
    "p95 change",
  ];
  const total = compared.stages.voice_to_voice;
  const note = make(
    "p",
    "quiet",
    `The bars are 95 % confidence intervals of the change of the median${total ? `, from ${format.counted(total.a.n, "answered turn")} before and ${format.count(total.b.n)} after` : ""}. One that crosses the line shows no difference.`,
  );
  return section(
    "What changed, in ms",
    tableOf("Two runs compared", heads, rows, [3, 4, 5, 6, 7]),
    note,
  );
}

function interval(stage: string, figures: ComparedStage, reach: number): HTMLElement {
  const { delta, ci95 } = figures;
  const bar = make("span", "interval");
  bar.dataset.direction = direction(figures);
  const domain = { from: -reach, to: reach };
  if (ci95.p50) {
    const [low, high] = ci95.p50;
    place(bar.appendChild(make("i")), position(domain, low), (high - low) / (2 * reach));
    bar.title = `${format.change(low)} to ${format.change(high)}`;
  }
  if (delta.p50 !== null) place(bar.appendChild(make("b")), position(domain, delta.p50));
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `${stageLabel(stage)}: ${bar.title || "no interval"}`);
  return bar;
}

function verdict(figures: ComparedStage): HTMLElement {
  const words = difference(figures);
  const element = make("span", "changed", words);
  element.dataset.direction = direction(figures);
  return element;
}
