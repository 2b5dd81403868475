/** The elements of a waterfall's rows, and where they lie in a stretch of time. */
import { icon, make } from "../../view/dom";
import { type Domain, position } from "../scale";
import type { Item, Row } from "../waterfall";
import { place } from "./parts";
import { EVENT_SYMBOLS, OUTCOME_SYMBOLS } from "./waterfall-marks";

/** px of a letter on a bar, about. */
const LETTER_PX = 7.2;
/** A bar narrower than this has no room for a symbol. */
const TIGHT_PX = 18;
/** A cause that has less room is not shown; the table and the bar's own words have it. */
const NOTE_PX = 140;

/** A row without its lanes, and the track to put them into. */
export function rowElement(row: Row): { element: HTMLElement; track: HTMLElement } {
  const element = make("div", "wf-row");
  element.dataset.row = row.id;
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", `${row.label}, ${row.figure}`);
  const label = make("span", "wf-label", row.label);
  if (row.guilty) {
    element.dataset.guilty = "true";
    label.prepend(icon("missed", "glyph"));
  }
  const track = make("span", "wf-track");
  track.dataset.row = row.id;
  if (row.allowance) {
    const allowed = track.appendChild(make("i", "allowance"));
    allowed.dataset.from = String(row.allowance.start_ms);
    allowed.dataset.to = String(row.allowance.end_ms);
  }
  if (row.note) {
    const note = track.appendChild(make("span", "wf-note", row.note));
    note.setAttribute("aria-hidden", "true"); // the bars say it too
  }
  element.append(label, track, make("span", "wf-figure", row.figure));
  return { element, track };
}

/** A bar or an event's symbol: a button, so that keys and fingers reach it. */
export function itemElement(item: Item): HTMLButtonElement {
  const element = make("button", `item ${item.shape}`);
  element.type = "button";
  element.setAttribute("aria-label", [item.title, ...item.details].join(". "));
  if (item.colour !== undefined) element.dataset.colour = String(item.colour);
  if (item.guess) element.dataset.guess = "true";
  if (item.outcome) element.dataset.outcome = item.outcome;
  if (item.event) element.dataset.event = item.event;
  const symbol = item.event
    ? (EVENT_SYMBOLS[item.event] ?? "dot")
    : item.outcome && OUTCOME_SYMBOLS[item.outcome];
  if (symbol) element.append(icon(symbol, "glyph"));
  if (item.label) element.append(make("span", "on-bar", item.label));
  if (item.over_from !== undefined) {
    const over = element.appendChild(make("i", "over-part"));
    const share = position({ from: item.start_ms, to: item.end_ms }, item.over_from);
    place(over, share, 1 - share);
  }
  return element;
}

/** A layer over the whole waterfall in which a track lies where the rows' tracks lie. */
export function overlay(track: HTMLElement): HTMLElement {
  const layer = make("div", "wf-row wf-overlay");
  layer.append(make("span", "wf-label"), track, make("span", "wf-figure"));
  layer.setAttribute("aria-hidden", "true");
  return layer;
}

/** Put an item where it belongs in `domain`, drawn `width` px wide; hide what is outside. */
export function placeItem(item: Item, element: HTMLElement, domain: Domain, width: number): void {
  if (item.shape === "event") {
    const at = position(domain, item.start_ms);
    element.hidden = at < 0 || at > 1;
    place(element, at);
    return;
  }
  placeClipped(element, domain, item.start_ms, item.end_ms);
  const shown = Math.min(item.end_ms, domain.to) - Math.max(item.start_ms, domain.from);
  const px = (shown * width) / (domain.to - domain.from);
  const needed = LETTER_PX * item.label.length + (item.outcome ? 24 : 8);
  element.classList.toggle("roomy", px >= needed);
  element.classList.toggle("tight", px < TIGHT_PX);
  element.classList.toggle("cut-left", item.start_ms < domain.from);
  element.classList.toggle("cut-right", item.end_ms > domain.to);
}

/** Lanes with nothing to see take no room; one always stays. */
export function hideEmptyLanes(track: HTMLElement): void {
  const lanes = [...track.querySelectorAll<HTMLElement>(".lane")];
  for (const lane of lanes) lane.hidden = ![...lane.children].some((item) => !isHidden(item));
  if (lanes[0] && lanes.every((lane) => lane.hidden)) lanes[0].hidden = false;
}

const isHidden = (item: Element): boolean => item instanceof HTMLElement && item.hidden;

/** Causes end where the waiting begins, if there they can be read. */
export function placeNote(note: HTMLElement, domain: Domain, width: number): void {
  const room = Math.min(1, position(domain, 0));
  note.hidden = room * width < NOTE_PX;
  note.style.width = `${(room * 100).toFixed(3)}%`;
}

/** Place the part of a stretch that is inside the domain; nothing of it: hidden. */
export function placeClipped(element: HTMLElement, domain: Domain, from: number, to: number): void {
  const left = Math.max(0, position(domain, from));
  const right = Math.min(1, position(domain, to));
  element.hidden = right < 0 || left > 1 || (right <= left && to > from);
  place(element, left, Math.max(0, right - left));
}
