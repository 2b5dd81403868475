"""What all conversations of a process share: loaded once, before the server says it is ready.

Stock Pipecat loads its VAD and turn model for every session on the event loop, which stalls every
live call by 50-60 ms and costs 58 MB a session. Here a session brings only its own state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, cast

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from voice_agent.agents.agent import Agent, AgentError, AgentTools, load_agent
from voice_agent.agents.opening import opening
from voice_agent.budget.objective import Objective
from voice_agent.config import EngineChoice, Pipeline
from voice_agent.engines import (
    Engine,
    EngineContext,
    EngineError,
    EngineSettings,
    SessionInfo,
    Stage,
    engine_class,
)
from voice_agent.phrases import Phrases
from voice_agent.turns.sound import SoundModel, SoundModelError
from voice_agent.turns.taking import APOLOGY
from voice_agent.turns.vad import Vad
from voice_agent.turns.words import TurnWordsError, WordModel


class Resources:
    """The engines, models, agent and tools of one pipeline.

    Args:
        pipeline: The validated pipeline.

    Raises:
        EngineError: The agent's file cannot be used.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        try:
            self.agent: Agent = load_agent(pipeline.agent)
        except AgentError as error:
            raise EngineError(str(error)) from error
        self.tools: AgentTools = self.agent.tool_set()
        self.vad = Vad()
        self.sound: SoundModel | None = SoundModel() if pipeline.turns.sound_model else None
        self.words: WordModel | None = None
        context = EngineContext(pipeline.search_path, self.agent.phrases(), self.opening)
        self._asr = _engine("asr", pipeline.asr, context)
        self._llm = _engine("llm", pipeline.llm, context)
        self._tts = _engine("tts", pipeline.tts, context)
        other_llm, other_tts = pipeline.llm_fallback, pipeline.tts_fallback
        self._other_llm = _engine("llm", other_llm, context) if other_llm else None
        self._other_tts = _engine("tts", other_tts, context) if other_tts else None
        self.objective = Objective(pipeline.budget)
        self.phrases = Phrases()
        self._stack = AsyncExitStack()

    def system_prompt(self) -> str:
        """Return what the language model is told first, by today's date."""
        agent = self.agent
        return agent.system_prompt(agent.now(), brief=self.pipeline.persona == "brief")

    def opening(self) -> LLMContext:
        """Return what every conversation of today begins with, as the language model sees it."""
        pipeline = self.pipeline
        return opening(self.agent, self.tools, pipeline.persona, greeting=pipeline.greeting)

    async def start(self) -> None:
        """Load everything at once; where one part fails, the rest is stopped again.

        Raises:
            EngineError: With what is missing and what to do.
        """
        stoppable: list[Engine[EngineSettings] | AgentTools]
        stoppable = [self._asr, self._llm, self._tts, self.tools]
        stoppable += [other for other in (self._other_llm, self._other_tts) if other is not None]
        starts: list[Awaitable[Any]] = [
            self._start_voice() if part is self._tts else part.start() for part in stoppable
        ]
        starts += [self.vad.start(), asyncio.to_thread(self._load_words)]
        if self.sound is not None:
            starts.append(self.sound.load())
        results = await asyncio.gather(*starts, return_exceptions=True)
        for part, result in zip(stoppable, results, strict=False):
            if not isinstance(result, BaseException):
                self._stack.push_async_callback(part.stop)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            await self.stop()
            first = errors[0]
            if isinstance(first, AgentError | SoundModelError | TurnWordsError):
                raise EngineError(str(first)) from first
            raise first

    async def stop(self) -> None:
        """Release everything; no conversation uses it any more."""
        await self._stack.aclose()
        if self.sound is not None:
            self.sound.close()

    def asr(self, session: SessionInfo) -> STTService:
        """Make the recogniser of one conversation."""
        return cast(STTService, self._asr.service(session))

    def llm(self, session: SessionInfo) -> LLMService[Any]:
        """Make the language model's service of one conversation."""
        return cast("LLMService[Any]", self._llm.service(session))

    def tts(self, session: SessionInfo) -> TTSService:
        """Make the voice of one conversation."""
        return cast(TTSService, self._tts.service(session))

    def fallback_llm(self, session: SessionInfo) -> LLMService[Any] | None:
        """Make the language model that stands in for a late one, if the pipeline has one."""
        service = self._other_llm.service(session) if self._other_llm is not None else None
        return cast("LLMService[Any] | None", service)

    def fallback_tts(self, session: SessionInfo) -> TTSService | None:
        """Make the voice that stands in for a late one, if the pipeline has one."""
        service = self._other_tts.service(session) if self._other_tts is not None else None
        return cast("TTSService | None", service)

    async def _start_voice(self) -> None:
        await self._tts.start()
        try:
            await self.phrases.make(self.pipeline.tts, self.tts, self._lines())
        except BaseException:
            await self._tts.stop()
            raise

    def _lines(self) -> list[str]:
        """Return what the agent says word for word."""
        greeting = self.agent.greeting if self.pipeline.greeting else ""
        budget = self.pipeline.budget
        fillers = budget.filler.phrases if "filler" in budget.on_miss else ()
        return [line for line in (greeting, *fillers, APOLOGY) if line]

    def _load_words(self) -> None:
        self.words = WordModel.load()


def _engine(stage: Stage, choice: EngineChoice, context: EngineContext) -> Engine[EngineSettings]:
    return engine_class(stage, choice.engine)(choice.settings, context)
