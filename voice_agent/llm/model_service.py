"""A conversation's language model service on a model that is shared by all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from pipecat.frames.frames import CancelFrame, EndFrame, Frame, FunctionCallFromLLM, StartFrame
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection

from voice_agent.engines import EngineError
from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.llm.model_process import Refused, Request
from voice_agent.llm.plain import PlainLLMService, plain_request
from voice_agent.llm.spoken import SpokenAnswers
from voice_agent.llm.thinking import ThinkFilter

__all__ = ["ModelService", "SharedModel"]

_TOO_LONG = "exceed_context_size_error"


class SharedModel(Protocol):
    """A loaded model as its conversations see it."""

    def asking(
        self, conversation: str, body: dict[str, Any]
    ) -> AbstractAsyncContextManager[Request]:
        """Send a request; leaving the block cancels it.

        Raises:
            EngineError: Too many wait already.
        """
        ...

    def prepare(self, conversation: str) -> None:
        """A conversation has begun."""
        ...

    def leave(self, conversation: str) -> None:
        """A conversation is over."""
        ...


class ModelService(SpokenAnswers, PlainLLMService):
    """An ordinary Pipecat LLM service.

    Args:
        model: The loaded model.
        name: Its name in metrics.
        conversation: Whose answers these are; keeps its place in the model's memory.
        first_token_s: From the context to the first token, waiting included.
        total_s: From the context to the end of the answer.
    """

    def __init__(
        self,
        model: SharedModel,
        name: str,
        conversation: str,
        *,
        first_token_s: float,
        total_s: float,
    ) -> None:
        super().__init__(name)
        self._model = model
        self._conversation = conversation
        self._first_token_s = first_token_s
        self._total_s = total_s
        self._reply = ReplyStartFrame()

    async def start(self, frame: StartFrame) -> None:
        """Have the model read how the conversation begins, while nobody waits for it."""
        await super().start(frame)
        self._model.prepare(self._conversation)

    async def stop(self, frame: EndFrame) -> None:
        """Give the place in the model's memory back."""
        await super().stop(frame)
        self._model.leave(self._conversation)

    async def cancel(self, frame: CancelFrame) -> None:
        """Give the place in the model's memory back."""
        await super().cancel(frame)
        self._model.leave(self._conversation)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note what is answered; the rest is the base's."""
        if isinstance(frame, ReplyStartFrame):
            self._reply = frame
        await super().process_frame(frame, direction)

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: dict[str, Any] | None = None,
    ) -> str | None:
        """Return an answer beside the conversation, spoken by nobody.

        Raises:
            EngineError: There is none.
        """
        request = plain_request(context)
        if system_instruction:
            request["messages"].insert(0, {"role": "system", "content": system_instruction})
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        thoughts, text = ThinkFilter(), ""
        async with self._model.asking(f"beside {self._conversation}", request) as chunks:
            async for chunk in chunks:
                text += thoughts.feed(chunk.get("text", ""))
        return text + thoughts.finish() or None

    async def _answer(self, context: LLMContext, asked_at: float) -> None:
        self._begin_answer()
        request = plain_request(context)
        try:
            async with asyncio.timeout_at(asked_at + self._first_token_s) as deadline:
                while True:
                    try:
                        calls = await self._write(request, deadline, asked_at + self._total_s)
                        break
                    except Refused as refused:
                        if refused.kind != _TOO_LONG or not _shorten(request["messages"]):
                            raise
        except TimeoutError:
            late = asyncio.get_running_loop().time() - asked_at >= self._total_s
            what = f"was not done after {self._total_s:g} s"
            if not late:
                what = f"did not begin to answer within {self._first_token_s:g} s"
            raise EngineError(f"the language model {what}") from None
        if calls:
            await self.run_function_calls(_calls_from(calls, context))
        await self._end_answer()

    async def _write(
        self, request: Mapping[str, Any], deadline: asyncio.Timeout, end_by: float
    ) -> dict[int, dict[str, str]]:
        """Push the text of one request; return the tool calls in it."""
        figures = LLMFiguresFrame(
            turn=self._reply.turn, revision=self._reply.revision, interrupted=True
        )
        calls: dict[int, dict[str, str]] = {}
        try:
            async with self._model.asking(self._conversation, dict(request)) as chunks:
                async for chunk in chunks:
                    _note(figures, chunk.get("timings", {}))
                    if chunk.keys() & {"text", "calls", "thought"}:
                        deadline.reschedule(end_by)
                    if "calls" in chunk:
                        await self.stop_ttfb_metrics()
                        _collect(calls, chunk["calls"])
                    if "text" in chunk:
                        await self.stop_ttfb_metrics()
                        await self._push_llm_text(chunk["text"])
                figures.interrupted = False
        finally:
            if figures.tokens or figures.prompt_tokens:
                await self._tell(figures)
        return calls

    async def _tell(self, figures: LLMFiguresFrame) -> None:
        prompt = figures.cached_tokens + figures.prompt_tokens
        await self.start_llm_usage_metrics(
            LLMTokenUsage(
                prompt_tokens=prompt,
                completion_tokens=figures.tokens,
                total_tokens=prompt + figures.tokens,
                cache_read_input_tokens=figures.cached_tokens,
            )
        )
        await self.push_frame(figures)


def _note(figures: LLMFiguresFrame, timings: Mapping[str, float]) -> None:
    """Take over what the model has measured of the request so far."""
    if not timings:
        return
    figures.cached_tokens = int(timings.get("cache_n", 0))
    figures.prompt_tokens = int(timings.get("prompt_n", 0))
    figures.prompt_ms = timings.get("prompt_ms", 0.0)
    figures.tokens = int(timings.get("predicted_n", 0))
    figures.tokens_ms = timings.get("predicted_ms", 0.0)
    figures.drafted_tokens = int(timings.get("draft_n", 0))
    figures.accepted_tokens = int(timings.get("draft_n_accepted", 0))
    figures.queue_ms = timings.get("queue_ms", 0.0)


def _collect(calls: dict[int, dict[str, str]], pieces: list[dict[str, Any]]) -> None:
    """Put the pieces of streamed tool calls together, by their index."""
    for piece in pieces:
        call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        function = piece.get("function", {})
        call["id"] += piece.get("id") or ""
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def _calls_from(
    calls: Mapping[int, Mapping[str, str]], context: LLMContext
) -> list[FunctionCallFromLLM]:
    """Return the calls that can be read."""
    made = []
    for _, call in sorted(calls.items()):
        try:
            arguments = json.loads(call["arguments"] or "{}")
        except json.JSONDecodeError:
            continue
        made.append(
            FunctionCallFromLLM(
                function_name=call["name"],
                tool_call_id=call["id"],
                arguments=arguments,
                context=context,
            )
        )
    return made


def _shorten(messages: list[dict[str, Any]]) -> bool:
    """Forget the older half of what was said; return whether there was anything to forget.

    What is left begins with the system prompt and then something the user said, and holds at
    least the last of that.
    """
    first = 1 if messages and messages[0].get("role") == "system" else 0
    said = [n for n in range(first, len(messages)) if messages[n].get("role") == "user"]
    later = [n for n in said if n > first]
    if not later:
        return False
    del messages[first : later[(len(later) - 1) // 2]]
    return True
