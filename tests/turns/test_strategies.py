"""The turn machine in a stock Pipecat bot, behind its aggregators and its speculation gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMTextFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from voice_agent.load.baseline import FixedLLM
from voice_agent.turns.strategies import EvidenceTurnStrategies
from voice_agent.turns.words import WordModel

WITHIN_S = 20.0


class Asked(FixedLLM):
    """Pipecat's OpenAI service with a clock for a server; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []

    async def get_chat_completions(self, context):
        """Note the last user message."""
        self.questions.append(context.get_messages()[-1]["content"])
        return await super().get_chat_completions(context)


class Probe(FrameProcessor):
    """Keeps what comes out of the LLM service."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Frame] = []
        self._news = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Keep and pass on."""
        await super().process_frame(frame, direction)
        self.seen.append(frame)
        self._news.set()
        await self.push_frame(frame, direction)

    async def until(self, kind: type[Frame], count: int = 1) -> None:
        """Return when so many frames of a kind have come."""
        async with asyncio.timeout(WITHIN_S):
            while sum(isinstance(frame, kind) for frame in self.seen) < count:
                self._news.clear()
                await self._news.wait()

    def first(self, kind: type[Frame]) -> int:
        return next(i for i, frame in enumerate(self.seen) if isinstance(frame, kind))


@dataclass
class Bot:
    """A running bot, as a test speaks to it."""

    worker: PipelineWorker
    probe: Probe
    llm: Asked
    context: LLMContext
    said: list[str] = field(default_factory=list)

    async def hears(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)


def partial(text: str) -> Frame:
    return InterimTranscriptionFrame(text, "", time_now_iso8601())


def final(text: str) -> Frame:
    return TranscriptionFrame(text, "", time_now_iso8601(), finalized=True)


STARTED = VADUserStartedSpeakingFrame(start_secs=0.1)


def stopped() -> Frame:
    return VADUserStoppedSpeakingFrame(stop_secs=0.1)


@asynccontextmanager
async def running(*messages: str) -> AsyncIterator[Bot]:
    """A stock pipeline around the strategies."""
    context = LLMContext([{"role": "assistant", "content": text} for text in messages])
    strategies = EvidenceTurnStrategies(words=WordModel.load(), context=context)
    user, assistant = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(user_turn_strategies=strategies)
    )
    probe, llm = Probe(), Asked()
    worker = PipelineWorker(Pipeline([user, llm, probe, assistant]), check_dangling_tasks=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    task = asyncio.create_task(runner.run())
    try:
        yield Bot(worker, probe, llm, context)
    finally:
        await worker.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_question_is_asked_once_and_its_answer_held_until_the_turn_is_over() -> None:
    """The language model starts on a guess; nothing of it passes before the turn has ended."""
    async with running() as bot:
        await bot.hears(STARTED, partial("what time do you open"), stopped())
        await bot.hears(final("what time do you open on sunday"))
        await bot.probe.until(LLMTextFrame)
        assert bot.probe.first(UserStoppedSpeakingFrame) < bot.probe.first(LLMTextFrame)
        assert bot.llm.questions[-1] == "what time do you open on sunday"
        assert bot.llm.questions.count("what time do you open on sunday") == 1
        said = [m["content"] for m in bot.context.messages if m["role"] == "user"]
        assert said == ["what time do you open on sunday"]


async def test_a_pause_in_the_middle_of_a_sentence_is_no_end() -> None:
    """Words that cannot end a turn keep it open; what follows belongs to it."""
    async with running() as bot:
        await bot.hears(STARTED, partial("i would like a table for"), stopped())
        await bot.hears(final("i would like a table for"))
        await bot.hears(STARTED, partial("four people"), stopped(), final("four people please"))
        await bot.probe.until(LLMTextFrame)
        assert bot.llm.questions[-1] == "i would like a table for four people please"
        assert sum(isinstance(f, UserStoppedSpeakingFrame) for f in bot.probe.seen) == 1


async def test_a_continuer_over_the_bots_voice_interrupts_nothing_and_a_stop_word_does() -> None:
    """ "mm-hm" lets it go on; "wait" does not."""
    async with running("We are open from noon to ten.") as bot:
        await bot.hears(BotStartedSpeakingFrame(), STARTED, partial("mm-hm"), stopped())
        await bot.hears(final("mm-hm"), BotStoppedSpeakingFrame(), BotStartedSpeakingFrame())
        await bot.probe.until(BotStartedSpeakingFrame, 2)
        assert not any(isinstance(frame, InterruptionFrame) for frame in bot.probe.seen)
        await bot.hears(STARTED, partial("wait"))
        await bot.probe.until(InterruptionFrame)
