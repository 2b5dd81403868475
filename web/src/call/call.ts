/**
 * One conversation over as many connections as it takes.
 *
 * A fresh SDK client is made for every connection, so nothing of an old one can act on the new:
 * every callback checks that its connection is still the current one.
 */
import { LogLevel, logger, PipecatClient, type RTVIMessage } from "@pipecat-ai/client-js";
import { delayBefore, retryAfter } from "./backoff";
import { CallMedia } from "./media";
import { parse, type ServerMessage } from "./messages";
import { CallTransport, type Received } from "./transport";

export type Phase = "idle" | "connecting" | "connected" | "busy" | "reconnecting";

export type Trouble =
  | { kind: "busy"; text: string; retryAt: number }
  | { kind: "refused"; text: string }
  | { kind: "unreachable" }
  | { kind: "lost"; retryAt: number | null }
  | { kind: "gone" };

export interface CallEvents {
  phase(phase: Phase): void;
  trouble(trouble: Trouble | null): void;
  weak(weak: boolean): void;
  /** The agent's sound, or null when there is none any more. */
  sound(stream: MediaStream | null): void;
  message(message: ServerMessage): void;
  userWords(text: string, final: boolean): void;
  agentWords(text: string): void;
  serverError(text: string): void;
}

interface Connection {
  client: PipecatClient;
  transport: CallTransport;
  media: CallMedia;
}

const READY_WITHIN_MS = 15_000;
const WEAK_FOR_MS = 3_000;

logger.setLevel(LogLevel.ERROR); // the SDK narrates every message otherwise

