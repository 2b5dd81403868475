"""One conversation: a Pipecat pipeline built from a pipeline's settings around one transport.

ears -> ASR -> turn-taking -> LLM -> TTS -> reply gate, and the transport pulls the agent's voice
from playout. Everything the conversation started ends with ``run``.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.pipeline.pipeline import Pipeline as FramePipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from voice_agent.agents.tools import Tool
from voice_agent.budget.remedies import remedies
from voice_agent.control import Control
from voice_agent.engines import SessionInfo
from voice_agent.fallback import PairedEngines
from voice_agent.frames import ExpectedWordsFrame
from voice_agent.history import History
from voice_agent.media import HEARD_HZ, Transport, now_ms
from voice_agent.parting import After, Parting
from voice_agent.resources import Resources
from voice_agent.rtvi import RtviClient
from voice_agent.tool_calls import tool_handler
from voice_agent.trace.model import TOTAL, Turn
from voice_agent.trace.observer import TraceObserver
from voice_agent.trace.session import TracedSession
from voice_agent.trace.totals import GUESSES
from voice_agent.trace.tracing import Tracing
from voice_agent.turns.ears import Ears
from voice_agent.turns.events import (
    Action,
    Event,
    Greeting,
    Tag,
    Typed,
)
from voice_agent.turns.gate import ReplyGate
from voice_agent.turns.ledger import Ledger
from voice_agent.turns.playout import Playout, PlayoutEvent
from voice_agent.turns.progress import Progress
from voice_agent.turns.state import Agent, State, User
from voice_agent.turns.taking import Lines, TurnTaking

GREET_ANYWAY_S = 2.5
"""A client that speaks no RTVI never says it is ready; it is greeted after this long."""

MAX_EXPECTED_WORDS = 500

PARTING_FAILED = "That did not work; I am still here."
"""What the language model is told, as the caller's words, when a transfer fails."""

GOODBYES = {
    "idle": "Nobody has said anything for a while, so I hung up.",
    "shutdown": "The server is shutting down. Please call again in a moment.",
    "error": "Something went wrong on the server's side.",
}


class Client(Protocol):
    """Whom a conversation tells what happens, and who says what it wants."""

    greets_itself: bool
    """The client asks for the greeting, if it wants one."""

    def take(self, message: dict[str, Any]) -> None:
        """Take a message that came over the transport."""
        ...

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """See ``turns.taking.Observer``."""
        ...

    def tell_server(self, data: dict[str, Any]) -> None:
        """Take a message of our own: a latency, a goodbye."""
        ...

    async def close(self) -> None:
        """End what it has begun."""
        ...


