/** The caller's microphone: permission, choice, one open stream at a time. */

export type MicrophoneTrouble = "insecure" | "denied" | "missing" | "busy" | "failed";

export class MicrophoneError extends Error {
  constructor(
    readonly trouble: MicrophoneTrouble,
    cause?: unknown,
  ) {
    super(`no microphone: ${trouble}`, { cause });
  }
}

/** What a failed getUserMedia means for the person in front of it. */
export function troubleOf(error: unknown): MicrophoneTrouble {
  switch (error instanceof Error ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "failed";
  }
}

/** False on http:// addresses other than localhost, where browsers hide every microphone. */
export const available = (): boolean => navigator.mediaDevices !== undefined;

const REMEMBERED = "voice-agent.microphone";

export class Microphone {
  stream: MediaStream | null = null;
  deviceId: string;

  constructor(
    private readonly storage: Storage | null,
    /** Called whenever `stream` changes. */
    private readonly onChange: (stream: MediaStream | null) => void,
    private readonly onUnplugged: () => void,
  ) {
    this.deviceId = storage?.getItem(REMEMBERED) ?? "";
  }

  get track(): MediaStreamTrack | null {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  /** Open the chosen microphone, asking for permission if need be. Raises MicrophoneError. */
  async open(): Promise<MediaStreamTrack> {
    if (this.track?.readyState === "live") return this.track;
    if (!available()) throw new MicrophoneError("insecure");
    const stream = await this.request().catch((error: unknown) => {
      throw new MicrophoneError(troubleOf(error), error);
    });
    this.close();
    const track = stream.getAudioTracks()[0];
    if (!track) throw new MicrophoneError("missing");
    track.addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.close();
      this.onUnplugged();
    });
    this.stream = stream;
    this.onChange(stream);
    return track;
  }

  private async request(): Promise<MediaStream> {
    const wish = (deviceId: string): MediaStreamConstraints => ({
      audio: {
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
      },
    });
    try {
      return await navigator.mediaDevices.getUserMedia(wish(this.deviceId));
    } catch (error) {
      // The remembered one may be unplugged today; the default is better than none.
      if (!this.deviceId || troubleOf(error) !== "missing") throw error;
      return navigator.mediaDevices.getUserMedia(wish(""));
    }
  }

  /** Use another microphone; reopens if one is open. */
  async choose(deviceId: string): Promise<void> {
    this.deviceId = deviceId;
    this.storage?.setItem(REMEMBERED, deviceId);
    if (!this.stream) return;
    this.close();
    await this.open();
  }

  close(): void {
    const old = this.stream;
    if (!old) return;
    this.stream = null;
    old.getTracks().forEach((track) => track.stop());
    this.onChange(null);
  }
}

/** Devices of one kind; their names are empty until a microphone was allowed once. */
export async function devices(kind: "audioinput" | "audiooutput"): Promise<MediaDeviceInfo[]> {
  if (!available()) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}

/** "denied", "granted" or "prompt"; "prompt" too where the browser does not say. */
export async function permission(): Promise<PermissionState> {
  try {
    return (await navigator.permissions.query({ name: "microphone" as PermissionName })).state;
  } catch {
    return "prompt";
  }
}
