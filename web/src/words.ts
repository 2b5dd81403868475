/** Everything the page says when something is not as it should be, and when all is well. */
import type { MicrophoneTrouble } from "./audio/microphone";
import type { Phase, Trouble } from "./call/call";
import type { TurnState } from "./call/messages";

export interface Notice {
  title: string;
  text: string;
  /** Label of the button that does something about it. */
  action?: string;
  /** Epoch milliseconds of the next automatic try, for a countdown. */
  retryAt?: number;
}

/** Where this browser hides the permission of a page. */
function whereToAllow(userAgent: string): string {
  if (/Firefox\//.test(userAgent)) {
    return "Click the crossed-out microphone at the left of the address, remove the block, then press Try again.";
  }
  if (/Safari\//.test(userAgent) && !/Chrom(e|ium)\/|Android/.test(userAgent)) {
    return "Open Safari's menu for this website (“aA” on a phone), set Microphone to Allow, then press Try again.";
  }
  return "Click the icon at the left of the address, set Microphone to Allow, then press Try again.";
}

export function microphoneNotice(
  trouble: MicrophoneTrouble,
  origin: URL | Location,
  userAgent: string,
): Notice {
  const type = "You can type meanwhile, and hear the answers.";
  const again = "Try again";
  switch (trouble) {
    case "insecure":
      return {
        title: "No microphone on this address",
        text:
          `Browsers allow it only on https:// or on localhost, and this is ${origin.origin}. ` +
          `On the server's own machine, open http://localhost${origin.port ? `:${origin.port}` : ""}; ` +
          `from elsewhere, start it with --tls or put HTTPS in front of it. ${type}`,
      };
    case "denied":
      return {
        title: "The microphone is blocked",
        text: `${whereToAllow(userAgent)} ${type}`,
        action: again,
      };
    case "missing":
      return {
        title: "No microphone found",
        text: `Plug one in, or switch it on in the system's settings. ${type}`,
        action: again,
      };
    case "busy":
      return {
        title: "The microphone does not answer",
        text: `Another program may be using it; close that one. ${type}`,
        action: again,
      };
    case "failed":
      return { title: "The microphone could not be opened", text: type, action: again };
  }
}

export function troubleNotice(trouble: Trouble): Notice {
  switch (trouble.kind) {
    case "busy":
      return {
        title: "All lines are busy",
        text: trouble.text || "The agent is talking to as many people as it can.",
        action: "Try now",
        retryAt: trouble.retryAt,
      };
    case "refused":
      return {
        title: "The server refused the call",
        text: trouble.text || "It gave no reason; its log may.",
        action: "Try again",
      };
    case "unreachable":
      return {
        title: "The server does not answer",
        text: "Is it running, and can this device reach it?",
        action: "Try again",
      };
    case "lost":
      return {
        title: "Connection lost",
        text: "The conversation is kept and goes on as soon as the server answers.",
        action: "Try now",
        retryAt: trouble.retryAt ?? undefined,
      };
    case "gone":
      return {
        title: "The server is gone",
        text: "It has not answered for a while. What was said stays on this page.",
        action: "Reconnect",
      };
  }
}

export type Shown = Exclude<Phase, "connected"> | TurnState | "weak";

export const STATE_LABELS: Record<Shown, string> = {
  idle: "Ready",
  connecting: "Connecting",
  busy: "Waiting for a line",
  reconnecting: "Reconnecting",
  weak: "Weak connection",
  listening: "Listening",
  thinking: "Thinking",
  speaking: "Speaking",
  interrupted: "Interrupted",
};

/** The quiet line under the state. */
export function hint(shown: Shown, microphone: boolean, muted: boolean): string {
  switch (shown) {
    case "idle":
      return microphone ? "Talk as you would on the phone." : "Type; the answers are spoken.";
    case "connecting":
    case "busy":
    case "reconnecting":
      return "";
    case "weak":
      return "No sound is coming through.";
    default:
      if (!microphone) return "Type below; the answers are spoken.";
      if (muted) return "You are muted.";
      return shown === "listening" ? "Go ahead." : "You can interrupt at any time.";
  }
}
