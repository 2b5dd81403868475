/** Where the agent is heard: an audio element, its device, and a sound to try it with. */

const REMEMBERED = "voice-agent.speaker";

export class Speaker {
  deviceId: string;
  /** Browsers without setSinkId play on the system's device. */
  readonly selectable: boolean;

  constructor(
    private readonly element: HTMLAudioElement,
    private readonly storage: Storage | null,
  ) {
    this.selectable =
      typeof element.setSinkId === "function" && navigator.mediaDevices !== undefined;
    this.deviceId = storage?.getItem(REMEMBERED) ?? "";
  }

  /** Play the agent's track, or fall silent. Rejects if the browser wants a click first. */
  async play(stream: MediaStream | null): Promise<void> {
    this.element.srcObject = stream;
    if (!stream) return;
    await this.apply();
    await this.element.play();
  }

  async choose(deviceId: string): Promise<void> {
    this.deviceId = deviceId;
    this.storage?.setItem(REMEMBERED, deviceId);
    await this.apply();
  }

  /** Two soft notes on the chosen device. */
  async test(context: AudioContext): Promise<void> {
    const out = context.createMediaStreamDestination();
    const element = new Audio();
    element.srcObject = out.stream;
    if (this.selectable && this.deviceId) await element.setSinkId(this.deviceId);
    await element.play();
    [523.25, 659.25].forEach((hz, i) => {
      const note = context.createOscillator();
      const gain = context.createGain();
      const at = context.currentTime + 0.05 + i * 0.25;
      note.frequency.value = hz;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.2, at + 0.03);
      gain.gain.exponentialRampToValueAtTime(0.001, at + 0.45);
      note.connect(gain).connect(out);
      note.start(at);
      note.stop(at + 0.5);
      if (i === 1) note.onended = () => (element.srcObject = null);
    });
  }

  private async apply(): Promise<void> {
    if (!this.selectable) return;
    try {
      await this.element.setSinkId(this.deviceId);
    } catch {
      this.deviceId = ""; // unplugged: the default plays
      await this.element.setSinkId("");
    }
  }
}
