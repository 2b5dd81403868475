"""The ``trtllm`` engine: a Nemotron on TensorRT-LLM, over its endpoint or in a process of our own.

``mode = "endpoint"`` speaks to a ``trtllm-serve`` that runs (``voice-agent llm-server``). Beside
what ``openai-compatible`` does, every request has a connection of its own: hanging up is how a
barge-in stops the server's writing, and versions before the fix of TensorRT-LLM's issue 13777
watch a kept-alive connection for ever. What the server measured of each request is read from its
``/perf_metrics`` and told with the turn.

``mode = "in-process"`` loads the model through TensorRT-LLM's own API into a worker process: no
HTTP, and a barge-in aborts at once, where ``trtllm-serve`` looks once a second.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, ClassVar, Literal

from pipecat.frames.frames import CancelFrame, EndFrame
from pipecat.processors.frame_processor import FrameProcessor
from pydantic import Field, model_validator

from voice_agent.engines import Engine, EngineContext, EngineSettings, SessionInfo
from voice_agent.llm.model_service import ModelService
from voice_agent.llm.openai_compatible import (
    OpenAICompatibleEngine,
    OpenAICompatibleService,
    OpenAICompatibleSettings,
    Sent,
    figures_of,
)
from voice_agent.llm.trtllm_figures import PerfMetrics
from voice_agent.llm.trtllm_model import TrtLlmModel
from voice_agent.llm.trtllm_wire import TrtLlmLoad

__all__ = ["TrtLlmEngine", "TrtLlmSettings"]


class TrtLlmSettings(OpenAICompatibleSettings):
    """The ``[llm]`` table of a pipeline with ``engine = "trtllm"``."""

    mode: Literal["endpoint", "in-process"] = "endpoint"
    figures: bool = True
    """Endpoint: read what the server measured of each request. Only one reader may: what is read
    is gone from the server."""
    weights: str = ""
    """In-process: a folder with the weights, or the repository they are published in."""
    config: str = ""
    """In-process: the YAML that ``voice-agent llm-server --print-config`` writes."""
    python: str = sys.executable
    """In-process: the Python that has tensorrt_llm."""
    at_once: int = Field(default=16, ge=1)
    """In-process: answers under way; more are refused."""

    @model_validator(mode="after")
    def _complete(self) -> TrtLlmSettings:
        if self.mode == "in-process" and not (self.weights and self.config):
            raise ValueError(
                'mode "in-process" needs weights and config; write the latter with '
                "`voice-agent llm-server --print-config`"
            )
        return self


class TrtLlmEngine(Engine[TrtLlmSettings]):
    """One server, or one worker process, for all conversations."""

    Settings: ClassVar[type[EngineSettings]] = TrtLlmSettings

    def __init__(self, settings: TrtLlmSettings, context: EngineContext) -> None:
        super().__init__(settings, context)
        made = _InProcess if settings.mode == "in-process" else _Endpoint
        self._engine: Engine[Any] = made(settings, context)

    async def start(self) -> None:
        """Find the server, or load the model.

        Raises:
            EngineError: What is missing and what to do.
        """
        await self._engine.start()

    def about(self) -> str:
        """Return how the model is reached."""
        return self._engine.about()

    def service(self, session: SessionInfo) -> FrameProcessor:
        """Make the Pipecat service of one conversation."""
        return self._engine.service(session)

    async def stop(self) -> None:
        """Close the connections, or end the worker."""
        await self._engine.stop()


class _Endpoint(OpenAICompatibleEngine):
    """``trtllm-serve`` over HTTP."""

    kept_alive: ClassVar[int] = 0
    settings: TrtLlmSettings
    _metrics: PerfMetrics | None = None

    async def start(self) -> None:
        await super().start()
        if self.settings.figures:
            metrics = PerfMetrics(self.settings.base_url.rstrip("/").removesuffix("/v1"))
            self._metrics = metrics if await metrics.start() else None

    def about(self) -> str:
        told = "measures every request" if self._metrics else "tells nothing of its requests"
        return f"{self._model} at {self.settings.base_url}, which {told}"

    def service(self, session: SessionInfo) -> OpenAICompatibleService:
        if self._client is None:
            raise RuntimeError("TrtLlmEngine.start() was not awaited")
        return _EndpointService(self._client, self._model, self.settings, self._metrics)

    async def stop(self) -> None:
        await super().stop()
        if self._metrics is not None:
            await self._metrics.stop()
            self._metrics = None


class _EndpointService(OpenAICompatibleService):
    """Tells what the server measured of a request as soon as it can be read."""

    def __init__(self, *args: Any) -> None:
        *rest, self._perf = args
        self._reading: set[asyncio.Task[None]] = set()
        super().__init__(*rest)

    async def _ended(self, request: Sent, *, finished: bool) -> None:
        # A request that was cut off has no record: the server keeps those that finish.
        if self._perf is None or not finished or not request.first_token_s:
            await super()._ended(request, finished=finished)
            return
        # Not awaited here: the answer's end must not wait for figures about it.
        task = asyncio.create_task(self._read(self._perf, request), name="perf_metrics")
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, metrics: PerfMetrics, request: Sent) -> None:
        figures = figures_of(request, self._usage, finished=True)
        record = await metrics.of(request.sent_s, request.first_token_s)
        if record is not None:
            figures.queue_ms = record.queue_ms
            figures.prompt_ms = record.prefill_ms
            figures.tokens_ms = record.decode_ms
            figures.reused_blocks = record.reused_blocks
            figures.drafted_tokens = record.drafted
            figures.accepted_tokens = record.accepted
        await self.push_frame(figures)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._stop_reading()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._stop_reading()

    async def _stop_reading(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)


class _InProcess(Engine[TrtLlmSettings]):
    """TensorRT-LLM's API in a worker process."""

    _model: TrtLlmModel | None = None

    async def start(self) -> None:
        settings = self.settings
        config = await asyncio.to_thread(self.context.find(settings.config).read_text)
        load = TrtLlmLoad(settings.weights, config, settings.reasoning == "on")
        common = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            **settings.extra_body,
        }
        model = TrtLlmModel(load, settings.python, settings.at_once, common, self.context.opening)
        await model.start()
        self._model = model

    def about(self) -> str:
        return f"{self.settings.weights} in a process of our own"

    def service(self, session: SessionInfo) -> ModelService:
        if self._model is None:
            raise RuntimeError("TrtLlmEngine.start() was not awaited")
        return ModelService(
            self._model,
            self.settings.model or self.settings.weights.rsplit("/", 1)[-1],
            session.session_id,
            first_token_s=self.settings.first_token_timeout_s,
            total_s=self.settings.total_timeout_s,
        )

    async def stop(self) -> None:
        if self._model is not None:
            model, self._model = self._model, None
            await model.stop()
