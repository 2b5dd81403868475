/** The page: joins the call, the audio devices and the views. */
import "./style/tokens.css";
import "./style/base.css";
import "./style/page.css";
import "./style/parts.css";
import { Level } from "./audio/level";
import { available, Microphone, MicrophoneError, type MicrophoneTrouble } from "./audio/microphone";
import { Speaker } from "./audio/speaker";
import { Call, type Phase, type Trouble } from "./call/call";
import type { ServerMessage, TurnState } from "./call/messages";
import { EMPTY, type SpokenEvent, step, type Transcript } from "./call/transcript";
import { Animation } from "./view/animation";
import { AudioPanel } from "./view/audio-panel";
import { Controls } from "./view/controls";
import { byId, storage } from "./view/dom";
import { showLatency } from "./view/latency-view";
import { Notices } from "./view/notices";
import { themeButton } from "./view/theme";
import { TranscriptView } from "./view/transcript-view";
import { microphoneNotice, type Shown, troubleNotice } from "./words";

const compose = byId<HTMLFormElement>("compose");
const text = byId<HTMLInputElement>("text");
const send = byId<HTMLButtonElement>("send");

const notices = new Notices<"call" | "microphone" | "sound" | "goodbye">();
const controls = new Controls();
const transcriptView = new TranscriptView();
const userLevel = new Level();
const agentLevel = new Level();

let transcript: Transcript = EMPTY;
let turn: TurnState = "listening";
let weak = false;
/** Typed before there was a connection to send it over. */
let unsent: string[] = [];
/** What the agent said when it hung up. */
let farewell = "";
/** A call is about to start and waits for the microphone. */
let asking = false;
let audioContext: AudioContext | null = null;

/** The one audio context, made at a click so that the browser lets it run. */
function context(): AudioContext {
  audioContext ??= new AudioContext();
  if (audioContext.state === "suspended") void audioContext.resume();
  return audioContext;
}

const speaker = new Speaker(byId<HTMLAudioElement>("sound"), storage());
const microphone = new Microphone(
  storage(),
  (stream) => {
    userLevel.attach(context(), stream);
    if (!stream && call.hasMicrophone) void call.useMicrophone(null).then(show);
    animation.wake();
  },
  () => tellMicrophone("missing"),
);

const call = new Call(new URL("api/offer", document.baseURI).href, {
  phase: onPhase,
  trouble: onTrouble,
  weak: (now) => {
    weak = now;
    show();
  },
  sound: onSound,
  message: onMessage,
  userWords: (words, final) => said({ kind: "user-words", text: words, final }),
  agentWords: (words) => said({ kind: "agent-words", text: words }),
  serverError: (words) => {
    if (words) notices.show("goodbye", { title: "The server reports an error", text: words });
  },
});

const panel = new AudioPanel(microphone, speaker, {
  context,
  preview: () => animation.wake(),
  microphoneChosen: () => {
    if (call.phase === "connected") void call.useMicrophone(microphone.track).then(show);
  },
  closed: () => {
    if (!call.hasMicrophone || call.phase === "idle") microphone.close();
  },
});

const animation = new Animation(() => ({
  state: shown(),
  voices: { user: call.muted ? 0 : userLevel.read(), agent: agentLevel.read() },
  live: call.phase !== "idle" || panel.isOpen,
}));

function said(event: SpokenEvent): void {
  transcript = step(transcript, event);
  transcriptView.render(transcript);
}

function shown(): Shown {
  if (asking) return "connecting";
  if (call.phase !== "connected") return call.phase;
  return weak ? "weak" : turn;
}

function show(): void {
  controls.show({
    phase: call.phase,
    shown: shown(),
    microphone: call.hasMicrophone,
    muted: call.muted,
    asking,
    canTalk: available(),
  });
  send.disabled = text.value.trim() === "";
}

async function begin(withMicrophone: boolean, resume = false): Promise<void> {
  if (asking) return;
  context();
  farewell = "";
  notices.show("goodbye", null);
  notices.show("sound", null);
  if (!resume) {
    transcript = EMPTY;
    transcriptView.render(transcript);
    showLatency(null);
    turn = "listening";
  }
  asking = withMicrophone;
  show();
  const track = withMicrophone ? await openMicrophone() : null;
  asking = false;
  await call.start(track, resume);
}

