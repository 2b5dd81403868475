"""The ``openai-compatible`` engine: any server that speaks OpenAI's chat completions.

trtllm-serve, vLLM, llama-server, NIM, LM Studio, ... The service is Pipecat's own with what a
spoken conversation needs on top: deadlines for the first token and the whole answer, one retry of
a failed connection, reasoning switched off and never spoken, and an error instead of silence.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    DefaultAsyncHttpxClient,
    Timeout,
)
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import Frame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.utils.http import connection_limits
from pydantic import Field

from voice_agent.engines import Engine, EngineError, EngineSettings, SessionInfo
from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.llm.chunks import ChunkReader
from voice_agent.llm.spoken import SpokenAnswers

__all__ = ["OpenAICompatibleEngine", "OpenAICompatibleService", "OpenAICompatibleSettings"]


class OpenAICompatibleSettings(EngineSettings):
    """The ``[llm]`` table of a pipeline with ``engine = "openai-compatible"``."""

    base_url: str = Field(default="http://localhost:8000/v1", pattern=r"^https?://")
    """Up to and including ``/v1``."""
    model: str = ""
    """A name of ``GET /v1/models``; empty takes the first one served."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key; empty sends none."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """None leaves it to the server."""
    max_tokens: int = Field(default=300, ge=1)
    """A bound on one answer, reasoning included."""
    reasoning: Literal["off", "on", "server"] = "off"
    """"off" and "on" send ``chat_template_kwargs.enable_thinking``, as Nemotron and Qwen want it;
    "server" sends nothing, for servers that refuse what they do not know."""
    starts_in_think: bool = False
    """The server's template opens ``<think>`` itself, so that only ``</think>`` is streamed."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request; wins over ``reasoning``."""
    connect_timeout_s: float = Field(default=2.0, gt=0)
    first_token_timeout_s: float = Field(default=5.0, gt=0)
    """From the request to the first token of the answer or of its reasoning."""
    total_timeout_s: float = Field(default=30.0, gt=0)
    """From the request to the end of the answer."""
    warm_up: bool = False
    """Ask for one token before the server says it is ready."""


class OpenAICompatibleEngine(Engine[OpenAICompatibleSettings]):
    """One HTTP client, and so one pool of connections, for all conversations."""

    Settings: ClassVar[type[EngineSettings]] = OpenAICompatibleSettings
    kept_alive: ClassVar[int] = 100
    """Connections kept for further requests; 0 makes a new one for each."""
    _client: AsyncOpenAI | None = None
    _model: str = ""

    async def start(self) -> None:
        """Check that the server answers and serves the model.

        Raises:
            EngineError: No key, no server, not this model; the message says what to do.
        """
        settings = self.settings
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else "none"
        if not key:
            raise EngineError(
                f"llm.api_key_env: the environment variable {settings.api_key_env} is not set"
            )
        self._client = AsyncOpenAI(
            base_url=settings.base_url,
            api_key=key,
            max_retries=0,  # a retry waits half a second first; the service has its own
            timeout=Timeout(settings.total_timeout_s, connect=settings.connect_timeout_s),
            default_headers={} if self.kept_alive else {"Connection": "close"},
            http_client=DefaultAsyncHttpxClient(
                limits=connection_limits(
                    max_connections=1000,
                    max_keepalive_connections=self.kept_alive,
                    keepalive_expiry=None,
                )
            ),
        )
        try:
            self._model = await self._served_model(self._client)
            if settings.warm_up:
                await self._warm_up(self._client)
        except BaseException:
            await self.stop()
            raise

    def service(self, session: SessionInfo) -> OpenAICompatibleService:
        """Make the Pipecat service of one conversation."""
        if self._client is None:
            raise RuntimeError("OpenAICompatibleEngine.start() was not awaited")
        return OpenAICompatibleService(self._client, self._model, self.settings)

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _served_model(self, client: AsyncOpenAI) -> str:
        settings = self.settings
        try:
            async with asyncio.timeout(settings.connect_timeout_s + 5.0):
                served = [model.id async for model in client.models.list()]
        except APIStatusError as error:
            if error.status_code == 404 and settings.model:
                return settings.model  # a gateway that lists nothing, but it answers
            hint = "check llm.base_url (it ends in /v1) and llm.api_key_env"
            raise EngineError(
                f"the language model server at {settings.base_url} answered GET /models with "
                f"{error.status_code}; {hint}"
            ) from error
        except (APIError, TimeoutError, ValueError) as error:
            raise EngineError(
                f"no language model server answers at {settings.base_url} ({_cause(error)}); "
                "start one or set llm.base_url"
            ) from error
        if not settings.model and not served:
            raise EngineError(f"{settings.base_url} serves no model; set llm.model")
        if settings.model and served and settings.model not in served:
            raise EngineError(
                f"{settings.base_url} does not serve {settings.model!r}; set llm.model to one of: "
                f"{', '.join(sorted(served))}, or leave it out"
            )
        return settings.model or served[0]

    async def _warm_up(self, client: AsyncOpenAI) -> None:
        try:
            await client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": "Hello"}],
                max_tokens=1,
                extra_body=_extra_body(self.settings),
            )
        except APIError as error:
            raise EngineError(
                f"the model {self._model} at {self.settings.base_url} does not answer "
                f"({_cause(error)}); see the server's log"
            ) from error


