/** A level bar. */
export class MeterView {
  private readonly bar: HTMLElement;
  private told = 0;

  constructor(private readonly element: HTMLElement) {
    this.bar = element.querySelector("i") ?? element;
  }

  /** `level` is 0..1. */
  show(level: number): void {
    this.bar.style.transform = `scaleX(${level.toFixed(3)})`;
    // For assistive technology now and then is enough.
    const now = performance.now();
    if (now - this.told < 500) return;
    this.told = now;
    this.element.setAttribute("aria-valuenow", String(Math.round(level * 100)));
  }
}
