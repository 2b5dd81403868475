/**
 * A turn's recording: played by the browser, and drawn as two waveforms on the waterfall's axis. It
 * ends with the turn, so that its length says where it began.
 */
import { make } from "../../view/dom";
import * as api from "../api";
import type { Turn } from "../model";
import type { Domain } from "../scale";
import { peaks } from "../peaks";

/** Enough for a picture, and less to keep than the recording's own rate. */
const DRAWN_HZ = 8000;
/** The recording's channels, by the name of the span they sound in. */
const CHANNELS = ["user", "agent"] as const;

export class Recording {
  readonly element = make("div", "recording");
  private readonly player = make("audio");
  private readonly note = make("p", "quiet");
  /** Where it begins on the turn's axis; known when it is loaded. */
  private start_ms: number | null = null;
  private sound: AudioBuffer | null = null;
  private frame = 0;

  constructor(
    private readonly turn: Turn,
    /** Told where the playing is, ms on the turn's axis; null when it stops. */
    private readonly playing: (at_ms: number | null) => void,
  ) {
    this.player.controls = true;
    this.player.preload = "metadata";
    this.player.src = api.audioUrl(turn.id);
    this.player.setAttribute("aria-label", "Recording: the caller left, the agent right");
    for (const kind of ["play", "seeking", "timeupdate"]) {
      this.player.addEventListener(kind, () => this.follow());
    }
    this.player.addEventListener("error", () => this.missing());
    this.element.append(this.player, this.note);
  }

  /** Fetch and decode, for the picture; resolves whether or not there is one. */
  async load(): Promise<boolean> {
    try {
      const answer = await fetch(api.audioUrl(this.turn.id));
      if (!answer.ok) throw new Error(String(answer.status));
      const context = new OfflineAudioContext(2, 1, DRAWN_HZ);
      this.sound = await context.decodeAudioData(await answer.arrayBuffer());
      const { ended_ms, v2v_ms } = this.turn;
      this.start_ms = Math.max(ended_ms ?? 0, v2v_ms ?? 0) - this.sound.duration * 1000;
      return true;
    } catch {
      this.missing();
      return false;
    }
  }

  /** Draws into a track of the waterfall, one for each voice. */
  waves(): Map<string, (track: HTMLElement, domain: Domain) => void> {
    const sound = this.sound;
    if (!sound) return new Map();
    const channels = CHANNELS.slice(0, sound.numberOfChannels).map((name, channel) => {
      const samples = sound.getChannelData(channel);
      return [
        name,
        (track: HTMLElement, domain: Domain) => this.draw(track, domain, samples),
      ] as const;
    });
    return new Map(channels);
  }

  /** Play from a place on the turn's axis. */
  listen(at_ms: number): void {
    if (this.start_ms === null) return;
    const at = (at_ms - this.start_ms) / 1000;
    if (at < 0 || at > this.player.duration) return;
    this.player.currentTime = at;
    this.player.play().catch(() => undefined); // without permission to sound it waits at that place
  }

  stop(): void {
    cancelAnimationFrame(this.frame);
    this.player.pause();
    this.player.removeAttribute("src");
    this.player.load();
  }

  private follow(): void {
    cancelAnimationFrame(this.frame);
    if (this.start_ms !== null) this.playing(this.start_ms + this.player.currentTime * 1000);
    if (!this.player.paused) this.frame = requestAnimationFrame(() => this.follow());
  }

  private missing(): void {
    this.note.textContent = "The recording cannot be played; the server may have thrown it away.";
  }

  private draw(track: HTMLElement, domain: Domain, samples: Float32Array): void {
    let canvas = track.querySelector("canvas");
    if (!canvas) {
      canvas = make("canvas", "wave");
      canvas.setAttribute("aria-hidden", "true");
      track.prepend(canvas);
    }
    const ratio = devicePixelRatio;
    const [width, height] = [
      Math.round(track.clientWidth * ratio),
      Math.round(track.clientHeight * ratio),
    ];
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    if (!context || width === 0) return;
    context.fillStyle = getComputedStyle(canvas).color;
    const perMs = DRAWN_HZ / 1000;
    const from = (domain.from - (this.start_ms ?? 0)) * perMs;
    const perColumn = ((domain.to - domain.from) * perMs) / width;
    peaks(samples, from, perColumn, width).forEach((peak, column) => {
      const tall = Math.max(peak > 0 ? ratio : 0, peak * height);
      context.fillRect(column, (height - tall) / 2, 1, tall);
    });
  }
}
