"""A pipeline of one TTS service, with somebody listening at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from voice_agent.frames import SpokenWordsFrame
from voice_agent.tts.service import SpeechService

FrameT = TypeVar("FrameT", bound=Frame)
PATIENCE_S = 120.0


class Listener(FrameProcessor):
    """Keeps every frame that comes out of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._more = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            self.frames.append(frame)
            self._more.set()
        await self.push_frame(frame, direction)

    async def hear(self, kind: type[FrameT], count: int = 1) -> list[FrameT]:
        """Wait until ``count`` frames of a kind have come, and return all of that kind."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.all(kind)) < count:
                self._more.clear()
                await self._more.wait()
        return self.all(kind)

    def all(self, kind: type[FrameT]) -> list[FrameT]:
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def audio(self) -> npt.NDArray[np.int16]:
        """Return all audio heard so far."""
        return np.frombuffer(b"".join(f.audio for f in self.all(TTSAudioRawFrame)), np.int16)

    def words(self) -> list[tuple[str, int, int]]:
        """Return all words heard so far."""
        return [word for frame in self.all(SpokenWordsFrame) for word in frame.words]


class Line:
    """Says things to the service."""

    def __init__(self, worker: PipelineWorker, listener: Listener) -> None:
        self.worker = worker
        self.listener = listener

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self.worker.queue_frame(frame)

    async def begin(self) -> None:
        await self.send(LLMFullResponseStartFrame())

    async def tokens(self, *texts: str) -> None:
        await self.send(*(LLMTextFrame(text) for text in texts))

    async def end(self) -> None:
        await self.send(LLMFullResponseEndFrame())

    async def interrupt(self) -> None:
        await self.send(InterruptionFrame())

    async def reply(self, text: str, count: int = 1) -> Listener:
        """Stream a whole reply and wait until the service says it is spoken."""
        await self.begin()
        await self.tokens(*text.replace(" ", "\0 ").split("\0"))
        await self.end()
        await self.listener.hear(TTSStoppedFrame, count)
        return self.listener


@asynccontextmanager
async def line_to(service: SpeechService) -> AsyncIterator[Line]:
    """Run a pipeline of ``service`` for the time of the block."""
    listener = Listener()
    worker = PipelineWorker(
        Pipeline([service, listener]),
        params=PipelineParams(audio_out_sample_rate=service._out_hz),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
    )
    started = asyncio.Event()

    async def on_started(worker: PipelineWorker, frame: Frame) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", on_started)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await started.wait()
        yield Line(worker, listener)
        await worker.queue_frame(EndFrame())
        async with asyncio.timeout(PATIENCE_S):
            await run
    finally:
        if not run.done():
            await worker.cancel()
            await run
