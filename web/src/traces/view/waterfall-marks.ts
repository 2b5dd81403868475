/** The marks of a waterfall that are no bars: symbols of events and outcomes, flags on the axis. */
import { TOTAL } from "../../stages";
import { make } from "../../view/dom";
import * as format from "../format";
import type { Turn } from "../model";
import { type Domain, position } from "../scale";
import { zero } from "../words";
import { place } from "./parts";

/** Symbols (`#i-...`) by event; others get a dot. */
export const EVENT_SYMBOLS: Record<string, string> = {
  partial: "dot",
  final: "ok",
  late_final: "missed",
  no_final: "miss",
  typed: "dot",
  "speculation.start": "begin",
  "speculation.hit": "hit",
  "speculation.miss": "miss",
  release: "on",
  retract: "back",
  duck: "down",
  unduck: "up",
  hush: "pause",
  barge_in: "stop",
  resume: "begin",
  first_sound: "sound",
  answer_sound: "sound",
  played_out: "ok",
  tool: "tool",
  "budget.miss": "flag",
  retry: "back",
  apology: "missed",
  underrun: "missed",
  strained: "missed",
};

export const OUTCOME_SYMBOLS = { hit: "hit", miss: "miss", dropped: "dropped" } as const;

/** px of a letter of a flag, about. */
const LETTER = 6.6;

/** What the lines through the waterfall mean; two levels, so that flags do not lie on each other. */
export function axisFlags(turn: Turn, domain: Domain, width: number): HTMLElement[] {
  const flags: HTMLElement[] = [];
  const add = (ms: number, text: string, kind: string, level: number, leftwards: boolean) => {
    const at = position(domain, ms);
    if (at < 0 || at > 1) return;
    const flag = make("span", `flag ${kind}`, text);
    flag.dataset.level = String(level);
    const room = (leftwards ? at : 1 - at) * width;
    const other = (leftwards ? 1 - at : at) * width;
    const needed = text.length * LETTER + 8;
    flag.classList.toggle("leftwards", room < needed && other > room ? !leftwards : leftwards);
    place(flag, at);
    flags.push(flag);
  };
  add(0, zero(turn).flag, "zero", 0, true);
  if (turn.v2v_ms !== null) {
    add(turn.v2v_ms, `first sound ${format.ms(turn.v2v_ms)}`, "first-sound", 0, false);
  }
  const budget = turn.budgets[TOTAL];
  if (budget !== undefined) add(budget, `budget ${format.ms(budget)}`, "budget", 1, false);
  return flags;
}
