"""One conversation: a Pipecat pipeline built from a pipeline's settings around one transport.

ears -> ASR -> turn-taking -> LLM -> TTS -> reply gate, and the transport pulls the agent's voice
from playout. Everything the conversation started ends with ``run``.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from itertools import product
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import Frame, LLMTextFrame
from pipecat.pipeline.pipeline import Pipeline as FramePipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.workers.runner import WorkerRunner

from voice_agent.agents.tools import Tool
from voice_agent.config import Pipeline
from voice_agent.engines import SessionInfo
from voice_agent.fallback import PairedEngines
from voice_agent.frames import ExpectedWordsFrame
from voice_agent.media import HEARD_HZ, Transport, now_ms
from voice_agent.resources import Resources
from voice_agent.rtvi import RtviClient
from voice_agent.trace.turns import TurnClock, TurnLatency
from voice_agent.turns.answers import ReplyContext
from voice_agent.turns.ears import Ears
from voice_agent.turns.events import (
    Action,
    Event,
    Greeting,
    Phrased,
    Tag,
    Typed,
    Voiced,
    Worded,
)
from voice_agent.turns.gate import ReplyGate
from voice_agent.turns.ledger import Ledger
from voice_agent.turns.playout import Playout, PlayoutEvent
from voice_agent.turns.state import Agent, Remedies, State, User
from voice_agent.turns.taking import Lines, TurnTaking

GREET_ANYWAY_S = 2.5
"""A client that speaks no RTVI never says it is ready; it is greeted after this long."""

MAX_EXPECTED_WORDS = 500

WORDS_TO_SOUND_MS = 200.0
"""How long an answer whose words have begun may take to sound, where no budget says it."""

GOODBYES = {
    "idle": "Nobody has said anything for a while, so I hung up.",
    "shutdown": "The server is shutting down. Please call again in a moment.",
    "error": "Something went wrong on the server's side.",
}


def remedies(pipeline: Pipeline) -> Remedies:
    """Return what a pipeline's ``budget.on_miss`` says may be done about a late answer."""
    budget = pipeline.budget
    limits = budget.limits()
    other_llm, other_tts = pipeline.llm_fallback, pipeline.tts_fallback
    return Remedies(
        filler_after_ms=budget.filler.after_ms if "filler" in budget.on_miss else None,
        words_to_sound_ms=sum(
            limits.get(stage, WORDS_TO_SOUND_MS / 2)
            for stage in ("llm_first_clause", "tts_first_audio")
        ),
        llm_after_ms=budget.fallback.llm_after_ms if other_llm is not None else None,
        tts_after_ms=budget.fallback.tts_after_ms if other_tts is not None else None,
    )


