/** How a stage's times spread: a bar for each range, those over the budget told apart. */
import { make } from "../../view/dom";
import * as format from "../format";
import type { StageStats } from "../model";
import { position, ticks } from "../scale";
import { place } from "./parts";

export function histogram(figures: StageStats, label: string): HTMLElement {
  const { edges, counts } = figures.histogram;
  const figure = make("figure", "histogram");
  const [low, high] = [edges[0] ?? 0, edges.at(-1) ?? 1];
  const domain = { from: Math.min(0, low), to: Math.max(high, low + 1) };
  const budget = figures.budget_ms;
  const most = Math.max(1, ...counts);

  const bars = figure.appendChild(make("div", "bars"));
  bars.setAttribute("role", "img");
  bars.setAttribute("aria-label", spread(figures, label));
  counts.forEach((count, index) => {
    const [from, to] = [edges[index] ?? 0, edges[index + 1] ?? 0];
    if (count === 0) return;
    const bar = bars.appendChild(make("i"));
    place(bar, position(domain, from), (to - from) / (domain.to - domain.from));
    bar.style.height = `${Math.max(1.5, (count / most) * 100)}%`;
    bar.classList.toggle("over", budget !== null && from >= budget);
    const range =
      index === counts.length - 1
        ? `${format.ms(from)} and more`
        : `${format.number(from)} to ${format.ms(to)}`;
    bar.title = `${range}: ${format.counted(count, "turn")}`;
  });
  if (budget !== null && budget <= domain.to) {
    const mark = bars.appendChild(make("b", "", `budget ${format.number(budget)}`));
    place(mark, position(domain, budget));
    mark.classList.toggle("flip", position(domain, budget) > 0.75);
  }
  const axis = figure.appendChild(make("div", "ticks"));
  axis.setAttribute("aria-hidden", "true");
  for (const tick of ticks(domain, 6)) {
    place(axis.appendChild(make("span", "", format.number(tick))), position(domain, tick));
  }
  return figure;
}

function spread(figures: StageStats, label: string): string {
  const over = figures.over === null ? "" : `, ${format.count(figures.over)} over the budget`;
  return `${label}: ${format.counted(figures.n, "turn")}, median ${format.ms(figures.p50)}, 95 % within ${format.ms(figures.p95)}${over}`;
}
