/** The frames of orb and meters: during a call and for a moment after a change, not all day. */
import { smoothed } from "../audio/level";
import type { Shown } from "../words";
import { byId } from "./dom";
import { MeterView } from "./meter";
import { Orb, type Voices } from "./orb";

const SETTLE_MS = 1500;

export interface Scene {
  state: Shown;
  /** Levels 0..1 as measured now. */
  voices: Voices;
  /** Something moves, so that another frame is due. */
  live: boolean;
}

export class Animation {
  private readonly orb = new Orb(byId<HTMLCanvasElement>("orb"));
  private readonly user = [new MeterView(byId("mic-level")), new MeterView(byId("mic-test"))];
  private readonly agent = [
    new MeterView(byId("agent-level")),
    new MeterView(byId("speaker-test-level")),
  ];
  private readonly voices: Voices = { user: 0, agent: 0 };
  private last = 0;
  private until = 0;
  private running = false;

  constructor(private readonly look: () => Scene) {
    addEventListener("resize", () => this.wake());
  }

  /** Something may have changed: draw for a while, or for as long as the scene is live. */
  wake(): void {
    this.until = performance.now() + SETTLE_MS;
    if (this.running) return;
    this.running = true;
    this.last = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  private frame(now: number): void {
    const scene = this.look();
    const dt = Math.min(0.1, Math.max(0, (now - this.last) / 1000));
    this.last = now;
    this.voices.user = smoothed(this.voices.user, scene.voices.user, dt);
    this.voices.agent = smoothed(this.voices.agent, scene.voices.agent, dt);
    for (const meter of this.user) meter.show(this.voices.user);
    for (const meter of this.agent) meter.show(this.voices.agent);
    this.orb.draw(scene.state, this.voices, dt);
    this.running = scene.live || now < this.until;
    if (this.running) requestAnimationFrame((next) => this.frame(next));
  }
}