/** The microphone, or null after telling what to do about it; the call goes on by typing. */
async function openMicrophone(): Promise<MediaStreamTrack | null> {
  try {
    const track = await microphone.open();
    notices.show("microphone", null);
    return track;
  } catch (error) {
    tellMicrophone(error instanceof MicrophoneError ? error.trouble : "failed");
    return null;
  }
}

function tellMicrophone(trouble: MicrophoneTrouble): void {
  const notice = microphoneNotice(trouble, location, navigator.userAgent);
  notices.show("microphone", notice, () => void addMicrophone());
}

async function addMicrophone(): Promise<void> {
  context();
  const track = await openMicrophone();
  if (!track) return;
  if (call.phase === "idle") microphone.close();
  else await call.useMicrophone(track);
  show();
}

function onPhase(phase: Phase): void {
  if (phase === "connected") {
    controls.announce("Connected.");
    const waiting = unsent;
    unsent = [];
    for (const words of waiting) void call.sendText(words);
  } else {
    weak = false;
    said({ kind: "ended" });
  }
  if (phase === "idle") {
    unsent = [];
    turn = "listening";
    if (!panel.isOpen) microphone.close();
    controls.announce(farewell || "Not connected.");
  }
  show();
  animation.wake();
}

function onTrouble(trouble: Trouble | null): void {
  if (!trouble) return notices.show("call", null);
  const act = () => {
    if (call.phase !== "idle") return call.retryNow();
    notices.show("call", null);
    void begin(true, trouble.kind === "gone");
  };
  notices.show("call", troubleNotice(trouble), act);
}

function onSound(stream: MediaStream | null): void {
  agentLevel.attach(context(), stream);
  speaker.play(stream).then(
    () => notices.show("sound", null),
    (error: unknown) => {
      if (!(error instanceof Error) || error.name !== "NotAllowedError") return;
      const notice = {
        title: "The browser holds the sound back",
        text: "It wants a click before a page may be heard.",
        action: "Let it be heard",
      };
      notices.show("sound", notice, () => onSound(stream));
    },
  );
}

function onMessage(message: ServerMessage): void {
  switch (message.type) {
    case "session": {
      const pipeline = byId("pipeline");
      const agent = message.agent || "Voice agent";
      byId("agent").textContent = document.title = agent;
      transcriptView.agentName = message.agent || "Agent";
      pipeline.textContent = message.pipeline;
      pipeline.title = `Pipeline: ${message.pipeline}`;
      pipeline.hidden = message.pipeline === "";
      return;
    }
    case "state":
      turn = message.state;
      return show();
    case "user-turn":
      return said({ ...message, kind: "user-turn" });
    case "agent-turn":
      return said({ ...message, kind: "agent-turn" });
    case "latency":
      return showLatency(message);
    case "goodbye":
      return goodbye(message.reason, message.text || "The agent has hung up.");
  }
}

function goodbye(reason: string, words: string): void {
  if (reason === "error") {
    notices.show("goodbye", { title: "The call ended with an error", text: words });
  } else {
    said({ kind: "note", text: words });
    farewell = words;
  }
}

byId("connect").addEventListener("click", () => void begin(true));
byId("hangup").addEventListener("click", (event) => {
  if (event.detail < 2) call.hangUp(); // the second half of a double click on Start is no hang-up
});
byId("mute").addEventListener("click", () => {
  if (!call.hasMicrophone) return void addMicrophone();
  call.mute(!call.muted);
  controls.announce(call.muted ? "Muted." : "Unmuted.");
  show();
});
text.addEventListener("input", show);
compose.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words) return;
  text.value = "";
  if (call.phase === "connected") void call.sendText(words);
  else unsent.push(words);
  if (call.phase === "idle") void begin(false); // typing alone needs no microphone
  said({ kind: "typed", text: words });
  show();
});
addEventListener("online", () => call.retryNow());
addEventListener("pagehide", () => call.hangUp());

themeButton(() => animation.wake());
if (!available()) tellMicrophone("insecure");
show();
animation.wake();

declare global {
  interface Window {
    /** For tests and the curious: the SDK's client and what has been received of the agent. */
    voiceAgent: { readonly client: Call["client"]; received: Call["received"] };
  }
}

window.voiceAgent = {
  get client() {
    return call.client;
  },
  received: () => call.received(),
};
