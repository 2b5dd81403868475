"""Engines for as long as a measurement lasts, and one service alone in a real Pipecat pipeline,
between two collectors that keep what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from pipecat.frames.frames import Frame, LLMContextFrame, LLMTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from voice_agent.engines import Engine

__all__ = ["Alone", "Collector", "alone", "started"]

FrameT = TypeVar("FrameT", bound=Frame)
_TIMEOUT_S = 20.0


class Collector(FrameProcessor):
    """Keeps every frame with the loop's time, and passes it on."""

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        super().__init__(enable_direct_mode=True)
        self.frames: list[tuple[float, Frame]] = []
        self._changed = asyncio.Condition()
        self._timeout_s = timeout_s

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Keep the frame."""
        await super().process_frame(frame, direction)
        async with self._changed:
            self.frames.append((asyncio.get_running_loop().time(), frame))
            self._changed.notify_all()
        await self.push_frame(frame, direction)

    def of(self, kind: type[FrameT]) -> list[FrameT]:
        """Return the frames of this kind, in order."""
        return [frame for _, frame in self.frames if isinstance(frame, kind)]

    async def until(self, kind: type[FrameT], count: int = 1) -> list[FrameT]:
        """Wait until ``count`` frames of this kind have come; TimeoutError when they do not."""
        await self.until_true(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    async def until_true(self, what: Callable[[], bool]) -> None:
        """Wait until ``what`` holds, asked at every frame; TimeoutError when it does not."""
        async with asyncio.timeout(self._timeout_s), self._changed:
            await self._changed.wait_for(what)

    def text(self) -> str:
        """Return what a language model has said."""
        return "".join(frame.text for frame in self.of(LLMTextFrame))

    def token_times(self) -> list[float]:
        """Return when each piece of it came, s of the loop's clock."""
        return [at for at, frame in self.frames if isinstance(frame, LLMTextFrame)]


class Alone:
    """A service between two collectors; what goes up to ``up`` and down to ``down``."""

    def __init__(self, service: FrameProcessor, timeout_s: float = _TIMEOUT_S) -> None:
        self.service: Any = service
        self.up, self.down = Collector(timeout_s), Collector(timeout_s)
        self.worker = PipelineWorker(
            Pipeline([self.up, service, self.down]),
            params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
            cancel_on_idle_timeout=False,
            check_dangling_tasks=False,
            enable_rtvi=False,
        )

    async def ask(self, *messages: object, tools: Any = None) -> LLMContext:
        """Send a context made of user texts and whole messages."""
        said: list[Any] = [
            {"role": "user", "content": m} if isinstance(m, str) else m for m in messages
        ]
        context = LLMContext(said)
        if tools is not None:
            context.set_tools(tools)
        await self.worker.queue_frame(LLMContextFrame(context))
        return context


@asynccontextmanager
async def alone(service: FrameProcessor, timeout_s: float = _TIMEOUT_S) -> AsyncIterator[Alone]:
    """Start the pipeline; on leaving it is cancelled and awaited."""
    pipeline = Alone(service, timeout_s)
    started = asyncio.Event()

    async def on_started(worker: object, frame: object) -> None:
        started.set()

    pipeline.worker.add_event_handler("on_pipeline_started", on_started)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(pipeline.worker)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(timeout_s):
            await started.wait()
        yield pipeline
    finally:
        await pipeline.worker.cancel()
        await task


@asynccontextmanager
async def started(*engines: Engine[Any]) -> AsyncIterator[None]:
    """Start engines, one after the other, for as long as the block lasts.

    Raises:
        EngineError: One of them cannot be started; those before it are stopped again.
    """
    async with AsyncExitStack() as running:
        for engine in engines:
            await engine.start()
            running.push_async_callback(engine.stop)
        yield
