/**
 * The SDK's SmallWebRTC transport with one reconnection policy: ours.
 *
 * The stock transport retries a refused or lost connection by itself, three times, two seconds
 * apart, and hides why. A busy server (503 with Retry-After) must be told from a dead one, and a
 * new attempt must name the conversation to resume, so here every failure is final for the
 * transport and `call.ts` decides what comes next.
 *
 * The overridden members are absent from the SDK's type declarations. The SDK's version is pinned
 * and `test/transport.test.ts` fails if an update renames one of them.
 */
import { SmallWebRTCTransport } from "@pipecat-ai/small-webrtc-transport";
import type { CallMedia } from "./media";

interface Stock {
  createPeerConnection(): RTCPeerConnection;
  createDataChannel(label: string, options: RTCDataChannelInit): RTCDataChannel;
  negotiate(recreate: boolean): Promise<void>;
  attemptReconnection(recreate: boolean): Promise<void>;
  buildTransportStartError(): Error;
  stop(error?: Error): Promise<void>;
}

const stock = SmallWebRTCTransport.prototype as unknown as Stock;

/** What the page must hear of the connection beside the SDK's callbacks. */
export interface ConnectionEvents {
  /** The connection is gone and will not come back by itself. May be called more than once. */
  lost(): void;
  /** Packets stopped (true) or flow again (false); it may still recover. */
  weak(weak: boolean): void;
}

/** Sound received from the agent, as WebRTC counts it. */
export interface Received {
  packets: number;
  /** `totalAudioEnergy`: sum of squared level (1 = full scale) times seconds. */
  energy: number;
}

export class CallTransport extends SmallWebRTCTransport {
  declare protected pc: RTCPeerConnection | null;
  declare protected _lastNegotiationError: unknown;

  constructor(
    media: CallMedia,
    private readonly events: ConnectionEvents,
  ) {
    super({ mediaManager: media, iceServers: [] });
  }

  /** Send another microphone (or none) from now on. */
  async replaceMicrophone(track: MediaStreamTrack | null): Promise<void> {
    const sender = this.pc?.getTransceivers()[0]?.sender;
    if (!sender) return;
    sender.track?.stop();
    await sender.replaceTrack(track);
  }

  async received(): Promise<Received> {
    const totals: Received = { packets: 0, energy: 0 };
    for (const report of (await this.pc?.getStats())?.values() ?? []) {
      if (report.type !== "inbound-rtp" || report.kind !== "audio") continue;
      totals.packets += report.packetsReceived ?? 0;
      totals.energy += report.totalAudioEnergy ?? 0;
    }
    return totals;
  }

  protected createPeerConnection(): RTCPeerConnection {
    const pc = stock.createPeerConnection.call(this);
    pc.addEventListener("iceconnectionstatechange", () => {
      if (pc === this.pc) this.events.weak(pc.iceConnectionState === "disconnected");
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc === this.pc && pc.connectionState === "failed") this.events.lost();
    });
    return pc;
  }

  protected createDataChannel(label: string, options: RTCDataChannelInit): RTCDataChannel {
    const channel = stock.createDataChannel.call(this, label, options);
    channel.addEventListener("close", () => this.events.lost());
    return channel;
  }

  protected async negotiate(recreate = false): Promise<void> {
    await stock.negotiate.call(this, recreate);
    // The stock method swallows the failure and starts a timer; end the attempt instead.
    if (this._lastNegotiationError && this.pc) {
      await stock.stop.call(this, stock.buildTransportStartError.call(this));
    }
  }

  protected async attemptReconnection(recreate = false): Promise<void> {
    if (recreate) this.events.lost();
    else await stock.attemptReconnection.call(this, false); // the server asked to renegotiate
  }
}
