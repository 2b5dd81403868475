/** The turns of one session as a row of columns, each a link: where in the talk this turn is. */
import { make } from "../../view/dom";
import * as api from "../api";
import * as format from "../format";
import type { Turn, TurnSummary } from "../model";
import { TOTAL } from "../../stages";
import { kindLabel, link } from "./parts";
import { verdictLabel } from "../words";

/** Turns of a session that are shown, the latest. */
const MOST = 200;

export interface Neighbours {
  previous: string | null;
  next: string | null;
}

export class SessionStrip {
  readonly element = make("nav", "strip");
  private turns: TurnSummary[] = [];

  constructor() {
    this.element.setAttribute("aria-label", "Turns of this session");
  }

  /** Show where a turn is, as far as its session is known already. */
  show(turn: Turn): Neighbours {
    if (this.turns[0]?.session !== turn.session) this.turns = [];
    this.draw(turn.id);
    const at = this.turns.findIndex((other) => other.id === turn.id);
    return {
      previous: this.turns[at - 1]?.id ?? null,
      next: at < 0 ? null : (this.turns[at + 1]?.id ?? null),
    };
  }

  /** Learn the session of a turn, and show where it is. */
  async load(turn: Turn, signal: AbortSignal): Promise<Neighbours> {
    const filters = { session: turn.session };
    const { turns } = await api.turns(filters, "recent", null, signal, { limit: MOST });
    this.turns = turns.sort((a, b) => a.turn - b.turn);
    return this.show(turn);
  }

  private draw(current: string): void {
    const { turns } = this;
    const most = Math.max(
      1,
      ...turns.map((turn) => Math.max(turn.v2v_ms ?? 0, turn.budgets[TOTAL] ?? 0)),
    );
    this.element.hidden = turns.length < 2;
    this.element.replaceChildren(
      ...turns.map((turn) => {
        const took = turn.v2v_ms === null ? "" : `, ${format.ms(turn.v2v_ms)}`;
        const words = `Turn ${turn.turn}, ${kindLabel(turn.kind)}${took}, ${verdictLabel(turn)}`;
        const column = link({ turn: turn.id }, "", "column");
        column.title = words;
        column.setAttribute("aria-label", words);
        column.dataset.verdict = turn.verdict ?? "none";
        if (turn.id === current) column.setAttribute("aria-current", "page");
        const bar = column.appendChild(make("i"));
        bar.style.height = `${Math.max(4, ((turn.v2v_ms ?? 0) / most) * 100)}%`;
        return column;
      }),
    );
  }
}
