/**
 * The SDK's media manager, reduced to what a voice call needs: one microphone track or none.
 *
 * The microphone itself belongs to the page (`audio/microphone.ts`) and outlives a connection;
 * the SDK stops the tracks it is given, so each connection gets a clone.
 */
import type { Tracks } from "@pipecat-ai/client-js";

export class CallMedia {
  readonly supportsScreenShare = false;
  readonly isCamEnabled = false;
  readonly isSharingScreen = false;
  readonly selectedMic = {};
  readonly selectedCam = {};
  readonly selectedSpeaker = {};
  isMicEnabled: boolean;

  constructor(
    private track: MediaStreamTrack | null,
    muted: boolean,
  ) {
    this.isMicEnabled = track !== null && !muted;
    if (track) track.enabled = this.isMicEnabled;
  }

  /** Take another track; the caller has already stopped the old one. */
  replace(track: MediaStreamTrack | null, muted: boolean): void {
    this.track = track;
    this.enableMic(!muted);
  }

  enableMic(enable: boolean): void {
    this.isMicEnabled = enable && this.track !== null;
    if (this.track) this.track.enabled = this.isMicEnabled;
  }

  tracks(): Tracks {
    return { local: this.track ? { audio: this.track } : {} };
  }

  setClientOptions(): void {}
  async initialize(): Promise<void> {}
  async connect(): Promise<void> {}
  async disconnect(): Promise<void> {
    this.track?.stop();
  }
  async getAllMics(): Promise<MediaDeviceInfo[]> {
    return [];
  }
  async getAllCams(): Promise<MediaDeviceInfo[]> {
    return [];
  }
  async getAllSpeakers(): Promise<MediaDeviceInfo[]> {
    return [];
  }
}
