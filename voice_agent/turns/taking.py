"""Turn-taking in the pipeline: the machine's decisions carried out between ASR and LLM.

This processor owns the conversation's memory and the turn machine. Events come from the ears, from
recognition, from playout and from the clock; each is decided at once, on the event loop, without
an await in between, and what touches the voice (duck, stop, release) is done in that same moment.
Frames for the services follow in order from one task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterimTranscriptionFrame,
    StartFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voice_agent.frames import NEUTRAL, FinalizeTranscriptFrame
from voice_agent.media import Pcm, now_ms
from voice_agent.turns.answers import Answers, Engines
from voice_agent.turns.barge_in import is_echo
from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Action,
    Apologise,
    AskSound,
    Audible,
    Bound,
    Carry,
    Correct,
    Drop,
    Duck,
    Ended,
    Event,
    Fill,
    Finalize,
    Greet,
    Heard,
    Hush,
    Release,
    Remember,
    Resume,
    Retract,
    Revoice,
    SoundScore,
    Speculate,
    Stop,
    Strained,
    Tag,
    Tick,
    Unduck,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.ledger import Ledger
from voice_agent.turns.machine import step
from voice_agent.turns.playout import FirstSound, PlayedOut, Playout, PlayoutEvent
from voice_agent.turns.reply import Clip
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, Remedies, State
from voice_agent.turns.vad import Voice
from voice_agent.turns.words import TurnWords

LATE_MS = 40.0
"""A timer this late means that the machine cannot keep time."""
BEFORE_VOICE_MS = 300.0
"""The sound model is given the turn's own audio and this much before it: it was trained on single
turns, and an earlier one in its 8 s confuses it."""
APOLOGY = "I'm sorry, something went wrong on my side. Could you say that again?"


class TurnSound(Protocol):
    """Tells from the sound whether a turn has ended."""

    async def end_probability(self, pcm: Pcm) -> float | None:
        """Return the probability, or None when a newer question took this one's place."""
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """What the agent says of its own accord."""

    greeting: str = ""
    apology: str = APOLOGY
    fillers: Sequence[Clip] = ()
    """Said in turn while an answer is late."""
    clip: Callable[[str], Clip | None] = lambda text: None
    """Returns a text as it was synthesized before, at the rate of this conversation."""


