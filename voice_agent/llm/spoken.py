"""What every real language model's answer goes through on its way to the voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipecat.frames.frames import FunctionCallFromLLM
from pipecat.services.llm_service import LLMService

from voice_agent.llm.thinking import ThinkFilter

__all__ = ["SpokenAnswers"]


class SpokenAnswers(LLMService[Any]):
    """Stands in front of a Pipecat LLM service: reasoning is not spoken, silence is an error."""

    _think = ThinkFilter()
    _answered = False

    def _begin_answer(self, *, starts_in_think: bool = False) -> None:
        self._think = ThinkFilter(starts_open=starts_in_think)
        self._answered = False

    async def _end_answer(self) -> None:
        await self._finish_text()
        if not self._answered:
            await self.push_error("the language model answered with nothing")

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        """Run the calls, after what was said before them; unreadable ones are an error."""
        await self._finish_text()
        self._answered = True
        if not function_calls:
            await self.push_error("the language model wrote a tool call that is not JSON")
            return
        await super().run_function_calls(function_calls)

    async def _push_llm_text(self, text: str) -> None:
        await self._speak(self._think.feed(text))

    async def _finish_text(self) -> None:
        await self._speak(self._think.finish())

    async def _speak(self, text: str) -> None:
        if text:
            self._answered = self._answered or not text.isspace()
            await super()._push_llm_text(text)
