/**
 * A table of any length that keeps only the rows on screen in the document. Rows have one height,
 * the CSS variable `--row` of the table; the page itself scrolls.
 */
import { make } from "../../view/dom";
import { visibleRows } from "../scale";

export interface LongTableParts<T> {
  caption: string;
  heads: readonly string[];
  className: string;
  key(item: T): string;
  /** The cells of an item's row. */
  cells(item: T): (Node | string)[];
  /** The end is near and there is more to fetch. */
  more(): void;
}

/** Rows from the end at which more are asked for. */
const NEAR_END = 60;

export class LongTable<T> {
  readonly element: HTMLTableElement;
  private readonly body: HTMLTableSectionElement;
  private readonly above = spacer();
  private readonly below = spacer();
  private items: readonly T[] = [];
  private total = 0;
  private drawn = new Map<string, { item: T; row: HTMLTableRowElement }>();
  private due = false;

  constructor(private readonly parts: LongTableParts<T>) {
    // Rows are grids, which would take their table's meaning from them: the roles give it back.
    const table = (this.element = make("table", `long ${parts.className}`));
    table.setAttribute("role", "table");
    table.append(make("caption", "unseen", parts.caption));
    const head = table.createTHead();
    head.setAttribute("role", "rowgroup");
    const row = head.insertRow();
    row.setAttribute("role", "row");
    for (const text of parts.heads) {
      const cell = row.appendChild(make("th", "", text));
      cell.setAttribute("role", "columnheader");
    }
    this.body = table.createTBody();
    this.body.setAttribute("role", "rowgroup");
    addEventListener("scroll", () => this.wake(), { passive: true });
    addEventListener("resize", () => this.wake());
  }

  /** The table's first row is on screen, or above it by less than a row. */
  get atTop(): boolean {
    return this.body.getBoundingClientRect().top > -this.rowHeight;
  }

  show(items: readonly T[], total: number): void {
    this.items = items;
    this.total = total;
    this.draw();
  }

  /** Make every row anew: something they are drawn with has changed. */
  redraw(): void {
    this.drawn.clear();
    this.draw();
  }

  private get rowHeight(): number {
    return parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 48;
  }

  private wake(): void {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      if (this.element.isConnected) this.draw();
    });
  }

  private draw(): void {
    const height = this.rowHeight;
    const top = -this.body.getBoundingClientRect().top;
    const [first, end] = visibleRows(top, innerHeight, height, this.items.length);
    this.above.style.height = `${first * height}px`;
    this.below.style.height = `${(this.items.length - end) * height}px`;
    this.element.setAttribute("aria-rowcount", String(this.total + 1));

    const before = this.drawn;
    this.drawn = new Map();
    const rows = this.items.slice(first, end).map((item, index) => {
      const key = this.parts.key(item);
      const known = before.get(key);
      const row = known?.item === item ? known.row : this.row(item);
      row.setAttribute("aria-rowindex", String(first + index + 2));
      this.drawn.set(key, { item, row });
      return row;
    });
    reconcile(this.body, [this.above, ...rows, this.below]);
    if (end > this.items.length - NEAR_END && this.items.length < this.total) this.parts.more();
  }

  private row(item: T): HTMLTableRowElement {
    const row = make("tr");
    row.setAttribute("role", "row");
    this.parts.cells(item).forEach((content, index) => {
      const cell = row.insertCell();
      cell.setAttribute("role", "cell");
      cell.dataset.head = this.parts.heads[index];
      cell.append(content);
    });
    return row;
  }
}

function spacer(): HTMLTableRowElement {
  const row = make("tr", "spacer");
  row.setAttribute("role", "presentation");
  return row;
}

/** Make `wanted` the children of `parent` while touching only what differs, so that focus stays. */
function reconcile(parent: Node, wanted: readonly ChildNode[]): void {
  const keep = new Set<ChildNode>(wanted);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, index) => {
    const there = parent.childNodes[index];
    if (there !== child) parent.insertBefore(child, there ?? null);
  });
}
