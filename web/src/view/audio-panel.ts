/** The dialog in which microphone and speaker are chosen and tried. */
import {
  available,
  devices,
  type Microphone,
  MicrophoneError,
  permission,
} from "../audio/microphone";
import type { Speaker } from "../audio/speaker";
import { microphoneNotice } from "../words";
import { byId, make } from "./dom";

export interface PanelEvents {
  /** The panel has opened the microphone for a look at its level. */
  preview(): void;
  /** The person wants this microphone to be used: another one, or one at last. */
  microphoneChosen(): void;
  closed(): void;
  /** Made by a click, as browsers demand. */
  context(): AudioContext;
}

export class AudioPanel {
  private readonly dialog = byId<HTMLDialogElement>("audio");
  private readonly mics = byId<HTMLSelectElement>("mic-choice");
  private readonly speakers = byId<HTMLSelectElement>("speaker-choice");
  private readonly allow = byId<HTMLButtonElement>("mic-allow");
  private readonly micNote = byId("mic-note");
  private readonly speakerNote = byId("speaker-note");

  constructor(
    private readonly microphone: Microphone,
    private readonly speaker: Speaker,
    private readonly events: PanelEvents,
  ) {
    byId("open-audio").addEventListener("click", () => void this.open());
    this.dialog.addEventListener("close", () => events.closed());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // the backdrop
    });
    this.allow.addEventListener("click", () => void this.preview(true));
    this.mics.addEventListener("change", () => void this.chooseMicrophone());
    this.speakers.addEventListener("change", () => void speaker.choose(this.speakers.value));
    byId("speaker-test").addEventListener("click", () => void this.testSpeaker());
    if (available()) {
      navigator.mediaDevices.addEventListener("devicechange", () => void this.list());
    }
  }

  get isOpen(): boolean {
    return this.dialog.open;
  }

  async open(): Promise<void> {
    this.dialog.showModal();
    this.micNote.textContent = this.speakerNote.textContent = "";
    this.allow.hidden = this.microphone.stream !== null;
    await this.list();
    if (!available()) this.explain(new MicrophoneError("insecure"));
    else if (!this.microphone.stream && (await permission()) === "granted") await this.preview();
  }

  private async preview(wanted = false): Promise<void> {
    this.events.context();
    try {
      await this.microphone.open();
      this.allow.hidden = true;
      this.micNote.textContent = "";
      this.events.preview();
      if (wanted) this.events.microphoneChosen();
    } catch (error) {
      this.explain(error);
    }
    if (!this.isOpen) this.events.closed(); // closed while the browser was asking
    await this.list();
  }

  private explain(error: unknown): void {
    const trouble = error instanceof MicrophoneError ? error.trouble : "failed";
    const notice = microphoneNotice(trouble, location, navigator.userAgent);
    this.micNote.textContent = `${notice.title}. ${notice.text}`;
    this.allow.hidden = trouble === "insecure";
    this.allow.textContent = notice.action ?? "Allow the microphone";
  }

  private async chooseMicrophone(): Promise<void> {
    try {
      await this.microphone.choose(this.mics.value);
      this.events.microphoneChosen();
    } catch (error) {
      this.explain(error);
    }
  }

  private async testSpeaker(): Promise<void> {
    try {
      await this.speaker.test(this.events.context());
    } catch {
      this.speakerNote.textContent = "This speaker does not play. Choose another one.";
    }
  }

  private async list(): Promise<void> {
    fill(this.mics, await devices("audioinput"), this.microphone.deviceId, "Default microphone");
    const speakers = this.speaker.selectable ? await devices("audiooutput") : [];
    fill(this.speakers, speakers, this.speaker.deviceId, "Default speaker");
    this.mics.disabled = !available();
    this.speakers.disabled = !this.speaker.selectable;
    if (!this.speaker.selectable) {
      this.speakerNote.textContent = "This browser plays on the system's speaker.";
    }
  }
}

function fill(select: HTMLSelectElement, list: MediaDeviceInfo[], chosen: string, first: string) {
  const options = list
    .filter((device) => device.deviceId !== "default")
    .map((device, i) => ({ value: device.deviceId, label: device.label || `Device ${i + 1}` }));
  select.replaceChildren(
    ...[{ value: "", label: first }, ...options].map(({ value, label }) => {
      const option = make("option", "", label);
      option.value = value;
      return option;
    }),
  );
  select.value = options.some((option) => option.value === chosen) ? chosen : "";
}
