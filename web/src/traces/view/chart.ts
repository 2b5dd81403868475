/** Percentiles over time against a budget, drawn by uPlot. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { make } from "../../view/dom";
import * as format from "../format";
import type { Stats } from "../model";
import { course } from "../course";

/** Told apart by colour and by dash. */
const LINES = [
  { key: "p50", colour: "--c0", width: 2.5, dash: [] },
  { key: "p95", colour: "--c1", width: 2, dash: [8, 4] },
  { key: "p99", colour: "--c3", width: 1.5, dash: [2, 4] },
] as const;

/** The same dashes in the legend's words. */
const DASHES = ["solid", "dashed", "dotted"];

/** Buckets up to which each one gets a dot. */
const DOTTED = 30;

export class PercentileChart {
  readonly element = make("div", "chart");
  private plot: uPlot | null = null;
  private budget: number | null = null;

  /**
   * @param height px of the drawing without its legend
   * @param choose is told of a stretch of time that was drawn with the mouse, unix seconds
   */
  constructor(
    private readonly height: number,
    private readonly choose: (since: number, until: number) => void,
  ) {
    this.element.setAttribute("role", "img");
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  show(stats: Stats, stage: string, label: string): void {
    this.budget = stats.stages[stage]?.budget_ms ?? null;
    const points = course(stats.series, stage);
    const data: uPlot.AlignedData = [
      points.map((point) => point.t),
      ...LINES.map((line) => points.map((point) => point[line.key])),
    ];
    const all = stats.stages[stage];
    this.element.setAttribute(
      "aria-label",
      all?.n
        ? `${label} over time: median ${format.ms(all.p50)}, 95 % under ${format.ms(all.p95)}, 99 % under ${format.ms(all.p99)}`
        : `${label} over time: nothing yet`,
    );
    if (this.plot) this.plot.setData(data);
    else this.plot = this.make(data);
    this.fit();
  }

  recolour(): void {
    this.plot?.redraw(false);
  }

  private fit(): void {
    const width = this.element.clientWidth;
    if (width > 0 && this.plot && this.plot.width !== width) {
      this.plot.setSize({ width, height: this.height });
    }
  }

  private make(data: uPlot.AlignedData): uPlot {
    const grid = { stroke: () => colour("--line"), width: 1 };
    const axis = { stroke: () => colour("--quiet"), grid, ticks: grid, font: "12px system-ui" };
    return new uPlot(
      {
        width: this.element.clientWidth || 300,
        height: this.height,
        padding: [12, 8, 0, 0],
        scales: { y: { range: (_plot, _low, high) => [0, this.top(high)] } },
        axes: [
          {
            ...axis,
            size: 34,
            space: 70,
            values: (_plot, splits) => {
              const span = (splits.at(-1) ?? 0) - (splits[0] ?? 0);
              return splits.map((at) => format.axisTime(at, span));
            },
          },
          {
            ...axis,
            size: 52,
            space: 34,
            values: (_plot, splits) => splits.map((at) => format.number(at)),
          },
        ],
        series: [
          { label: "", value: (_plot, at) => (at ? format.moment(at) : "") },
          ...LINES.map((line) => ({
            label: line.key,
            stroke: () => colour(line.colour),
            width: line.width,
            dash: [...line.dash],
            points: { show: (plot: uPlot) => (plot.data[0]?.length ?? 0) <= DOTTED, size: 6 },
            value: (_plot: uPlot, value: number | null) => (value === null ? "" : format.ms(value)),
          })),
        ],
        legend: { markers: { width: 2, dash: (_plot, index) => DASHES[index - 1] ?? "solid" } },
        cursor: { drag: { x: true, y: false, setScale: false }, y: false },
        hooks: {
          draw: [(plot) => this.drawBudget(plot)],
          setSelect: [(plot) => this.select(plot)],
        },
      },
      data,
      this.element,
    );
  }

  private top(high: number | null): number {
    return Math.max(high ?? 0, this.budget ?? 0, 10) * 1.08;
  }

  private drawBudget(plot: uPlot): void {
    if (this.budget === null) return;
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(this.budget, "y", true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--danger");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `600 ${11 * devicePixelRatio}px system-ui`;
    const text = `budget ${format.number(this.budget)}`;
    const [left, base] = [bbox.left + 4 * devicePixelRatio, y - 4 * devicePixelRatio];
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.strokeStyle = colour("--surface");
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.strokeText(text, left, base); // readable on top of lines
    ctx.fillText(text, left, base);
    ctx.restore();
  }

  private select(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [since, until] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.choose(since, until);
  }
}

/** A colour of the design as a canvas understands it, for light or dark. */
function colour(variable: string): string {
  const probe = document.body.appendChild(make("i", "unseen"));
  probe.style.color = `var(${variable})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
