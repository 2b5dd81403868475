/**
 * The orb: what the agent is doing, at a glance. Its colours come from CSS (`--orb-a`, `--orb-b`,
 * set by the state), its shape from the two voices. With reduced motion it keeps still and only
 * the strength of its ring follows the voices.
 */
import type { Shown } from "../words";

export interface Voices {
  user: number;
  agent: number;
}

const POINTS = 90;
const LAYERS = [
  { size: 1.16, alpha: 0.22, speed: 0.7, seed: 0 },
  { size: 1.06, alpha: 0.4, speed: -0.9, seed: 2.1 },
  { size: 1, alpha: 1, speed: 0.5, seed: 4.2 },
];

export class Orb {
  private readonly still = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly context: CanvasRenderingContext2D;
  private time = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.context = context;
  }

  /** Draw one frame, `dt` seconds after the last. */
  draw(state: Shown, voices: Voices, dt: number): void {
    const box = this.canvas.clientWidth;
    const scale = Math.min(devicePixelRatio, 2);
    const pixels = Math.round(box * scale);
    if (this.canvas.width !== pixels || this.canvas.height !== pixels) {
      this.canvas.width = this.canvas.height = pixels;
    }
    const { context: c } = this;
    const style = getComputedStyle(this.canvas);
    const colours = [style.getPropertyValue("--orb-a"), style.getPropertyValue("--orb-b")] as const;
    const still = this.still.matches;
    if (!still) this.time += dt * (state === "thinking" ? 2.2 : 1);

    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, box, box);
    c.translate(box / 2, box / 2);
    const voice = state === "speaking" ? voices.agent : voices.user * 0.35;
    const base = box * 0.27;
    const radius = still ? base : base * (1 + 0.12 * voice);
    this.glow(radius, colours[0], 0.16 + 0.3 * voice);
    this.ring(state, base, colours[1], voices, still);
    for (const layer of LAYERS) {
      c.globalAlpha = layer.alpha;
      const fill = c.createLinearGradient(-radius, -radius, radius, radius);
      fill.addColorStop(0, colours[0]);
      fill.addColorStop(1, colours[1]);
      c.fillStyle = fill;
      this.blob(radius * layer.size, still ? 0 : 0.012 + 0.1 * voice, layer.speed, layer.seed);
    }
    c.globalAlpha = 0.35;
    const shine = c.createRadialGradient(-radius * 0.35, -radius * 0.45, 0, 0, 0, radius);
    shine.addColorStop(0, "#ffffff");
    shine.addColorStop(0.6, "#ffffff00");
    c.fillStyle = shine;
    c.beginPath();
    c.arc(0, 0, radius * 0.97, 0, Math.PI * 2);
    c.fill();
    c.globalAlpha = 1;
  }

  private glow(radius: number, colour: string, strength: number): void {
    const { context: c } = this;
    const fill = c.createRadialGradient(0, 0, radius * 0.7, 0, 0, radius * 1.8);
    fill.addColorStop(0, colour);
    fill.addColorStop(1, clear(colour));
    c.globalAlpha = Math.min(0.5, strength);
    c.fillStyle = fill;
    c.beginPath();
    c.arc(0, 0, radius * 1.8, 0, Math.PI * 2);
    c.fill();
  }

  /** Listening: a ring that widens with the caller's voice. Thinking: an arc that goes round. */
  private ring(state: Shown, base: number, colour: string, voices: Voices, still: boolean): void {
    const { context: c } = this;
    c.strokeStyle = colour;
    c.lineCap = "round";
    c.beginPath();
    if (state === "thinking" || state === "connecting" || state === "reconnecting") {
      const from = this.time * 1.6;
      c.globalAlpha = 0.8;
      c.lineWidth = 3;
      c.arc(0, 0, base * 1.42, from, from + Math.PI * 0.6);
    } else {
      const level = state === "speaking" ? voices.agent : voices.user;
      c.globalAlpha = still ? 0.1 + 0.9 * level : 0.12 + 0.6 * level;
      c.lineWidth = still ? 4 : 2 + 3 * level;
      c.arc(0, 0, base * (still ? 1.42 : 1.3 + 0.3 * level), 0, Math.PI * 2);
    }
    c.stroke();
  }

  private blob(radius: number, amplitude: number, speed: number, seed: number): void {
    const { context: c } = this;
    const t = this.time * speed;
    c.beginPath();
    for (let i = 0; i <= POINTS; i++) {
      const angle = (i / POINTS) * Math.PI * 2;
      const wave =
        Math.sin(angle * 3 + t * 1.7 + seed) +
        0.6 * Math.sin(angle * 5 - t * 2.3 + seed) +
        0.3 * Math.sin(angle * 8 + t * 3.1);
      const r = radius * (1 + amplitude * wave);
      c.lineTo(Math.cos(angle) * r, Math.sin(angle) * r);
    }
    c.closePath();
    c.fill();
  }
}

/** The same colour, invisible: a gradient to plain `transparent` would pass through grey. */
function clear(rgb: string): string {
  return rgb.replace(/^rgb\((.+)\)$/, "rgba($1, 0)");
}
