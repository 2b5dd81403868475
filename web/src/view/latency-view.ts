/** The last turn's latency: a number, a stacked bar of its segments and their names. */
import type { Latency } from "../call/messages";
import { stageColour, stageLabel } from "../stages";
import { byId, make } from "./dom";

export function showLatency(latency: Latency | null): void {
  const box = byId("latency-box");
  box.hidden = latency === null;
  if (!latency) return;
  const traced = byId<HTMLAnchorElement>("latency-turn");
  if (latency.id) traced.href = `traces/?${new URLSearchParams({ turn: latency.id })}`;
  else traced.removeAttribute("href");
  byId("latency").textContent = `${Math.round(latency.v2v_ms)} ms`;
  const bar = byId("latency-bar");
  const parts = byId("latency-parts");
  bar.replaceChildren();
  parts.replaceChildren();
  for (const segment of latency.segments) {
    const label = stageLabel(segment.name);
    const colour = String(stageColour(segment.name));
    const ms = `${Math.round(segment.ms)} ms`;
    const piece = make("i");
    piece.dataset.colour = colour;
    piece.style.flexGrow = String(segment.ms);
    piece.title = `${label}: ${ms}`;
    bar.append(piece);

    const row = make("div");
    const name = make("dt", "", label);
    name.dataset.colour = colour;
    name.title = segment.name;
    row.append(name, make("dd", "", ms));
    parts.append(row);
  }
  bar.hidden = parts.hidden = latency.segments.length === 0;
}
