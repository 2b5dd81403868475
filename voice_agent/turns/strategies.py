"""The turn machine behind Pipecat's own turn strategies, for anybody's Pipecat bot.

    context = LLMContext()
    LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.1, min_volume=0.0)),
            user_turn_strategies=EvidenceTurnStrategies(words=WordModel.load(), context=context),
        ),
    )

Endpointing is evidence over time, the language model starts on a guess that Pipecat's own
``SpeculationGate`` holds, and a voice over the bot's is an interruption only if it means one. What
needs a playout of our own is left out: Pipecat's transports cannot duck, pause or resume a voice,
its gate sits before the TTS, and nothing tells a strategy what the bot is saying, so that its echo
cannot be told from a caller. Our own conversations do not use this (``turns/taking.py``).

The word model works on partial transcripts, so the STT service should send them; a final one is
asked for with ``FinalizeTranscriptFrame`` upstream, and by Pipecat's VAD stop as ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.types import ProcessFrameResult, UserTurnSpeculation
from pipecat.turns.user_start import BaseUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from voice_agent.frames import NEUTRAL, FinalizeTranscriptFrame
from voice_agent.media import now_ms
from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Action,
    Audible,
    Drop,
    Ended,
    Event,
    Finalize,
    Greeting,
    Heard,
    Release,
    Retract,
    Speculate,
    Stop,
    Tick,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.machine import step
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User
from voice_agent.turns.words import TurnWords

SETTLED_MS = 100.0
"""A guess withdrawn sooner may not have reached the LLM service yet: Pipecat's withdrawal is a
system frame, overtakes it, and finds nothing to withdraw. Such a turn is answered without a guess.
"""
NEVER_MS = 3_600_000.0
"""An answer that does not come is the pipeline's affair here, not the machine's."""


@dataclass
class EvidenceTurnStrategies(UserTurnStrategies):
    """Start and stop strategies over one turn machine; see the module's docstring.

    Parameters:
        settings: ``[turns]`` of a pipeline. ``final_wait_ms`` should be longer than the STT takes
            from VAD stop to final transcript, since Pipecat remembers final transcripts only.
        words: Tells from the words whether a turn is over; None leaves it to the clock.
        context: Where the bot's last question stands, which ``words`` wants to know.
    """

    settings: TurnSettings = field(default_factory=lambda: TurnSettings(final_wait_ms=1000))
    words: TurnWords | None = None
    context: LLMContext | None = None

    def __post_init__(self) -> None:
        """Make the two strategies; they share one machine and one list of what is to be done."""
        machine = _Machine(self.settings, self.words, self.context)
        start = EvidenceTurnStartStrategy(machine)
        self.start = [start]
        self.stop = [EvidenceTurnStopStrategy(machine, start)]


class _Machine:
    """The turn machine, fed with Pipecat's frames; the two strategies do what it decides."""

    def __init__(
        self, settings: TurnSettings, words: TurnWords | None, context: LLMContext | None
    ) -> None:
        only_words = {"answer_timeout_ms": NEVER_MS, "sound_model": False}
        self.state = State(settings.model_copy(update=only_words))
        self._words = words
        self._context = context
        self.actions: deque[Action] = deque()
        """Decided and not done yet."""
        self.moved = asyncio.Event()
        """Something was decided: the next timer may be another one."""

    def take(self, frame: Frame) -> None:
        """Decide on a frame."""
        now = now_ms()
        match frame:
            case VADUserStartedSpeakingFrame():
                self.post(VoiceStarted(now - frame.start_secs * 1000))
            case VADUserStoppedSpeakingFrame():
                self.post(VoiceStopped(now - frame.stop_secs * 1000))
            case InterimTranscriptionFrame() | TranscriptionFrame():
                self.post(self._heard(frame))
            case BotStartedSpeakingFrame():
                if self.state.answer is None:  # it speaks of its own accord
                    self.post(Greeting())
                if self.state.answer is not None:
                    self.post(Audible(self.state.answer))
            case BotStoppedSpeakingFrame() if self.state.answer is not None:
                self.post(Ended(self.state.answer))
            case _:
                pass

    def post(self, event: Event) -> None:
        """Decide on ``event`` now."""
        self.state, actions = step(self.state, event, now_ms())
        self.actions.extend(actions)
        self.moved.set()

    def _heard(self, frame: InterimTranscriptionFrame | TranscriptionFrame) -> Heard:
        whole = " ".join(part for part in (*self.state.segments, frame.text) if part)
        end_p = None
        if self._words is not None and whole and frame.result != NEUTRAL:
            end_p = self._words.end_probability(whole, self._bot_said())
        return Heard(frame.text, isinstance(frame, TranscriptionFrame), end_p)

    def _bot_said(self) -> str:
        for message in reversed(self._context.messages if self._context is not None else []):
            if isinstance(message, dict) and message.get("role") == "assistant":
                content = message.get("content")
                if isinstance(content, str):
                    return content
        return ""


