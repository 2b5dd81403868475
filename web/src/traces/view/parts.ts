/** Small pieces that several views are made of. */
import { stageColour, stageLabel, TOTAL } from "../../stages";
import { icon, make } from "../../view/dom";
import * as format from "../format";
import type { Kind, TurnSummary } from "../model";
import { HOME, href, type Route } from "../route";
import { position } from "../scale";
import { type Judged, KINDS, verdictLabel } from "../words";

/** A link within the dashboard; main.ts follows it without loading the page anew. */
export function link(route: Partial<Route>, text: string, className = ""): HTMLAnchorElement {
  const anchor = make("a", className, text);
  anchor.href = href({ ...HOME, ...route });
  return anchor;
}

/** Whether the budget was kept: a symbol and words, so that colour says nothing alone. */
export function verdictChip(turn: Judged): HTMLElement {
  const chip = make("span", "chip");
  chip.dataset.verdict = turn.verdict ?? "none";
  chip.append(icon(turn.verdict ?? "none", "glyph"), verdictLabel(turn));
  if (turn.verdict === "missed") chip.prepend(make("span", "unseen", "over budget: "));
  return chip;
}

export function kindLabel(kind: string): string {
  return KINDS[kind as Kind] ?? kind;
}

/** A turn's waits as one thin bar on a scale from 0 to `scale` ms, with a mark at its budget. */
export function miniBar(turn: TurnSummary, scale: number): HTMLElement {
  const bar = make("span", "mini");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", barWords(turn));
  const domain = { from: 0, to: scale };
  for (const segment of turn.segments) {
    const piece = bar.appendChild(make("i"));
    piece.dataset.colour = String(stageColour(segment.stage));
    place(piece, position(domain, segment.start_ms), segment.ms / scale);
    piece.title = `${stageLabel(segment.stage)}: ${format.ms(segment.ms)}`;
  }
  const budget = turn.budgets[TOTAL];
  if (budget !== undefined && budget <= scale) {
    place(bar.appendChild(make("b")), position(domain, budget));
  }
  if ((turn.v2v_ms ?? 0) > scale) bar.append(make("em", "", "›"));
  return bar;
}

const barWords = (turn: TurnSummary): string =>
  turn.segments.map((s) => `${stageLabel(s.stage)} ${format.ms(s.ms)}`).join(", ") || "no waits";

/** Put an element at a share of its parent's width. Shares, not pixels: it follows any width. */
export function place(element: HTMLElement, left: number, width?: number): void {
  element.style.left = `${(left * 100).toFixed(3)}%`;
  if (width !== undefined) element.style.width = `${(width * 100).toFixed(3)}%`;
}

/** A table with a caption for screen readers and column heads; `numbers` are right-aligned. */
export function tableOf(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly (string | Node)[])[],
  numbers: readonly number[] = [],
): HTMLElement {
  const table = make("table", "plain");
  table.append(make("caption", "unseen", caption));
  // Phones lay some rows out as grids, which then are rows by their role alone.
  const line = (part: HTMLTableSectionElement) => {
    const row = part.insertRow();
    row.setAttribute("role", "row");
    return row;
  };
  const cell = (tag: "th" | "td", role: string, index: number, content: string | Node) => {
    const made = make(tag, numbers.includes(index) ? "number" : "");
    made.setAttribute("role", role);
    made.append(content);
    return made;
  };
  const head = line(table.createTHead());
  head.append(...heads.map((text, index) => cell("th", "columnheader", index, text)));
  const body = table.createTBody();
  for (const row of rows) {
    const [first = "", ...rest] = row;
    line(body).append(
      cell("th", "rowheader", 0, first),
      ...rest.map((content, index) => cell("td", "cell", index + 1, content)),
    );
  }
  const box = make("div", "scroll-x");
  box.append(table);
  return box;
}

/** A stage's name with a patch of its colour. */
export function stageName(stage: string): HTMLElement {
  const name = make("span", "stage-name", stageLabel(stage));
  if (stage !== TOTAL) name.dataset.colour = String(stageColour(stage));
  return name;
}

/** A titled part of a view. */
export function section(title: string, ...content: (Node | string)[]): HTMLElement {
  const part = make("section", "card");
  part.append(make("h2", "", title), ...content);
  return part;
}

/** Says what is not here and what to do. */
export function emptyState(title: string, ...paragraphs: (string | Node)[]): HTMLElement {
  const box = make("div", "nothing");
  box.append(make("h2", "", title));
  for (const words of paragraphs) {
    const paragraph = make("p");
    paragraph.append(words);
    box.append(paragraph);
  }
  return box;
}