export class Call {
  phase: Phase = "idle";
  muted = false;
  private connection: Connection | null = null;
  private conversation = "";
  private goodbye = false;
  private attempt = 0;
  /** Counts what was dropped, so that an answer awaited meanwhile can see it is out of date. */
  private drops = 0;
  private track: MediaStreamTrack | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private weakTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly offerUrl: string,
    private readonly events: CallEvents,
  ) {}

  get client(): PipecatClient | null {
    return this.connection?.client ?? null;
  }

  get hasMicrophone(): boolean {
    return this.track !== null;
  }

  received(): Promise<Received> {
    return this.connection?.transport.received() ?? Promise.resolve({ packets: 0, energy: 0 });
  }

  /** Start a conversation, or go on with the last one after its connection was lost for good. */
  async start(track: MediaStreamTrack | null, resume = false): Promise<void> {
    if (!resume) this.conversation = "";
    this.track = track;
    this.attempt = 0;
    await this.connect("connecting");
  }

  /** Use this microphone from now on (a clone of it), or none. */
  async useMicrophone(track: MediaStreamTrack | null): Promise<void> {
    this.track = track;
    const connection = this.connection;
    if (!connection) return;
    const sent = track?.clone() ?? null;
    await connection.transport.replaceMicrophone(sent);
    connection.media.replace(sent, this.muted);
    connection.client.enableMic(sent !== null && !this.muted);
  }

  mute(muted: boolean): void {
    this.muted = muted;
    this.connection?.client.enableMic(this.track !== null && !muted);
  }

  async sendText(text: string): Promise<void> {
    await this.connection?.client.sendText(text);
  }

  /** Try again now instead of when the wait is over. */
  retryNow(): void {
    if (this.phase === "busy") void this.connect("connecting");
    else if (this.phase === "reconnecting" && !this.connection) void this.connect("reconnecting");
  }

  /** End the call (or stop trying). The server is told, so that it does not wait for us. */
  hangUp(): void {
    if (this.client?.state === "ready") this.client.disconnectBot();
    this.conversation = "";
    this.events.trouble(null);
    this.drop();
    this.enter("idle");
  }

  private async connect(phase: "connecting" | "reconnecting"): Promise<void> {
    this.drop();
    this.goodbye = false;
    this.enter(phase);
    const connection = this.open();
    this.connection = connection;
    const current = () => this.connection === connection;
    const request = {
      endpoint: this.offerUrl,
      ...(this.conversation ? { requestData: { conversation: this.conversation } } : {}),
    };
    try {
      await within(READY_WITHIN_MS, connection.client.connect({ webrtcRequestParams: request }));
      if (!current()) return;
      this.attempt = 0;
      this.events.trouble(null);
      this.enter("connected");
    } catch (error) {
      if (!current()) return;
      await this.failed(error);
    }
  }

  private open(): Connection {
    const sent = this.track?.readyState === "live" ? this.track.clone() : null;
    const media = new CallMedia(sent, this.muted);
    let connection: Connection | null = null;
    const current = () => connection !== null && this.connection === connection;
    const transport = new CallTransport(media, {
      lost: () => {
        if (current() && this.phase === "connected") this.lost();
      },
      weak: (weak) => {
        if (current()) this.weak(weak);
      },
    });
    const client = new PipecatClient({
      transport,
      enableMic: media.isMicEnabled,
      disconnectOnBotDisconnect: false,
      callbacks: {
        onTrackStarted: (track) => {
          if (current() && track.kind === "audio") this.events.sound(new MediaStream([track]));
        },
        onUserTranscript: (data) => {
          if (current()) this.events.userWords(data.text, data.final);
        },
        onBotTtsText: (data) => {
          if (current()) this.events.agentWords(data.text);
        },
        onServerMessage: (data: unknown) => {
          const message = current() ? parse(data) : null;
          if (message) this.take(message);
        },
        onBotDisconnected: () => {
          if (current() && this.phase === "connected") this.lost();
        },
        onError: (message: RTVIMessage) => {
          const data = message.data as { error?: string; message?: string } | undefined;
          if (current()) this.events.serverError(data?.error ?? data?.message ?? "");
        },
      },
    });
    connection = { client, transport, media };
    return connection;
  }

  private take(message: ServerMessage): void {
    if (message.type === "session") this.conversation = message.conversation;
    if (message.type === "goodbye") this.goodbye = true;
    this.events.message(message);
  }

  /** The server fell silent: `weak` comes from ICE, which says nothing about who is to blame. */
  private weak(weak: boolean): void {
    clearTimeout(this.weakTimer);
    if (this.phase !== "connected") return;
    this.events.weak(weak);
    if (weak) this.weakTimer = setTimeout(() => this.lost(), WEAK_FOR_MS);
  }

  private lost(): void {
    this.drop();
    if (this.goodbye) {
      this.conversation = "";
      this.enter("idle");
      return;
    }
    this.retry();
  }

  private retry(): void {
    this.attempt += 1;
    const delay = delayBefore(this.attempt);
    if (delay === null) {
      this.drop();
      this.enter("idle");
      this.events.trouble({ kind: "gone" });
      return;
    }
    this.enter("reconnecting");
    this.events.trouble({ kind: "lost", retryAt: Date.now() + delay });
    this.timer = setTimeout(() => void this.connect("reconnecting"), delay);
  }

  private async failed(error: unknown): Promise<void> {
    const reconnecting = this.phase === "reconnecting";
    const response = error instanceof Error && error.cause instanceof Response ? error.cause : null;
    this.drop();
    const drops = this.drops;
    const text = response ? await reason(response) : "";
    if (drops !== this.drops) return; // somebody hung up or started anew meanwhile
    if (response?.status === 503) {
      const seconds = retryAfter(response.headers.get("Retry-After"));
      this.enter("busy");
      this.events.trouble({ kind: "busy", text, retryAt: Date.now() + seconds * 1000 });
      this.timer = setTimeout(() => void this.connect("connecting"), seconds * 1000);
    } else if (response && response.status < 500) {
      this.enter("idle");
      this.events.trouble({ kind: "refused", text });
    } else if (reconnecting) {
      this.retry();
    } else {
      this.enter("idle");
      this.events.trouble({ kind: "unreachable" });
    }
  }

  /** Let go of the current connection and of every wait; what it still says is ignored. */
  private drop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.weakTimer);
    this.drops += 1;
    const old = this.connection;
    this.connection = null;
    if (!old) return;
    this.events.weak(false);
    this.events.sound(null);
    old.client.disconnect().catch(() => undefined); // it may never have been connected
  }

  private enter(phase: Phase): void {
    this.phase = phase;
    this.events.phase(phase);
  }
}

/** The server's own words for a refusal, if it gave any. */
async function reason(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null);
  if (typeof body !== "object" || body === null) return "";
  const { error, detail } = body as { error?: unknown; detail?: unknown };
  return typeof error === "string" ? error : typeof detail === "string" ? detail : "";
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing heard for ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
