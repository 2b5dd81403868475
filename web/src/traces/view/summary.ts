/** What stands above the lists: tiles, the legend of the bars, and the first thing anybody sees. */
import { byOrder, TOTAL } from "../../stages";
import { make } from "../../view/dom";
import * as format from "../format";
import type { Stats } from "../model";
import { emptyState, stageName } from "./parts";

/** Turns, percentiles and the share in budget, each a number with its name. */
export function tiles(stats: Stats): HTMLElement[] {
  const total = stats.stages[TOTAL];
  const all = Object.values(stats.kinds).reduce((sum, n) => sum + n, 0);
  const { ok = 0, missed = 0 } = stats.verdicts;
  const shown: [string, string, string?][] = [["turns", format.count(all)]];
  if (total?.n) {
    shown.push(["median", format.ms(total.p50)], ["95 % within", format.ms(total.p95)]);
    shown.push(["99 % within", format.ms(total.p99)]);
  }
  if (ok + missed > 0) shown.push(["in budget", format.percent(ok / (ok + missed))]);
  return shown.map(([name, value]) => {
    const tile = make("p", "tile");
    tile.append(make("b", "", value), make("span", "quiet", name));
    return tile;
  });
}

export function stageLegend(stages: readonly string[], scale: number): (Node | string)[] {
  const names = stages.filter((stage) => stage !== TOTAL).sort(byOrder);
  return [
    ...names.map((stage) => stageName(stage)),
    make("span", "quiet", `bars: 0 to ${format.ms(scale)}; the line is the budget`),
  ];
}

/** The list before there was any turn. */
export function firstRun(): HTMLElement {
  const talk = make("a", "button primary", "Talk to the agent");
  talk.href = "../";
  const command = make("code", "", "voice-agent call --url ORIGIN --wav question.wav");
  command.textContent = `voice-agent call --url ${location.origin} --wav question.wav`;
  const shell = make("span", "", "Or call it from a shell: ");
  shell.append(command);
  return emptyState(
    "No turn yet",
    "Every answer of the agent appears here as it is given, with where its milliseconds went.",
    talk,
    shell,
  );
}
