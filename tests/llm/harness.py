"""Runs one LLM service in a real Pipecat pipeline and keeps what it sends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pipecat.frames.frames import Frame, LLMContextFrame, LLMTextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner


class Collector(FrameProcessor):
    """Keeps every frame with the loop's time, and passes it on."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.frames: list[tuple[float, Frame]] = []
        self._changed = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        async with self._changed:
            self.frames.append((asyncio.get_running_loop().time(), frame))
            self._changed.notify_all()
        await self.push_frame(frame, direction)

    def of(self, kind: type[Frame]) -> list[Frame]:
        return [frame for _, frame in self.frames if isinstance(frame, kind)]

    async def until(self, kind: type[Frame], count: int = 1) -> list[Frame]:
        """Wait until ``count`` frames of this kind have come."""
        return await self._until(lambda: self.of(kind), count)

    async def _until(self, frames: Callable[[], list[Frame]], count: int) -> list[Frame]:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(frames()) >= count)
            return frames()

    def text(self) -> str:
        return "".join(frame.text for frame in self.of(LLMTextFrame))

    def token_times(self) -> list[float]:
        return [at for at, frame in self.frames if isinstance(frame, LLMTextFrame)]


class Running:
    """A service between two collectors; what goes up to ``up`` and down to ``down``."""

    def __init__(self, service: FrameProcessor) -> None:
        self.service = service
        self.up, self.down = Collector(), Collector()
        self.worker = PipelineWorker(
            Pipeline([self.up, service, self.down]),
            params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )

    async def ask(self, *messages: object, tools: object = None) -> LLMContext:
        """Send a context made of user texts and whole messages."""
        context = LLMContext(
            [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        )
        if tools is not None:
            context.set_tools(tools)
        await self.worker.queue_frame(LLMContextFrame(context))
        return context


@asynccontextmanager
async def running(service: FrameProcessor) -> AsyncIterator[Running]:
    """Start the pipeline; on leaving it is cancelled and awaited."""
    pipeline = Running(service)
    started = asyncio.Event()

    @pipeline.worker.event_handler("on_pipeline_started")
    async def _(worker: object, frame: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(pipeline.worker)
    task = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            await started.wait()
        yield pipeline
    finally:
        await pipeline.worker.cancel()
        await task
