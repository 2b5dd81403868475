/** The tables and words under a turn's waterfall. */
import { stageLabel } from "../../stages";
import { icon, make } from "../../view/dom";
import * as format from "../format";
import { shownFigures } from "../figures";
import type { Segment, Turn } from "../model";
import { EVENT_SYMBOLS } from "./waterfall-marks";
import { stageName, tableOf } from "./parts";
import { unheard } from "../unheard";
import { attributes, eventLabel, LEFT_OUT, took, zero } from "../words";

/** Every segment with what it was waited for, and their sum. */
export function waitsTable(turn: Turn): HTMLElement {
  if (turn.v2v_ms === null) return make("p", "quiet", LEFT_OUT[turn.kind]);
  const rows = turn.segments.map((segment, index) => {
    // A stage's budget is said once, beside its first segment.
    const first = turn.segments.findIndex((other) => other.stage === segment.stage) === index;
    return [
      named(segment),
      format.number(segment.ms),
      first ? budget(segment, took(turn.segments, segment.stage)) : "",
      make("span", "cause", segment.cause || "–"),
    ];
  });
  const total = turn.budgets.voice_to_voice;
  const sum: (Node | string)[] = [
    make("b", "", "together"),
    make("b", "", format.number(turn.v2v_ms)),
    total === undefined ? "–" : budgetOf(total, turn.v2v_ms),
    make("span", "cause", zero(turn).way),
  ];
  const heads = ["Wait", "ms", "Budget", "Why"];
  const table = tableOf("Each wait, its budget and its cause", heads, [...rows, sum], [1, 2]);
  table.classList.add("waits");
  return table;
}

function named(segment: Segment): Node {
  const name = stageName(segment.stage);
  if (segment.name !== segment.stage && segment.name !== stageLabel(segment.stage)) {
    name.append(make("small", "quiet", segment.name.replace(/[_.]+/g, " ")));
  }
  return name;
}

function budget(segment: Segment, spent: number): Node | string {
  return segment.budget_ms === null ? "–" : budgetOf(segment.budget_ms, spent);
}

function budgetOf(allowed: number, spent: number): Node {
  const cell = make("span", "", format.number(allowed));
  if (spent > allowed) cell.append(" ", make("span", "over", `+${format.number(spent - allowed)}`));
  return cell;
}

/** Both sides' words; of the agent's, those that were cut off are told apart. */
export function wordsSaid(turn: Turn): HTMLElement {
  const { words } = turn;
  if (!words) {
    const none = make(
      "p",
      "quiet",
      "Words are not stored on this server. To store them, start it with ",
    );
    none.append(make("code", "", "--set trace.transcripts=true"), ".");
    return none;
  }
  const list = make("dl", "said");
  const add = (who: string, ...what: (Node | string)[]) => {
    const said = make("dd");
    said.append(...what);
    list.append(make("dt", "quiet", who), said);
  };
  if (words.user) add(turn.kind === "typed" ? "Caller, typed" : "Caller", words.user);
  const cut = unheard(words.agent, words.heard);
  if (!words.agent && !words.heard) add("Agent", make("span", "quiet", "said nothing"));
  else if (!cut) add("Agent", words.heard || words.agent);
  else {
    const never = make("s", "cut-words", cut);
    never.title = "Cut off: never heard";
    add("Agent", words.heard, " ", make("span", "unseen", "(not heard from here:)"), never);
    list.append(
      make("dt", "unseen", "Note"),
      make("dd", "quiet", "The struck words were never heard."),
    );
  }
  return list;
}

export function figuresList(turn: Turn): HTMLElement {
  const figures = shownFigures(turn.figures);
  if (!figures.length) return make("p", "quiet", "None were taken.");
  const list = make("dl", "figures");
  for (const [label, value] of figures) {
    const row = list.appendChild(make("div"));
    row.append(make("dt", "", label), make("dd", "", value));
  }
  return list;
}

export function eventsTable(turn: Turn): HTMLElement {
  if (!turn.events.length) return make("p", "quiet", "Nothing was noted.");
  const rows = [...turn.events]
    .sort((a, b) => a.at_ms - b.at_ms)
    .map((event) => {
      const name = make("span", "event-name");
      name.dataset.event = event.name;
      name.append(icon(EVENT_SYMBOLS[event.name] ?? "dot", "glyph"), eventLabel(event.name));
      return [format.ms(event.at_ms), name, make("span", "quiet", attributes(event.attributes))];
    });
  const table = tableOf("Events of this turn", ["At", "What", ""], rows, [0]);
  table.classList.add("events");
  table.tabIndex = 0; // it scrolls
  table.setAttribute("role", "region");
  table.setAttribute("aria-label", "Events of this turn");
  return table;
}