class OpenAICompatibleService(SpokenAnswers, OpenAILLMService):
    """An ordinary Pipecat LLM service on a client that belongs to the engine."""

    supports_developer_role = False

    def __init__(self, client: AsyncOpenAI, model: str, settings: OpenAICompatibleSettings) -> None:
        self._shared = client
        self._limits = settings
        self._chunks = ChunkReader()
        self._first_token_s = 0.0
        given: dict[str, Any] = {"model": model, "max_tokens": settings.max_tokens}
        if settings.temperature is not None:
            given["temperature"] = settings.temperature
        if extra_body := _extra_body(settings):
            given["extra"] = {"extra_body": extra_body}
        self._reply = ReplyStartFrame()
        self._usage: CompletionUsage | None = None
        super().__init__(settings=self.Settings(**given))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note what is answered; the rest is the base's."""
        if isinstance(frame, ReplyStartFrame):
            self._reply = frame
        await super().process_frame(frame, direction)

    def create_client(self, *args: Any, **kwargs: Any) -> AsyncOpenAI:
        """Return the engine's client: one pool of connections for all conversations."""
        return self._shared

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """Send the request; retry once, at once, where no connection could be made.

        Raises:
            EngineError: The server cannot be reached, is too slow, or refuses.
        """
        begun = asyncio.get_running_loop().time()
        first_by = begun + self._limits.first_token_timeout_s
        try:
            async with asyncio.timeout_at(first_by):
                try:
                    stream = await super().get_chat_completions(context)
                except APIConnectionError:
                    stream = await super().get_chat_completions(context)
        except (TimeoutError, APIError) as error:
            raise self._failure(error) from error
        # Pipecat only iterates and closes it; the pieces in between are bounded and put in order.
        bounded: Any = self._bounded(stream, first_by, begun + self._limits.total_timeout_s)
        return bounded  # type: ignore[no-any-return]

    async def _process_context(self, context: LLMContext) -> None:
        self._begin_answer(starts_in_think=self._limits.starts_in_think)
        self._chunks = ChunkReader()
        self._usage = None
        request = Sent(self._reply.turn, self._reply.revision, time.monotonic())
        finished = False
        try:
            await super()._process_context(context)
            finished = True
        finally:
            request.first_token_s = self._first_token_s
            await self._ended(request, finished=finished)
        await self._end_answer()

    async def _ended(self, request: Sent, *, finished: bool) -> None:
        """Tell what the request cost, as far as the server has told; must not wait for anything."""
        figures = figures_of(request, self._usage, finished=finished)
        if figures.tokens or figures.prompt_tokens:
            await self.push_frame(figures)

    async def _bounded(
        self, stream: AsyncStream[ChatCompletionChunk], first_by: float, end_by: float
    ) -> AsyncGenerator[ChatCompletionChunk]:
        """The stream with deadlines; closing this closes the HTTP response at once."""
        chunks = aiter(stream)
        deadline = min(first_by, end_by)
        self._first_token_s = 0.0
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except (TimeoutError, APIError, ValueError) as error:  # ValueError: no JSON
                    raise self._failure(error, streaming=deadline == end_by) from error
                if _is_token(chunk):
                    deadline = end_by
                    self._first_token_s = self._first_token_s or time.monotonic()
                self._usage = chunk.usage or self._usage
                for piece in self._chunks.split(chunk):
                    yield piece
        finally:
            await stream.close()

    def _failure(self, error: Exception, streaming: bool = False) -> EngineError:
        limits = self._limits
        where = f"the language model at {limits.base_url}"
        if isinstance(error, TimeoutError):
            if streaming:
                return EngineError(f"{where} was not done after {limits.total_timeout_s:g} s")
            waited = limits.first_token_timeout_s
            return EngineError(f"{where} did not begin to answer within {waited:g} s")
        if isinstance(error, APIConnectionError):
            lost = "broke off" if streaming else "cannot be reached"
            return EngineError(f"{where} {lost} ({_cause(error)})")
        if not isinstance(error, APIError):
            return EngineError(f"{where} wrote what is no JSON ({_cause(error)})")
        return EngineError(f"{where} refused: {_cause(error)}")


@dataclass(slots=True)
class Sent:
    """A request that was made, and when; seconds of ``time.monotonic``."""

    turn: int
    revision: int
    sent_s: float
    first_token_s: float = 0.0
    """0 until it has come."""


def figures_of(request: Sent, usage: CompletionUsage | None, *, finished: bool) -> LLMFiguresFrame:
    """Return what a server's ``usage`` tells of a request; all zero where it tells nothing."""
    figures = LLMFiguresFrame(
        turn=request.turn, revision=request.revision, interrupted=not finished
    )
    if usage is not None:
        details = usage.prompt_tokens_details
        figures.cached_tokens = (details.cached_tokens if details else None) or 0
        figures.prompt_tokens = usage.prompt_tokens - figures.cached_tokens
        figures.tokens = usage.completion_tokens
    return figures


def _extra_body(settings: OpenAICompatibleSettings) -> dict[str, Any]:
    if settings.reasoning == "server":
        return settings.extra_body
    thinking = {"enable_thinking": settings.reasoning == "on"}
    return {"chat_template_kwargs": thinking, **settings.extra_body}


def _is_token(chunk: ChatCompletionChunk) -> bool:
    """Whether the model has begun: the first chunk of many servers only names the role."""
    if not chunk.choices or chunk.choices[0].delta is None:
        return False
    delta = chunk.choices[0].delta
    reasoning = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    return bool(delta.content or delta.tool_calls or reasoning)


def _cause(error: BaseException) -> str:
    """The innermost reason in words: "Connection refused" rather than "Connection error."."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        return f"HTTP {error.status_code}, {body.get('message') or error.message}"
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
