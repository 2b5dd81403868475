"""What language model services share that read a context as it is, without an OpenAI client.

Pipecat's own default imports the OpenAI SDK, which takes 0.7 s of every start.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from pipecat.adapters.llm.base_llm_adapter import BaseLLMAdapter
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

from voice_agent.engines import EngineError

__all__ = ["PlainLLMService", "plain_request"]


def plain_request(context: LLMContext) -> dict[str, Any]:
    """Return a context as OpenAI-style ``messages``, and ``tools`` where there are any."""
    request: dict[str, Any] = {
        "messages": [
            dict(message) for message in context.get_messages() if isinstance(message, dict)
        ]
    }
    if isinstance(context.tools, ToolsSchema) and context.tools.standard_tools:
        request["tools"] = _tools(context.tools)
    return request


def _tools(schema: ToolsSchema) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": tool.to_default_dict()} for tool in schema.standard_tools
    ]


class PlainLLMService(LLMService[BaseLLMAdapter[Any]]):
    """An ordinary Pipecat LLM service; a subclass writes the answer.

    Args:
        model: Its name in metrics.
    """

    def __init__(self, model: str) -> None:
        self.adapter_class = _Adapter
        super().__init__(
            settings=LLMSettings(
                model=model,
                system_instruction=None,
                temperature=None,
                max_tokens=None,
                top_p=None,
                top_k=None,
                frequency_penalty=None,
                presence_penalty=None,
                seed=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
            )
        )

    def can_generate_metrics(self) -> bool:
        """Whether time to first token is reported, as by any other service."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; an interruption cancels the answer wherever it is."""
        asked_at = asyncio.get_running_loop().time()
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        try:
            await self.push_frame(LLMFullResponseStartFrame())
            await self.start_processing_metrics()
            await self.start_ttfb_metrics()
            await self._answer(frame.context, asked_at)
        except EngineError as error:
            await self.push_error(str(error), exception=error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    @abstractmethod
    async def _answer(self, context: LLMContext, asked_at: float) -> None:
        """Push the answer's text, or run its tool calls; ``asked_at`` is on the loop's clock.

        Raises:
            EngineError: There is no answer; it is sent upstream as an error.
        """


class _Adapter(BaseLLMAdapter[Any]):  # type: ignore[no-untyped-call]
    @property
    def id_for_llm_specific_messages(self) -> str:
        return "plain"

    async def get_llm_invocation_params(self, context: LLMContext, **kwargs: Any) -> Any:
        return plain_request(context)

    def to_provider_tools_format(self, tools_schema: ToolsSchema) -> list[Any]:
        return _tools(tools_schema)

    def get_messages_for_logging(self, context: LLMContext) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = plain_request(context)["messages"]
        return messages
