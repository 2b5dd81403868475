/** Draws a transcript, touching only the lines that changed. */
import type { Line, Role, Transcript } from "../call/transcript";
import { byId, make } from "./dom";

const SPEAKERS: Record<Role, string> = { user: "You", agent: "Agent", note: "" };
/** Within so many pixels of the end, the view follows the conversation. */
const NEAR_END_PX = 80;

export class TranscriptView {
  agentName = "Agent";
  private readonly list = byId<HTMLOListElement>("transcript");
  private readonly scroll = byId("scroll");
  private readonly empty = byId("empty");
  private readonly shown = new Map<number, { line: Line; item: HTMLLIElement }>();

  private following = true;

  constructor() {
    const { scroll } = this;
    scroll.addEventListener("scroll", () => {
      const below = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
      this.following = below < NEAR_END_PX;
    });
    // A notice or a phone's keyboard takes room: keep the last words in sight.
    new ResizeObserver(() => this.follow()).observe(scroll);
  }

  render(transcript: Transcript): void {
    const alive = new Set(transcript.lines.map((line) => line.id));
    for (const [id, { item }] of this.shown) {
      if (alive.has(id)) continue;
      item.remove();
      this.shown.delete(id);
    }
    for (const line of transcript.lines) this.draw(line);
    this.empty.hidden = transcript.lines.length > 0;
    this.follow();
  }

  private follow(): void {
    if (this.following) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  private draw(line: Line): void {
    const known = this.shown.get(line.id);
    if (known?.line === line) return;
    const item = known?.item ?? this.list.appendChild(this.item(line));
    item.dataset.final = String(line.final);
    item.dataset.interrupted = String(line.interrupted);
    const text = item.querySelector<HTMLElement>(".text");
    if (text) write(text, known?.line.text ?? "", line);
    this.shown.set(line.id, { line, item });
  }

  private item(line: Line): HTMLLIElement {
    const item = make("li", "line");
    item.dataset.role = line.role;
    const name = line.role === "agent" ? this.agentName : SPEAKERS[line.role];
    if (name) item.append(make("span", "who", name));
    item.append(make("p", "text"));
    return item;
  }
}

/** Words still being spoken fade in one by one; a corrected or final line is plain text. */
function write(element: HTMLElement, before: string, line: Line): void {
  const growing = line.role === "agent" && !line.final && line.text.startsWith(before);
  if (growing) element.append(make("span", "word", line.text.slice(before.length)));
  else if (element.textContent !== line.text) element.textContent = line.text;
  const old = element.parentElement?.querySelector(".cut");
  if (!line.interrupted) old?.remove();
  else if (!old) {
    const mark = make("span", "cut");
    mark.append(make("span", "unseen", "(interrupted here)"));
    mark.title = "You interrupted here; the agent remembers only what you heard.";
    element.parentElement?.append(mark);
  }
}
