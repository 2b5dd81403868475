/** One turn: how long its answer took and why, as a waterfall, tables and words. */
import { icon, make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { Turn, TurnSummary } from "../model";
import { HOME, href, type Route } from "../route";
import { eventsTable, figuresList, waitsTable, wordsSaid } from "./turn-parts";
import { kindLabel, link, section, verdictChip } from "./parts";
import { Recording } from "./recording";
import { type Neighbours, SessionStrip } from "./session-strip";
import type { Tip } from "./tip";
import { Latest, throttled, type View } from "./view";
import { LEFT_OUT, verdictSentence } from "../words";
import { WaterfallView } from "./waterfall-view";

const REFRESH_MS = 1000;

export class TurnView implements View {
  readonly element = make("div", "view turn-view");
  private readonly requests = new Latest();
  private readonly about = make("div", "about");
  private readonly actions = make("nav", "actions");
  private readonly strip = new SessionStrip();
  private readonly waterfall: WaterfallView;
  private readonly listen = make("div");
  private readonly tables = make("div", "pair");
  private recording: Recording | null = null;
  private id = "";
  private sessionId = "";
  private readonly follow = throttled(() => this.refresh().catch(this.failed), REFRESH_MS);

  constructor(
    tip: Tip,
    private readonly failed: (error: unknown) => void,
  ) {
    this.waterfall = new WaterfallView(tip, (at_ms) => this.recording?.listen(at_ms));
    const card = section("Where the time went", this.waterfall.element, this.listen);
    const head = make("header", "turn-head");
    this.actions.setAttribute("aria-label", "This turn");
    head.append(this.about, this.actions);
    this.element.append(head, this.strip.element, card, this.tables);
  }

  async show(route: Route): Promise<void> {
    this.id = route.turn ?? "";
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const turn = await this.requests.run((signal) => api.turn(this.id, signal));
    this.sessionId = turn.session;
    this.draw(turn);
    this.links(turn, this.strip.show(turn));
    const beside = await this.requests.run((signal) => this.strip.load(turn, signal));
    this.links(turn, beside);
  }

  turn(turn: TurnSummary): void {
    if (turn.session === this.sessionId) this.follow();
  }

  /** Silence, when another view takes the page. */
  leave(): void {
    this.recording?.stop();
    this.recording = null;
    this.id = "";
  }

  private draw(turn: Turn): void {
    document.title = `${turn.v2v_ms === null ? kindLabel(turn.kind) : format.ms(turn.v2v_ms)}, turn ${turn.turn} – Traces`;
    this.about.replaceChildren(this.title(turn), this.facts(turn));
    this.record(turn);
    this.waterfall.show(turn);
    const waits = section("Each wait and its cause", waitsTable(turn));
    const words = section("Said and heard", wordsSaid(turn));
    const figures = section("Figures", figuresList(turn));
    const events = section("What happened", eventsTable(turn));
    const [left, right] = [make("div"), make("div")];
    left.append(waits, figures);
    right.append(words, events);
    this.tables.replaceChildren(left, right);
  }

  private title(turn: Turn): HTMLElement {
    const box = make("div", "answer");
    const heading = make("h2");
    heading.append(turn.v2v_ms === null ? kindLabel(turn.kind) : format.ms(turn.v2v_ms));
    if (turn.v2v_ms !== null) heading.append(make("span", "unseen", " from voice to voice"));
    const sentence = make("p", "sentence", verdictSentence(turn));
    if (turn.v2v_ms !== null && LEFT_OUT[turn.kind] && turn.verdict !== null) {
      sentence.append(` ${LEFT_OUT[turn.kind]}`);
    }
    box.append(heading, verdictChip(turn), sentence);
    return box;
  }

  private facts(turn: Turn): HTMLElement {
    const facts = make("p", "facts quiet");
    const session = link(
      { filters: { session: turn.session } },
      `session ${format.short(turn.session)}`,
    );
    const shown: (Node | string)[] = [
      `Turn ${turn.turn}, ${kindLabel(turn.kind)}`,
      format.fullMoment(turn.started_at),
      `${turn.pipeline} · ${turn.transport}`,
      session,
    ];
    for (const [key, value] of Object.entries(turn.caller ?? {})) shown.push(`${key} ${value}`);
    for (const fact of shown) {
      const item = facts.appendChild(make("span"));
      item.append(fact);
    }
    return facts;
  }

  private links(turn: Turn, beside: Neighbours): void {
    const shown = JSON.stringify([turn.id, beside]);
    if (this.actions.dataset.shown === shown) return; // and nobody loses the focus
    this.actions.dataset.shown = shown;
    const step = (id: string | null, text: string, symbol: string, key: string) => {
      const anchor = id
        ? link({ turn: id }, "", "button outlined small")
        : make("span", "button outlined small");
      if (id) anchor.dataset.key = key;
      else anchor.setAttribute("aria-disabled", "true");
      anchor.title = `${text} (${key})`;
      const words = make("span", "", text);
      anchor.append(
        ...(symbol === "back" ? [icon(symbol, "glyph"), words] : [words, icon(symbol, "glyph")]),
      );
      return anchor;
    };
    const json = make("a", "button outlined small", "JSON");
    json.href = api.turnUrl(turn.id);
    this.actions.replaceChildren(
      step(beside.previous, "Previous", "back", "k"),
      step(beside.next, "Next", "on", "j"),
      this.copyButton(turn),
      json,
    );
  }

  private copyButton(turn: Turn): HTMLElement {
    const button = make("button", "ghost outlined small", "Copy link");
    button.type = "button";
    const address = new URL(href({ ...HOME, turn: turn.id }), document.baseURI).href;
    button.addEventListener("click", () => {
      // Without https (or localhost) there is no clipboard: the link is in the address bar anyway.
      navigator.clipboard?.writeText(address).then(
        () => (button.textContent = "Copied"),
        () => (button.textContent = "See the address bar"),
      );
      if (!navigator.clipboard) button.textContent = "See the address bar";
    });
    return button;
  }

  private record(turn: Turn): void {
    if (!turn.audio) {
      this.leaveRecording();
      return;
    }
    if (this.recording && this.listen.dataset.turn === turn.id) return;
    this.leaveRecording();
    this.listen.dataset.turn = turn.id;
    const recording = (this.recording = new Recording(turn, (at_ms) => this.waterfall.play(at_ms)));
    this.listen.replaceChildren(recording.element);
    void recording.load().then((drawable) => {
      if (!drawable || this.recording !== recording) return;
      this.waterfall.waves = recording.waves();
      this.waterfall.show(turn);
    });
  }

  private leaveRecording(): void {
    this.recording?.stop();
    this.recording = null;
    this.waterfall.waves = new Map();
    this.waterfall.play(null);
    this.listen.replaceChildren();
  }
}
