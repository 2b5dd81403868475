/** One floating explanation, for whatever the pointer or the focus is on. */
import { byId, make } from "../../view/dom";

export class Tip {
  private readonly element = byId("tip");
  private owner: Element | null = null;

  constructor() {
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
    });
    addEventListener("scroll", () => this.hide(), { passive: true, capture: true });
  }

  /** Explain `owner` beside it; `x` is where in it the pointer is, px of the window. */
  show(owner: Element, title: string, lines: readonly string[], x?: number): void {
    this.owner = owner;
    this.element.replaceChildren(
      make("strong", "", title),
      ...lines.map((line) => make("p", "", line)),
    );
    this.element.hidden = false;
    const box = owner.getBoundingClientRect();
    const tip = this.element.getBoundingClientRect();
    const wanted = (x ?? box.left + Math.min(box.width, 40) / 2) - tip.width / 2;
    const left = Math.max(8, Math.min(innerWidth - tip.width - 8, wanted));
    const below = box.bottom + 8 + tip.height < innerHeight;
    this.element.style.left = `${left}px`;
    this.element.style.top = `${below ? box.bottom + 8 : box.top - tip.height - 8}px`;
  }

  /** Take the explanation away, if it is still `owner`'s. */
  hide(owner?: Element): void {
    if (owner && owner !== this.owner) return;
    this.element.hidden = true;
    this.owner = null;
  }
}