class Conversation:
    """Talks with one caller.

    Args:
        resources: What all conversations share.
        transport: The caller's connection; closed when the conversation is over.
        conversation_id: Names it to the client, who may come back with it.
        ledger: What an earlier connection of this conversation left behind.
        tracing: Where its turns go.
        client: Makes the client's side from its hold on the conversation; RTVI's if not given.
        line_tools: Returns what the agent can do with this line besides its own tools.
    """

    def __init__(
        self,
        resources: Resources,
        transport: Transport,
        *,
        conversation_id: str | None = None,
        ledger: Ledger | None = None,
        tracing: Tracing | None = None,
        client: Callable[[Control], Client] | None = None,
        line_tools: Callable[[After], Sequence[Tool]] = lambda after: (),
    ) -> None:
        self.id = conversation_id or uuid.uuid4().hex
        self._resources = resources
        pipeline, agent = resources.pipeline, resources.agent
        self._traced = TracedSession(tracing, transport, self.id, pipeline.name)
        self._transport = transport = self._traced.transport
        self._resumed = ledger is not None and bool(ledger.exchanges)
        self._greeted = False
        self._last_active_ms = now_ms()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.trace = TraceObserver(
            self._traced.origin,
            tell=self._traced.turn,
            on_first_sound=self._tell_latency,
            judge=resources.objective.judge,
            received=lambda at_ms: ears.arrived_ms(at_ms),
            measured=self._measured,
        )
        self.ledger = ledger or Ledger(resources.system_prompt())

        session = SessionInfo(self.id, HEARD_HZ, transport.audio_out_hz)
        self._playout = Playout(
            transport.audio_out_hz, pipeline.turns.duck_db, lambda event: taking.on_playout(event)
        )
        engines = PairedEngines.of(
            resources,
            session,
            on_shorten=lambda words: self.trace.note("shorten", first_clause_max_words=words),
        )
        clip = partial(resources.phrases.clip, pipeline.tts, rate_hz=transport.audio_out_hz)
        fillers = [made for text in pipeline.budget.filler.phrases if (made := clip(text))]
        self._parting = Parting()
        tools = [*resources.tools.tools(self.id), *line_tools(self._parting.after)]
        offered = ToolsSchema(standard_tools=[tool.schema() for tool in tools])
        self._taking = taking = TurnTaking(
            pipeline.turns,
            self.ledger,
            self._playout,
            tools=offered,
            words=resources.words,
            sound=resources.sound.asker() if resources.sound is not None else None,
            listened=lambda since_ms: ears.remembered(since_ms),
            lines=Lines(
                greeting=agent.greeting,
                fillers=fillers,
                clip=clip,
            ),
            remedies=remedies(
                pipeline.budget,
                fillers=bool(fillers),
                other_llm=engines.llms.other is not None,
                other_tts=engines.voices.other is not None,
            ),
            engines=engines,
        )
        self._progress = Progress(taking.post)
        handlers = {tool.name: tool_handler(tool, taking, self.trace) for tool in tools}
        for llm in engines.llms.services:
            llm.add_event_handler("on_before_push_frame", self.trace.on_llm_push)
            llm.add_event_handler("on_before_push_frame", self._progress.on_llm_push)
            for name, handler in handlers.items():
                llm.register_function(name, handler)
        ears = Ears(
            transport,
            resources.vad.stream(),
            pipeline.vad,
            on_voice=taking.on_voice,
            on_gone=lambda: self.hang_up("gone"),
        )
        gate = ReplyGate(
            self._playout,
            on_clause=self._on_clause,
            on_audio=self._on_audio,
            on_round_ended=self._round_ended,
        )
        control = Control(
            taking, ears, engines.llms.services, offered, handlers, self.trace, self.hang_up
        )
        self._client: Client = (
            client(control)
            if client is not None
            else RtviClient(
                transport.send,
                {"conversation": self.id, "agent": agent.name, "pipeline": pipeline.name},
                on_text=lambda text: taking.post(Typed(text)),
                on_ready=self._greet,
                on_hang_up=lambda: self.hang_up("gone"),
                on_client_message=self._on_client_message,
                heard=self._playout.heard,
            )
        )
        self._history = History(pipeline.history, self.ledger, engines.llms.services[0])
        taking.observe(self._history.observe)
        taking.observe(self._observe)
        taking.observe(self.trace.observe)
        taking.observe(self._client.observe)
        self._asr = resources.asr(session)
        taking.observe(self._parting.observe)
        self._worker = PipelineWorker(
            FramePipeline([ears, self._asr, taking, *engines.row(), gate]),
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

        Reasons: "gone" (the caller hung up or was lost), "agent" (it has ended the call), "idle",
        "shutdown", "error".
        """
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        reason = "error"
        self._traced.began()
        try:
            async with asyncio.TaskGroup() as tasks:
                pipeline = tasks.create_task(runner.run(), name=f"pipeline {self.id}")
                pipeline.add_done_callback(lambda _: self.hang_up("error"))
                helpers = [
                    tasks.create_task(self._take_messages(), name=f"messages {self.id}"),
                    tasks.create_task(self._watch(), name=f"watch {self.id}"),
                    tasks.create_task(self._history.run(), name=f"history {self.id}"),
                    tasks.create_task(self._part(), name=f"part {self.id}"),
                ]
                self._transport.play(self._playout)
                reason = await self._over
                if reason in GOODBYES:
                    text = GOODBYES[reason]
                    self._client.tell_server({"type": "goodbye", "reason": reason, "text": text})
                for helper in helpers:
                    helper.cancel()
                await self._worker.cancel(reason=reason)
        finally:
            await self._client.close()
            self.trace.end(failed=reason == "error")
            self._traced.ended(reason)
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
            self._client.take(message)

    async def _watch(self) -> None:
        """Greet a client that says nothing; end a conversation in which nobody does."""
        if not self._client.greets_itself:
            await asyncio.sleep(GREET_ANYWAY_S)
            self._greet()
        idle_ms = self._resources.pipeline.sessions.idle_timeout_s * 1000.0
        while (left := self._last_active_ms + idle_ms - now_ms()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left / 1000.0)
        self.hang_up("idle")

    async def _part(self) -> None:
        """Do what ends the call, once that is due; where it cannot be done, the call goes on."""
        while True:
            act = await self._parting.due()
            try:
                await act()
            except Exception as error:
                logger.warning(f"a call could not be ended as the agent wanted: {error}")
                self._taking.post(Typed(PARTING_FAILED))
            else:
                self.hang_up("agent")
                return

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

    def _measured(self, since_ms: float) -> dict[str, float]:
        # Some recognisers know how far behind real time they are.
        hearing: Callable[[], dict[str, float]] = getattr(self._asr, "figures", dict)
        return {**self._traced.measured(since_ms), **hearing()}

    def _tell_latency(self, turn: Turn) -> None:
        waited = {stage: ms for stage, ms in turn.stages().items() if stage != TOTAL}
        parts = ", ".join(f"{stage} {ms:.0f}" for stage, ms in waited.items())
        logger.info(f"turn {turn.turn}: {turn.v2v_ms:.0f} ms ({parts})")
        self._client.tell_server(
            {
                "type": "latency",
                "id": turn.id,
                "turn": turn.turn,
                "v2v_ms": turn.v2v_ms,
                "verdict": turn.verdict,
                "guilty": turn.guilty,
                "segments": [{"name": stage, "ms": ms} for stage, ms in waited.items()],
                "guessed": turn.figures["hits"] > 0,
                "figures": {name: turn.figures[name] for name in GUESSES},
            }
        )

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

    def _on_clause(self, tag: Tag) -> None:
        self.trace.on_clause(tag)
        self._progress.clause(tag)

    def _on_audio(self, tag: Tag, ms: float) -> None:
        self.trace.on_audio(tag, ms)
        self._progress.audio(tag)

    def _round_ended(self, tag: Tag) -> None:
        self.trace.on_synthesized(tag)
        self._taking.answers.round_ended(tag)