class Observer(Protocol):
    """Watches a conversation; may not change what it does, and must not block or raise."""

    def __call__(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """Take one event, what was decided on it, and the state after it."""
        ...


class TurnTaking(FrameProcessor):
    """Carries out the turn machine; see the module's docstring.

    Args:
        settings: ``[turns]`` of the pipeline.
        ledger: The conversation's memory.
        playout: The agent's voice.
        tools: What the language model may call; None or empty for nothing.
        words: Evidence from the words, if any.
        sound: Evidence from the sound, if any.
        listened: Returns the user's audio since a moment of the media clock, for ``sound``.
        lines: What the agent says of its own accord.
        remedies: What may be done about a late answer.
        engines: Says which engines answer.
    """

    def __init__(
        self,
        settings: TurnSettings,
        ledger: Ledger,
        playout: Playout,
        *,
        tools: ToolsSchema | None = None,
        words: TurnWords | None = None,
        sound: TurnSound | None = None,
        listened: Callable[[float], Pcm] | None = None,
        lines: Lines | None = None,
        remedies: Remedies | None = None,
        engines: Engines | None = None,
    ) -> None:
        super().__init__()
        self.ledger = ledger
        # A conversation taken up again counts on: a second turn 1 would replace the first.
        self._state = State(settings, remedies or Remedies(), turn=ledger.last_turn)
        self._playout = playout
        self._words = words
        self._sound = sound
        self._listened = listened
        self._lines = lines or Lines()
        self._observers: list[Observer] = []
        self._inbox: deque[Event] = deque()
        self._posting = False
        self._outbox: asyncio.Queue[tuple[Frame, FrameDirection]] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self.answers = Answers(
            ledger,
            playout,
            tools,
            push=self._queue,
            tell=self.post,
            engines=engines,
        )

    @property
    def state(self) -> State:
        """The machine's state now."""
        return self._state

    def observe(self, observer: Observer) -> None:
        """Tell ``observer`` of everything from now on."""
        self._observers.append(observer)

    # ----- events in -----

    def post(self, event: Event) -> None:
        """Decide on ``event`` now and do what was decided."""
        self._inbox.append(event)
        if self._posting:
            return
        self._posting = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._posting = False
        self._arm()

    def on_voice(self, voice: Voice) -> None:
        """Hear from the ears that the voice started or stopped."""
        self.post(VoiceStarted(voice.at_ms) if voice.on else VoiceStopped(voice.at_ms))

    def on_playout(self, event: PlayoutEvent) -> None:
        """Hear from playout what was played."""
        for observer in self._observers:
            observer(now_ms(), event, (), self._state)
        match event:
            case FirstSound(tag):
                self.post(Audible(tag))
            case PlayedOut(tag, text):
                self.answers.heard(tag, text)
                self.post(Ended(tag))

    async def decided(self, tag: Tag) -> None:
        """Return when the turn that ``tag`` answers is decided, and bind the answer to it."""
        await self.answers.decided(tag)
        self.post(Bound(tag))

    def tell_services(self, frame: Frame) -> None:
        """Send a frame to the language model and the voice, in order with what they answer."""
        self._queue(frame)

    def tell_recogniser(self, frame: Frame) -> None:
        """Send a frame to the ASR service, in order with what the machine asks of it."""
        self._queue(frame, FrameDirection.UPSTREAM)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take transcripts, tool calls and errors; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                self._sender = self.create_task(self._send(), "turn-taking")
            case InterimTranscriptionFrame() | TranscriptionFrame():
                final = isinstance(frame, TranscriptionFrame)
                self._hear(frame.text, final, meaningful=frame.result != NEUTRAL)
            case FunctionCallsStartedFrame() if direction is FrameDirection.UPSTREAM:
                self.answers.calls_started(frame)
            case FunctionCallInProgressFrame() if direction is FrameDirection.UPSTREAM:
                self.answers.call_in_progress(frame)
            case FunctionCallResultFrame() if direction is FrameDirection.UPSTREAM:
                self.answers.call_ended(frame)
            case ErrorFrame() if direction is FrameDirection.UPSTREAM:
                self.answers.failure(frame.processor)
                await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop deciding; whoever is cut off in an answer may come back, and has heard so much."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        playing = self._playout.playing
        if playing is not None:
            self.ledger.heard(playing.turn, self._playout.heard(playing), interrupted=True)
        if self._alarm is not None:
            self._alarm.cancel()
        for task in (self._sender, *self._asking):
            if task is not None:
                await self.cancel_task(task)
        self._sender = None

    # ----- deciding -----

    def _step(self, event: Event) -> None:
        now = now_ms()
        self._state, actions = step(self._state, event, now)
        for observer in self._observers:
            observer(now, event, actions, self._state)
        for action in actions:
            self._perform(action)

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = now_ms()
        at = wake_at(self._state, now)
        if at is not None:
            # A timer that fires a hair early would find nothing due, and fire again and again.
            delay_s = max(0.0, at - now + 0.5) / 1000.0
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(delay_s, self._ring, at)

    def _ring(self, due: float) -> None:
        if now_ms() - due > LATE_MS:
            self.post(Strained())
        self.post(Tick())

    def _hear(self, text: str, final: bool, *, meaningful: bool) -> None:
        whole = " ".join(part for part in (*self._state.segments, text) if part)
        end_p = None
        if self._words is not None and whole and meaningful:
            end_p = self._words.end_probability(whole, self._agent_said())
        echo = self._state.agent in (Agent.SPEAKING, Agent.DUCKED) and is_echo(
            text, self._playout.recently_heard()
        )
        self.post(Heard(text, final, end_p, echo))

    def _agent_said(self) -> str:
        playing = self._playout.playing
        return (self._playout.heard(playing) if playing else "") or self.ledger.last_said

    # ----- doing -----

    def _perform(self, action: Action) -> None:
        match action:
            case AskSound(silence_began):
                self._ask_sound(silence_began)
            case Finalize():
                self._queue(FinalizeTranscriptFrame(), FrameDirection.UPSTREAM)
                # For recognisers that know only Pipecat's own way of being told.
                self._queue(VADUserStoppedSpeakingFrame(stop_secs=0.0), FrameDirection.UPSTREAM)
            case Greet(tag):
                self._say(tag, self._lines.greeting, remembered=True)
            case Apologise(tag):
                self._say(tag, self._lines.apology, remembered=False)
            case Speculate(tag, text, fallback):
                self.answers.start(tag, text, fallback=fallback)
            case Fill(tag, number):
                self._fill(tag, number)
            case Carry(tag, again):
                self.answers.carry(tag, again)
            case Revoice(tag):
                self.answers.revoice(tag)
            case Drop(tag):
                self.answers.drop(tag)
            case Release(tag, text, _):
                self.answers.release(tag, text)
            case Remember(turn, text, _):
                self.answers.remember(turn, text)
            case Retract(tag):
                self.answers.retract(tag)
            case Correct(turn, text):
                self.ledger.correct(turn, text)
            case Duck():
                self._playout.duck()
            case Hush():
                self._playout.hush()
            case Unduck():
                self._playout.unduck()
            case Stop(tag):
                self.answers.stop(tag)
            case Resume():
                self._playout.resume()
            case _:
                pass  # NoTurn: nothing to do but to be observed

    def _say(self, tag: Tag, text: str, *, remembered: bool) -> None:
        self.answers.say(tag, text, remembered=remembered, clip=self._lines.clip(text))

    def _fill(self, tag: Tag, number: int) -> None:
        fillers = self._lines.fillers
        if fillers:
            self.answers.fill(tag, fillers[number % len(fillers)])

    def _ask_sound(self, silence_began: float) -> None:
        if self._sound is None or self._listened is None:
            return
        pcm = self._listened(self._state.voice_at - BEFORE_VOICE_MS)
        task = self.create_task(self._answer_sound(self._sound, pcm, silence_began), "turn-sound")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer_sound(self, sound: TurnSound, pcm: Pcm, silence_began: float) -> None:
        end_p = await sound.end_probability(pcm)
        if end_p is not None:
            self.post(SoundScore(silence_began, end_p))

    # ----- frames out -----

    def _queue(self, frame: Any, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        self._outbox.put_nowait((frame, direction))

    async def _send(self) -> None:
        while True:
            frame, direction = await self._outbox.get()
            await self.push_frame(frame, direction)
