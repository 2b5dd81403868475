/**
 * Draws a turn's waterfall. One stop of the Tab key; inside it the arrows go from thing to thing,
 * + and - zoom. A mouse draws over a stretch to enlarge it, two fingers or Shift and wheel move it.
 */
import { make } from "../../view/dom";
import * as format from "../format";
import type { Turn } from "../model";
import {
  type Domain,
  NARROWEST_MS,
  position,
  shift,
  ticks,
  waitOf,
  wholeTurn,
  zoom,
} from "../scale";
import { groups, type Item, type Row } from "../waterfall";
import { TOTAL } from "../../stages";
import {
  hideEmptyLanes,
  itemElement,
  overlay,
  placeClipped,
  placeItem,
  placeNote,
  rowElement,
} from "./waterfall-elements";
import { axisFlags } from "./waterfall-marks";
import { followDrag } from "./drag";
import { place } from "./parts";
import type { Tip } from "./tip";

const TICK_PX = 90;
const STEP = 1.6;

interface Drawn {
  item: Item;
  element: HTMLButtonElement;
  row: number;
}

export class WaterfallView {
  readonly element = make("div", "waterfall");
  private readonly tools = make("div", "tools");
  private readonly chart = make("div", "wf");
  private readonly axis = make("div", "wf-track wf-axis");
  private readonly lines = make("div", "wf-track wf-lines");
  private readonly front = make("div", "wf-track wf-lines");
  private readonly rows = make("div", "wf-rows");
  private readonly playhead = make("i", "playhead");
  private turn: Turn | null = null;
  private bounds: Domain = { from: -1, to: 1 };
  private domain: Domain = this.bounds;
  private drawn: Drawn[] = [];
  private tracks: HTMLElement[] = [];
  private current = 0;
  private width = 0;
  private played: number | null = null;

