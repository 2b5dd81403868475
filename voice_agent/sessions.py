"""The calls of one process: how many, how they begin, how they are taken up again, how they end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiortc.sdp import candidate_from_sdp
from loguru import logger
from starlette.routing import BaseRoute

from voice_agent.agents.agent import Agent
from voice_agent.agents.tools import Tool
from voice_agent.budget.metrics import ObjectiveMetrics
from voice_agent.config import Pipeline
from voice_agent.control import Control
from voice_agent.conversation import Client, Conversation
from voice_agent.engines import EngineError
from voice_agent.errors import BadOffer, Busy
from voice_agent.media import Transport
from voice_agent.parting import After
from voice_agent.ports import is_loopback
from voice_agent.resources import Resources
from voice_agent.trace.errors import TraceError
from voice_agent.trace.tracing import Tracing
from voice_agent.transports.rehearsal import Rehearsal
from voice_agent.transports.webrtc import WebRtcTransport
from voice_agent.turns.ledger import Ledger

RETRY_AFTER_S = 20.0
"""What a caller is told to wait when all lines are busy."""


@dataclass(slots=True)
class _Call:
    conversation: Conversation
    transport: Transport
    address: str
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    ledger: Ledger
    until: float


class Conversations:
    """Everything a server needs of its calls.

    Args:
        pipeline: The validated pipeline.

    Raises:
        EngineError: The agent's file cannot be used.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._resources = Resources(pipeline)
        self._calls: dict[str, _Call] = {}
        self._answering: list[str] = []
        self._kept: dict[str, _Kept] = {}
        self._stopping = False
        self._changed: Callable[[], None] = lambda: None
        self.tracing = Tracing(pipeline)
        self.tracing.add(self._resources.objective)
        self.tracing.metrics.registry.register(ObjectiveMetrics(self._resources.objective))

    @property
    def agent(self) -> Agent:
        """Who answers."""
        return self._resources.agent

    @property
    def active(self) -> int:
        """Calls now, those being answered included."""
        return len(self._calls) + len(self._answering)

    @property
    def max(self) -> int:
        """Calls at most."""
        return self._pipeline.sessions.max

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever ``active`` may have changed."""
        self._changed = changed

    async def start(self) -> None:
        """Load everything, off the event loop, and hold one conversation with nobody.

        Raises:
            EngineError: With what is missing and what to do.
        """
        await self._resources.start()
        try:
            await self.tracing.start()
        except TraceError as error:
            raise EngineError(str(error)) from error
        greeted = self._pipeline.greeting and bool(self._resources.agent.greeting)
        await Conversation(self._resources, Rehearsal(greeted=greeted)).run()

    async def stop(self, *, grace_s: float) -> None:
        """Take no more calls, let every current answer be heard (``grace_s`` at most), end."""
        self._stopping = True
        calls = list(self._calls.values())
        await asyncio.gather(*(call.conversation.finish("shutdown", grace_s) for call in calls))
        tasks = [call.task for call in calls if call.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.tracing.stop()
        await self._resources.stop()

    @contextmanager
    def line(self, address: str = "", *, conversation_id: str = "") -> Iterator[None]:
        """Hold a line for a call that is being answered; ``begin`` it inside.

        Args:
            address: Who calls, as the cap per address counts: a network address, or whatever
                tells callers apart who share one. Empty or loopback: not counted.
            conversation_id: As for ``begin``: who is in a conversation already is not a new
                caller, whom a server that misses its budgets refuses.

        Raises:
            Busy: All lines, or all that this address may hold, are taken; turns miss their budget
                too often; or the server is stopping.
        """
        if self._stopping or self.active >= self.max or self._crowded(address):
            raise Busy(RETRY_AFTER_S)
        refuse_for_s = self._resources.objective.refuse_for_s
        if refuse_for_s is not None and not self._is_kept(conversation_id):
            self._resources.objective.refused += 1
            raise Busy(refuse_for_s)
        self._answering.append(address)
        self._changed()
        try:
            yield
        finally:
            self._answering.remove(address)
            self._changed()

    def begin(
        self,
        transport: Transport,
        *,
        address: str = "",
        key: str = "",
        conversation_id: str = "",
        ledger: Ledger | None = None,
        client: Callable[[Control], Client] | None = None,
        line_tools: Callable[[After], Sequence[Tool]] = lambda after: (),
    ) -> asyncio.Task[None]:
        """Converse over ``transport`` until somebody hangs up; closes it in the end.

        Args:
            transport: A connected client.
            address: As for ``line``.
            key: What the call is found by again, if it is; must be new.
            conversation_id: A conversation that was lost and is to be taken up again.
            ledger: The memory of a client that looks after it itself.
            client: As for ``Conversation``.
            line_tools: The same.

        Returns:
            The call, for those who want to wait for its end. It never raises, and must not be
            cancelled: close the transport to end it.
        """
        key = key or uuid.uuid4().hex
        kept = self._take_kept(conversation_id)
        conversation = Conversation(
            self._resources,
            transport,
            conversation_id=conversation_id if kept else uuid.uuid4().hex,
            ledger=kept or ledger,
            tracing=self.tracing,
            client=client,
            line_tools=line_tools,
        )
        call = self._calls[key] = _Call(conversation, transport, address)
        call.task = asyncio.create_task(self._converse(key, call), name=f"call {key}")
        return call.task

    async def offer(self, request: dict[str, Any], address: str = "") -> dict[str, Any]:
        """Answer a SmallWebRTC client's offer: {sdp, type, pc_id?, restart_pc?, request_data?}.

        Raises:
            Busy: As for ``line``, with the same ``address``.
            BadOffer: The offer cannot be used.
        """
        known = self._calls.get(request.get("pc_id") or "")
        if known is not None and not request.get("restart_pc"):
            return await self._webrtc(known).renegotiate(request["sdp"])
        data = request.get("request_data") or request.get("requestData") or {}
        # A stock client that has lost its connection names that, ours names the conversation.
        asked = known.conversation.id if known is not None else data.get("conversation")
        conversation_id = asked if isinstance(asked, str) and 0 < len(asked) <= 64 else ""
        await self._end_earlier(conversation_id)
        with self.line(address, conversation_id=conversation_id):
            transport, answer = await WebRtcTransport.answer(
                request["sdp"], ice_servers=list(self._pipeline.server.ice_servers)
            )
            self.begin(
                transport,
                address=address,
                key=answer["pc_id"],
                conversation_id=conversation_id,
            )
        return dict(answer)

    async def candidates(self, request: dict[str, Any]) -> None:
        """Take more ICE candidates: {pc_id, candidates: [{candidate, sdp_mid, sdp_mline_index}]}.

        Raises:
            BadOffer: No such call, or a candidate that cannot be read.
        """
        call = self._calls.get(str(request.get("pc_id")))
        if call is None:
            raise BadOffer("no such call")
        for each in request.get("candidates", []):
            try:
                text = each["candidate"].removeprefix("candidate:")
                candidate = candidate_from_sdp(text) if text else None
                if candidate is not None:
                    candidate.sdpMid = each["sdp_mid"]
                    candidate.sdpMLineIndex = each["sdp_mline_index"]
                await self._webrtc(call).add_candidate(candidate)
            except (AssertionError, IndexError, KeyError, ValueError) as error:
                raise BadOffer("a candidate cannot be read") from error

    def knows(self, call: str, conversation_id: str) -> bool:
        """Return whether a call (its ``pc_id``) or a conversation is one of this process's."""
        return (
            call in self._calls
            or self._is_kept(conversation_id)
            or any(each.conversation.id == conversation_id for each in self._calls.values())
        )

    def figures(self) -> dict[str, Any]:
        """Return how the calls are doing: turns, v2v percentiles, guesses, the loop's lag."""
        return {**self.tracing.figures(), "budget": self._resources.objective.figures()}

    def routes(self) -> Sequence[BaseRoute]:
        """Return what else is served: the turns of all calls."""
        return self.tracing.routes()

    # ----- one call -----

    def _crowded(self, address: str) -> bool:
        if not address or is_loopback(address):
            return False
        held = [*self._answering, *(call.address for call in self._calls.values())]
        return held.count(address) >= self._pipeline.sessions.max_per_address

    @staticmethod
    def _webrtc(call: _Call) -> WebRtcTransport:
        if not isinstance(call.transport, WebRtcTransport):
            raise BadOffer("no such call")
        return call.transport

    async def _converse(self, key: str, call: _Call) -> None:
        began = time.monotonic()
        reason = "error"
        try:
            reason = await call.conversation.run()
        except Exception:
            logger.exception("a conversation failed")
        finally:
            self._calls.pop(key, None)
            self._changed()
            if reason in ("gone", "error") and not self._stopping:
                self._keep(call.conversation)
            lasted_s = time.monotonic() - began
            logger.info(f"call ended: {call.transport.name}, {reason}, {lasted_s:.0f} s")

    async def _end_earlier(self, conversation_id: str) -> None:
        """End a connection its client has lost before we noticed, so that it can be resumed."""
        for call in list(self._calls.values()):
            if conversation_id and call.conversation.id == conversation_id:
                call.conversation.hang_up("gone")
                if call.task is not None:
                    await asyncio.wait([call.task])

    def _keep(self, conversation: Conversation) -> None:
        now = time.monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
        while len(self._kept) >= 2 * self.max:
            self._kept.pop(next(iter(self._kept)))
        until = now + self._pipeline.sessions.resume_s
        self._kept[conversation.id] = _Kept(conversation.ledger, until)

    def _is_kept(self, conversation_id: str) -> bool:
        kept = self._kept.get(conversation_id)
        return kept is not None and kept.until > time.monotonic()

    def _take_kept(self, conversation_id: str) -> Ledger | None:
        kept = self._kept.pop(conversation_id, None)
        return kept.ledger if kept is not None and kept.until > time.monotonic() else None
