"""What a client may take into its own hands: tools, how answers are given, questions on the side.

A browser talks and listens; a client of the realtime API also says what the agent is, runs its
tools and asks for answers. This is the conversation as such a client gets hold of it. Nothing here
runs on a guess that may not: a client's tool is called only for a turn that is decided.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.settings import TTSSettings

from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.trace.observer import TraceObserver
from voice_agent.turns.answers import ReplyContext
from voice_agent.turns.ears import Ears
from voice_agent.turns.events import Tag
from voice_agent.turns.taking import TurnTaking

Handler = Callable[[FunctionCallParams], Awaitable[None]]
Call = Callable[[Tag, str, str, str], None]
"""A tool is called for an answer: (answer, call id, name, arguments as JSON)."""


class LentTool(FunctionSchema):
    """A tool of the client's; its JSON schema reaches the language model whole."""

    def __init__(self, name: str, description: str, parameters: Mapping[str, Any]) -> None:
        properties = dict(parameters.get("properties") or {})
        super().__init__(name, description, properties, list(parameters.get("required") or ()))
        self._parameters = dict(parameters)

    def to_default_dict(self) -> dict[str, Any]:
        """Return the tool as chat completions have it."""
        said = {"name": self.name, "description": self.description}
        return {**said, "parameters": self._parameters}


@dataclass(slots=True)
class Control:
    """One conversation, as its client controls it; made by the conversation."""

    taking: TurnTaking
    ears: Ears
    llms: Sequence[LLMService[Any]]
    own_tools: ToolsSchema
    handlers: Mapping[str, Handler]
    """Of the agent's own tools, by name."""
    trace: TraceObserver
    hang_up: Callable[[str], None]
    _lent: list[str] = field(default_factory=list)

    # ----- tools -----

    def lend(self, tools: Sequence[LentTool], call: Call) -> None:
        """Let the language model call these tools in place of the agent's own.

        ``call`` is told of each call, and the answer ends without its result: that comes with a
        later answer.
        """
        self._take_back()
        for tool in tools:
            self._register(tool.name, self._lent_handler(tool.name, call))
            self._lent.append(tool.name)
        self.taking.answers.offer(ToolsSchema(standard_tools=list(tools)))

    def return_own_tools(self) -> None:
        """Let the language model call the agent's own tools again."""
        self._take_back()
        self.taking.answers.offer(self.own_tools)

    def _take_back(self) -> None:
        for name in self._lent:
            for llm in self.llms:
                llm.unregister_function(name)
        self._lent.clear()
        for name, handler in self.handlers.items():
            self._register(name, handler)

    def _register(self, name: str, handler: Handler) -> None:
        for llm in self.llms:
            llm.register_function(name, handler)

    def _lent_handler(self, name: str, call: Call) -> Handler:
        async def handle(params: FunctionCallParams) -> None:
            context = params.context
            if not isinstance(context, ReplyContext):
                return
            tag, call_id = context.tag, params.tool_call_id
            self.trace.tool_began(tag, call_id, name, read_only=False)
            await self.taking.decided(tag)
            self.trace.tool_ran(tag, call_id)
            call(tag, call_id, name, json.dumps(dict(params.arguments), ensure_ascii=False))
            self.trace.tool_ended(tag, call_id)
            self.taking.answers.hand_over(tag, call_id)

        return handle

    # ----- how answers are given -----

    def speak(self, *, aloud: bool, voice: str | None, speed: float) -> None:
        """Give answers that begin from now on aloud, or in text alone.

        ``voice``: the engine's name for it, None for the pipeline's own.
        """
        self.taking.answers.aloud = aloud
        delta = TTSSettings(extra={"speed": speed})
        if voice is not None:
            delta.voice = voice
        self.taking.tell_services(TTSUpdateSettingsFrame(delta=delta))

    def watch_words(
        self, wrote: Callable[[Tag, str], None], cost: Callable[[Tag, LLMFiguresFrame], None]
    ) -> None:
        """Tell what the language model writes as it writes it, and what it cost."""
        for llm in self.llms:
            llm.add_event_handler("on_before_push_frame", self._watcher(wrote, cost))

    def _watcher(
        self, wrote: Callable[[Tag, str], None], cost: Callable[[Tag, LLMFiguresFrame], None]
    ) -> Callable[[LLMService[Any], Frame], Awaitable[None]]:
        tag: Tag | None = None

        async def watch(_llm: LLMService[Any], frame: Frame) -> None:
            nonlocal tag
            match frame:
                case ReplyStartFrame(turn=turn, revision=revision):
                    tag = Tag(turn, revision)
                case LLMTextFrame() | LLMFullResponseStartFrame() | LLMFullResponseEndFrame():
                    if tag is None:
                        return
                    if not self.taking.answers.is_aloud(tag):
                        frame.skip_tts = True
                    if isinstance(frame, LLMTextFrame):
                        wrote(tag, frame.text)
                case LLMFiguresFrame(turn=turn, revision=revision):
                    cost(Tag(turn, revision), frame)
                case _:
                    pass

        return watch

    # ----- beside the conversation -----

    async def ask(self, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """Return what the language model answers to ``messages``; None if it cannot."""
        context = LLMContext(messages=cast(list[LLMContextMessage], [dict(m) for m in messages]))
        try:
            return await self.llms[0].run_inference(context)
        except NotImplementedError:
            return None
        except Exception as error:
            logger.warning(f"an answer beside the conversation failed: {type(error).__name__}")
            return None
