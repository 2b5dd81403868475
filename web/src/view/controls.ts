/** State, hint and the buttons of a call. */
import type { Phase } from "../call/call";
import { hint, type Shown, STATE_LABELS } from "../words";
import { byId, setIcon } from "./dom";

/** An interruption is over in an instant; shown for so long that an eye catches it. */
const INTERRUPTED_MS = 700;

export interface Situation {
  phase: Phase;
  shown: Shown;
  microphone: boolean;
  muted: boolean;
  /** The browser may be asking for the microphone right now. */
  asking: boolean;
  /** This address can have a microphone at all. */
  canTalk: boolean;
}

export class Controls {
  private readonly state = byId("state");
  private readonly hint = byId("hint");
  private readonly connect = byId<HTMLButtonElement>("connect");
  private readonly mute = byId<HTMLButtonElement>("mute");
  private readonly hangup = byId<HTMLButtonElement>("hangup");
  private readonly announcer = byId("announce");
  private holdUntil = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  show(situation: Situation): void {
    clearTimeout(this.timer);
    const wait = this.holdUntil - performance.now();
    if (situation.shown === "listening" && wait > 0) {
      this.timer = setTimeout(() => this.show(situation), wait);
      return;
    }
    this.holdUntil = situation.shown === "interrupted" ? performance.now() + INTERRUPTED_MS : 0;
    this.draw(situation);
  }

  /** Say something to those who cannot see the page. */
  announce(text: string): void {
    this.announcer.textContent = text;
  }

  private draw(situation: Situation): void {
    const { phase, shown, microphone, muted, asking } = situation;
    const root = document.documentElement;
    root.dataset.connected = String(phase === "connected");
    root.dataset.state = this.state.dataset.state = shown;
    this.state.textContent = STATE_LABELS[shown];
    this.hint.textContent = asking
      ? "Allow the microphone if the browser asks."
      : hint(shown, microphone || (phase === "idle" && situation.canTalk), muted);
    byId("levels").hidden = phase !== "connected";

    const focus = document.activeElement;
    this.connect.hidden = phase !== "idle";
    this.connect.setAttribute("aria-disabled", String(asking)); // unlike disabled, keeps the focus
    label(this.connect, situation.canTalk ? "Start talking" : "Start the call");
    this.hangup.hidden = phase === "idle";
    this.mute.hidden = phase !== "connected";
    label(this.hangup, phase === "connected" ? "Hang up" : "Cancel");
    this.mute.setAttribute("aria-pressed", String(microphone && muted));
    setIcon(this.mute, microphone && !muted ? "mic" : "mic-off");
    label(this.mute, microphone ? (muted ? "Unmute" : "Mute") : "Use microphone");
    // The pressed button has gone: its opposite takes the focus.
    if (focus === this.connect && this.connect.hidden) this.hangup.focus();
    if ((focus === this.hangup || focus === this.mute) && this.hangup.hidden) this.connect.focus();
  }
}

function label(button: HTMLButtonElement, text: string): void {
  const span = button.querySelector("span");
  if (span && span.textContent !== text) span.textContent = text;
}