class Conversation:
    """Talks with one caller.

    Args:
        resources: What all conversations share.
        transport: The caller's connection; closed when the conversation is over.
        conversation_id: Names it to the client, who may come back with it.
        ledger: What an earlier connection of this conversation left behind.
        on_latency: Told of every turn's latency.
    """

    def __init__(
        self,
        resources: Resources,
        transport: Transport,
        *,
        conversation_id: str | None = None,
        ledger: Ledger | None = None,
        on_latency: Callable[[TurnLatency], None] | None = None,
    ) -> None:
        self.id = conversation_id or uuid.uuid4().hex
        self._resources = resources
        self._transport = transport
        self._on_latency = on_latency
        self._resumed = ledger is not None and bool(ledger.exchanges)
        self._greeted = False
        self._last_active_ms = now_ms()
        self._worded: Tag | None = None
        self._phrased: Tag | None = None
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._clock = TurnClock(
            lambda tag: self._playout.length(tag) / self._playout.rate_hz * 1000.0
        )
        pipeline, agent = resources.pipeline, resources.agent
        self.ledger = ledger or Ledger(agent.system_prompt(agent.now()))

        session = SessionInfo(self.id, HEARD_HZ, transport.audio_out_hz)
        self._playout = Playout(
            transport.audio_out_hz, pipeline.turns.duck_db, lambda event: taking.on_playout(event)
        )
        engines = PairedEngines.of(
            resources.llm(session),
            resources.fallback_llm(session),
            resources.tts(session),
            resources.fallback_tts(session),
            lambda: resources.objective.first_clause_max_words,
        )
        for llm in engines.llms.services:
            llm.add_event_handler("on_before_push_frame", self._count_token)
        for tts in engines.voices.services:
            tts.add_event_handler("on_tts_request", self._note_clause)
        tools = resources.tools.tools(self.id)
        self._taking = taking = TurnTaking(
            pipeline.turns,
            self.ledger,
            self._playout,
            tools=ToolsSchema(standard_tools=[tool.schema() for tool in tools]),
            words=resources.words,
            sound=resources.sound.asker() if resources.sound is not None else None,
            listened=lambda since_ms: ears.remembered(since_ms),
            lines=Lines(
                greeting=agent.greeting,
                fillers=pipeline.budget.filler.phrases,
                clip=lambda text: resources.phrases.clip(
                    pipeline.tts, text, transport.audio_out_hz
                ),
            ),
            remedies=remedies(pipeline),
            engines=engines,
        )
        for llm, tool in product(engines.llms.services, tools):
            llm.register_function(tool.name, self._tool_handler(tool))
        ears = Ears(
            transport,
            resources.vad.stream(),
            pipeline.vad,
            on_voice=taking.on_voice,
            on_gone=lambda: self.hang_up("gone"),
        )
        gate = ReplyGate(
            self._playout,
            on_first_audio=self._note_first_audio,
            on_round_ended=taking.answers.round_ended,
        )
        self._rtvi = RtviClient(
            transport.send,
            {"conversation": self.id, "agent": agent.name, "pipeline": pipeline.name},
            on_text=lambda text: taking.post(Typed(text)),
            on_ready=self._greet,
            on_hang_up=lambda: self.hang_up("gone"),
            on_client_message=self._on_client_message,
        )
        taking.observe(self._observe)
        taking.observe(self._rtvi.observe)
        self._worker = PipelineWorker(
            FramePipeline([ears, resources.asr(session), taking, *engines.row(), gate]),
            params=PipelineParams(
                audio_in_sample_rate=HEARD_HZ,
                audio_out_sample_rate=transport.audio_out_hz,
            ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            check_dangling_tasks=False,
        )

    async def run(self) -> str:
        """Converse until somebody hangs up; return why it ended.

        Reasons: "gone" (the caller hung up or was lost), "idle", "shutdown", "error".
        """
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        reason = "error"
        try:
            async with asyncio.TaskGroup() as tasks:
                pipeline = tasks.create_task(runner.run(), name=f"pipeline {self.id}")
                pipeline.add_done_callback(lambda _: self.hang_up("error"))
                helpers = [
                    tasks.create_task(self._take_messages(), name=f"messages {self.id}"),
                    tasks.create_task(self._watch(), name=f"watch {self.id}"),
                ]
                self._transport.play(self._playout)
                reason = await self._over
                if reason in GOODBYES:
                    text = GOODBYES[reason]
                    self._rtvi.tell_server({"type": "goodbye", "reason": reason, "text": text})
                for helper in helpers:
                    helper.cancel()
                await self._worker.cancel(reason=reason)
        finally:
            await self._transport.close()
        return reason

    def hang_up(self, reason: str) -> None:
        """End the conversation now."""
        if not self._over.done():
            self._over.set_result(reason)

    async def finish(self, reason: str, grace_s: float) -> None:
        """End the conversation when the current answer has been heard, ``grace_s`` at most."""
        try:
            async with asyncio.timeout(grace_s):
                while self._taking.state.agent not in (Agent.IDLE, Agent.STOPPED):
                    await self._quiet()
        except TimeoutError:
            logger.warning("an answer was cut off: it outlasted the time to finish")
        self.hang_up(reason)

    # ----- what happens meanwhile -----

    async def _take_messages(self) -> None:
        async for message in self._transport.messages():
            self._rtvi.take(message)

    async def _watch(self) -> None:
        """Greet a client that says nothing; end a conversation in which nobody does."""
        await asyncio.sleep(GREET_ANYWAY_S)
        self._greet()
        idle_ms = self._resources.pipeline.sessions.idle_timeout_s * 1000.0
        while (left := self._last_active_ms + idle_ms - now_ms()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left / 1000.0)
        self.hang_up("idle")

    async def _quiet(self) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def watch(
            now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
        ) -> None:
            if state.agent in (Agent.IDLE, Agent.STOPPED) and not ended.done():
                ended.set_result(None)

        self._taking.observe(watch)
        await ended

    def _greet(self) -> None:
        if self._greeted:
            return
        self._greeted = True
        wanted = self._resources.pipeline.greeting and self._resources.agent.greeting
        if wanted and not self._resumed and self._taking.state.user is User.QUIET:
            self._taking.post(Greeting())

    def _observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        self._last_active_ms = now
        # Names only: what was said is nobody's business in a log.
        did = ", ".join(f"{type(a).__name__}{list(getattr(a, 'tag', ()))}" for a in actions) or "-"
        sides = f"{state.user.name}, {state.agent.name}"
        logger.debug(f"{now:.0f} {type(event).__name__} -> {did} ({sides})")
        latency = self._clock.event(now, event, actions, state)
        if latency is not None:
            parts = ", ".join(f"{s.name} {s.ms:.0f}" for s in latency.segments)
            logger.info(f"turn {latency.turn}: {latency.v2v_ms:.0f} ms ({parts})")
            self._rtvi.tell_server(latency.message())
            if self._on_latency is not None:
                self._on_latency(latency)

    def _on_client_message(self, kind: str, data: Any) -> bool:
        """Take the answer sheet of the scripted recogniser; nothing else is understood."""
        if kind != "script" or self._resources.pipeline.asr.engine != "scripted":
            return False
        try:
            words = [(str(word["text"]), float(word["at_ms"])) for word in data["words"]]
        except (KeyError, TypeError, ValueError):
            return False
        self._taking.tell_recogniser(ExpectedWordsFrame(words=words[:MAX_EXPECTED_WORDS]))
        return True

    async def _count_token(self, llm: FrameProcessor, frame: Frame) -> None:
        tag = self._taking.answers.generating
        if tag is None or not isinstance(frame, LLMTextFrame):
            return
        self._clock.token(tag, now_ms())
        if tag != self._worded and not frame.text.isspace():
            self._worded = tag
            self._taking.post(Worded(tag))

    async def _note_clause(self, _tts: FrameProcessor, _context_id: str, _text: str) -> None:
        tag = self._taking.answers.generating
        if tag is not None and tag != self._phrased:
            self._phrased = tag
            self._taking.post(Phrased(tag))

    def _note_first_audio(self, tag: Tag) -> None:
        self._clock.first_audio(tag, now_ms())
        self._taking.post(Voiced(tag))

    def _tool_handler(self, tool: Tool) -> Callable[[FunctionCallParams], Awaitable[None]]:
        async def handle(params: FunctionCallParams) -> None:
            tag = params.context.tag if isinstance(params.context, ReplyContext) else None
            if not tool.read_only and tag is not None:
                await self._taking.decided(tag)
            result = await self._run_tool(tool, tag, params)
            await params.result_callback(result)

        return handle

    async def _run_tool(self, tool: Tool, tag: Tag | None, params: FunctionCallParams) -> Any:
        """Run a tool to its end even if its answer is interrupted: what it did, it did."""
        running = asyncio.ensure_future(tool.run(params.arguments))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            result = await running
            if tag is not None and not tool.read_only:
                self._taking.answers.late_result(tag, params.tool_call_id, result)
            raise