  constructor(
    private readonly tip: Tip,
    /** A place on the axis was chosen to listen from, ms. */
    private readonly listen: (at_ms: number) => void,
  ) {
    const head = make("div", "wf-row wf-head");
    head.append(make("span", "wf-label"), this.axis, make("span", "wf-figure"));
    this.axis.setAttribute("aria-hidden", "true");
    this.front.append(this.playhead);
    this.chart.append(head, overlay(this.lines), this.rows, overlay(this.front));
    this.chart.setAttribute("role", "group");
    this.element.append(this.tools, this.chart);
    this.chart.addEventListener("keydown", (event) => this.key(event));
    this.chart.addEventListener("pointerdown", (event) => this.drag(event));
    this.chart.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.resized()).observe(this.axis);
  }

  /** The canvas rows of a recording, by name of the span they stand for. */
  waves: Map<string, (track: HTMLElement, domain: Domain) => void> = new Map();

  show(turn: Turn): void {
    const again = this.turn?.id === turn.id;
    this.turn = turn;
    this.bounds = wholeTurn(turn);
    const wait = waitOf(turn);
    if (!again) {
      this.domain = wait ?? this.bounds;
      this.current = 0;
    }
    this.chart.setAttribute("aria-label", `Waterfall of turn ${turn.turn}; arrow keys move within`);
    this.tools.replaceChildren(
      ...(wait ? [this.tool("The wait", () => this.go(wait))] : []),
      this.tool("Whole turn", () => this.go(this.bounds)),
      this.tool("−", () => this.scale(STEP), "Zoom out"),
      this.tool("+", () => this.scale(1 / STEP), "Zoom in"),
    );
    this.build(turn);
    this.draw();
  }

  /** Where the recording is being played, ms; null: nowhere. */
  play(at_ms: number | null): void {
    this.played = at_ms;
    this.placePlayhead();
  }

  private tool(label: string, act: () => void, name?: string): HTMLButtonElement {
    const button = make("button", "ghost outlined small", label);
    button.type = "button";
    if (name) button.setAttribute("aria-label", name);
    button.addEventListener("click", act);
    return button;
  }

  private build(turn: Turn): void {
    this.drawn = [];
    this.tracks = [];
    const parts: HTMLElement[] = [];
    for (const group of groups(turn)) {
      const head = make("h3", "wf-title", group.title);
      parts.push(head, ...group.rows.map((row) => this.row(row)));
    }
    this.rows.replaceChildren(...parts);
    this.current = Math.min(this.current, Math.max(0, this.drawn.length - 1));
    this.drawn.forEach(
      ({ element }, index) => (element.tabIndex = index === this.current ? 0 : -1),
    );
  }

  private row(row: Row): HTMLElement {
    const { element, track } = rowElement(row);
    const number = this.tracks.push(track);
    for (const lane of row.lanes) {
      const strip = track.appendChild(make("span", "lane"));
      for (const item of lane) strip.append(this.item(item, number));
    }
    return element;
  }

  private item(item: Item, row: number): HTMLElement {
    const element = itemElement(item);
    const index = this.drawn.push({ item, element, row }) - 1;
    const explain = (x?: number) => this.tip.show(element, item.title, item.details, x);
    element.addEventListener("focus", () => {
      this.become(index);
      explain();
    });
    element.addEventListener("pointerenter", (event) => explain(event.clientX));
    element.addEventListener("click", () => explain());
    for (const leave of ["blur", "pointerleave"]) {
      element.addEventListener(leave, () => this.tip.hide(element));
    }
    return element;
  }

  // ----- drawing -----

  private go(domain: Domain): void {
    this.domain = domain;
    this.draw();
  }

  private scale(factor: number, centre = (this.domain.from + this.domain.to) / 2): void {
    this.go(zoom(this.domain, centre, factor, this.bounds));
  }

  private resized(): void {
    const width = this.axis.clientWidth;
    if (width === this.width) return;
    this.width = width;
    this.draw();
  }

  private draw(): void {
    const { turn, domain } = this;
    if (!turn) return;
    this.width = this.axis.clientWidth;
    for (const { item, element } of this.drawn) placeItem(item, element, domain, this.width);
    for (const track of this.tracks) hideEmptyLanes(track);
    for (const track of this.tracks) {
      const allowed = track.querySelector<HTMLElement>(".allowance");
      if (allowed)
        placeClipped(allowed, domain, Number(allowed.dataset.from), Number(allowed.dataset.to));
      const note = track.querySelector<HTMLElement>(".wf-note");
      if (note) placeNote(note, domain, this.width);
      const wave = this.waves.get(track.dataset.row ?? "");
      wave?.(track, domain);
    }
    this.drawAxis(turn);
    this.placePlayhead();
  }

  private drawAxis(turn: Turn): void {
    const marks = ticks(this.domain, this.width / TICK_PX);
    const flags = axisFlags(turn, this.domain, this.width);
    this.axis.replaceChildren(
      ...flags,
      ...marks.map((tick) => {
        const mark = make("span", "tick", tick === 0 ? "0" : format.number(tick));
        place(mark, position(this.domain, tick));
        return mark;
      }),
    );
    const line = (ms: number, className: string) => {
      const element = make("i", className);
      const at = position(this.domain, ms);
      element.hidden = at < 0 || at > 1;
      place(element, at);
      return element;
    };
    const lines = marks.map((tick) => line(tick, "grid"));
    lines.push(line(0, "zero"));
    if (turn.v2v_ms !== null) {
      lines.push(line(turn.v2v_ms, "first-sound"));
      const wait = make("i", "wait");
      placeClipped(wait, this.domain, 0, turn.v2v_ms);
      lines.unshift(wait);
    }
    const budget = turn.budgets[TOTAL];
    if (budget !== undefined) lines.push(line(budget, "budget"));
    this.lines.replaceChildren(...lines);
  }

  private placePlayhead(): void {
    const at = this.played === null ? -1 : position(this.domain, this.played);
    this.playhead.hidden = at < 0 || at > 1;
    place(this.playhead, at);
  }

  // ----- keyboard and mouse -----

  private become(index: number): void {
    const before = this.drawn[this.current];
    if (before) before.element.tabIndex = -1;
    this.current = index;
    const now = this.drawn[index];
    if (now) now.element.tabIndex = 0;
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const now = this.drawn[this.current];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const row = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && now) this.focus(this.beside(now, step));
    else if (row && now) this.focus(this.inRow(now, row));
    else if (event.key === "Home") this.focus(this.drawn[0]);
    else if (event.key === "End") this.focus(this.drawn.at(-1));
    else if (event.key === "+" || event.key === "=") this.scale(1 / STEP, now?.item.start_ms);
    else if (event.key === "-") this.scale(STEP, now?.item.start_ms);
    else return;
    event.preventDefault();
  }

  private beside(now: Drawn, step: number): Drawn | undefined {
    const row = this.drawn
      .filter((other) => other.row === now.row)
      .sort((a, b) => a.item.start_ms - b.item.start_ms);
    return row[row.indexOf(now) + step];
  }

  private inRow(now: Drawn, step: number): Drawn | undefined {
    const near = (other: Drawn) => Math.abs(other.item.start_ms - now.item.start_ms);
    return this.drawn
      .filter((other) => other.row === now.row + step)
      .sort((a, b) => near(a) - near(b))[0];
  }

  private focus(target: Drawn | undefined): void {
    if (!target) return;
    const { start_ms, end_ms } = target.item;
    if (end_ms < this.domain.from || start_ms > this.domain.to) {
      const middle = (this.domain.from + this.domain.to) / 2;
      this.go(shift(this.domain, start_ms - middle, this.bounds));
    }
    target.element.focus();
  }

  private wheel(event: WheelEvent): void {
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.scale(Math.exp(event.deltaY / 200), this.timeAt(event.clientX));
    } else if (sideways) {
      event.preventDefault();
      const perPx = (this.domain.to - this.domain.from) / Math.max(1, this.width);
      this.go(shift(this.domain, sideways * perPx, this.bounds));
    }
  }

  private timeAt(x: number): number {
    const box = this.axis.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (x - box.left) / box.width));
    return this.domain.from + share * (this.domain.to - this.domain.from);
  }

  private drag(event: PointerEvent): void {
    const onTrack = event.target instanceof Element && event.target.closest(".wf-track");
    if (!onTrack || event.button !== 0 || event.pointerType !== "mouse") return;
    const at = (moved: PointerEvent) => this.timeAt(moved.clientX);
    const brush = make("i", "brush");
    followDrag(event, {
      over: (moved) => {
        this.front.append(brush);
        const [from, to] = sorted(at(event), at(moved));
        placeClipped(brush, this.domain, from, to);
      },
      done: (up, dragged) => {
        brush.remove();
        const [from, to] = sorted(at(event), at(up));
        if (dragged) this.go({ from, to: Math.max(to, from + NARROWEST_MS) });
        else this.listen(at(up));
      },
    });
  }
}

const sorted = (a: number, b: number): [number, number] => (a < b ? [a, b] : [b, a]);