class EvidenceTurnStartStrategy(BaseUserTurnStartStrategy):  # type: ignore[no-untyped-call]
    """A turn starts with the voice, or, over the bot's voice, when it means to interrupt.

    The latter is decided by the clock as well as by a frame, so ``EvidenceTurnStopStrategy``, which
    keeps time, starts the turn then.
    """

    def __init__(self, machine: _Machine) -> None:
        super().__init__()
        self._machine = machine

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Feed the machine; it sees every frame once, here, before the stop strategy does."""
        quiet = self._machine.state.user is User.QUIET
        self._machine.take(frame)
        state = self._machine.state
        opened = quiet and state.user is not User.QUIET and state.agent is not Agent.DUCKED
        if opened:
            await self.trigger_user_turn_started()
        return ProcessFrameResult.CONTINUE


class EvidenceTurnStopStrategy(BaseUserTurnStopStrategy):
    """Starts the answer on a guess and ends the turn when the evidence says so."""

    def __init__(self, machine: _Machine, start: EvidenceTurnStartStrategy) -> None:
        super().__init__()
        self._machine = machine
        self._start = start
        self._doing = asyncio.Lock()
        self._guessed_ms: float | None = None
        """When the guess that stands was started."""
        self._unsettled = False
        """A guess of this turn may be answered although it was withdrawn."""
        self._time: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Do what was decided on the frame."""
        if self._time is None:
            self._time = self.task_manager.create_task(self._keep_time(), f"{self}::time")
        await self._do()
        return ProcessFrameResult.CONTINUE

    async def cleanup(self) -> None:
        """Stop keeping time."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        if self._time is not None:
            await self.task_manager.cancel_task(self._time)
            self._time = None

    async def _keep_time(self) -> None:
        while True:
            self._machine.moved.clear()
            now = now_ms()
            at = wake_at(self._machine.state, now)
            try:
                async with asyncio.timeout(None if at is None else (at - now + 0.5) / 1000):
                    await self._machine.moved.wait()
            except TimeoutError:
                self._machine.post(Tick())
                await self._do()

    async def _do(self) -> None:
        async with self._doing:  # frames and timers both come here, and order matters
            while self._machine.actions:
                await self._perform(self._machine.actions.popleft())

    async def _perform(self, action: Action) -> None:
        match action:
            case Finalize():
                await self.push_frame(FinalizeTranscriptFrame(), FrameDirection.UPSTREAM)
            case Stop() | Retract():
                await self._start.trigger_user_turn_started()
            case Speculate(_, text) if not self._unsettled:
                self._guessed_ms = now_ms()
                await self.trigger_user_turn_inference_triggered(
                    speculation=UserTurnSpeculation(text)
                )
            case Drop() if self._guessed_ms is not None:
                self._unsettled = now_ms() - self._guessed_ms < SETTLED_MS
                await self._withdraw()
            case Release():
                await self._end_turn()
            case _:
                pass

    async def _withdraw(self) -> None:
        self._guessed_ms = None
        await self.trigger_user_turn_speculation_cancelled()  # type: ignore[no-untyped-call]

    async def _end_turn(self) -> None:
        if self._unsettled:
            self._unsettled = False
            await self._withdraw()
            await self.trigger_user_turn_stopped()
        else:
            self._guessed_ms = None
            await self.trigger_user_turn_finalized(confirms_speculation=True)
