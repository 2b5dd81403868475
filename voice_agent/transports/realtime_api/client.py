"""A client of the realtime API as its conversation's client: commands out, decisions back in.

The protocol decides what is said; here it is said, and done. Everything happens on the event loop
and in the order the protocol gave it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pydantic import BaseModel

from voice_agent.control import Control, LentTool
from voice_agent.frames import LLMFiguresFrame
from voice_agent.media import now_ms
from voice_agent.transports.realtime_api.audio import Speaking
from voice_agent.transports.realtime_api.following import Following
from voice_agent.transports.realtime_api.idle import Idle
from voice_agent.transports.realtime_api.line import REFUSED, RealtimeLine
from voice_agent.transports.realtime_api.outputs import (
    Aside,
    Clear,
    Commit,
    Hear,
    Listen,
    Output,
    Tell,
    Wishes,
    Withdraw,
)
from voice_agent.transports.realtime_api.protocol import Protocol
from voice_agent.transports.realtime_api.refusals import Refused
from voice_agent.transports.realtime_api.talk import Talk
from voice_agent.turns.events import Action, Cleared, Committed, Event, Tag
from voice_agent.turns.playout import PlayoutEvent
from voice_agent.turns.settings import VadSettings
from voice_agent.turns.state import State, User

STARVED_MS = 400.0
"""A stream holds audio back where a datagram would be lost: only after this long without any has
the client stopped sending it."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a client starts from."""

    voices: Mapping[str, str]
    """The API's voice names, and the engine's voice for each; others are the pipeline's own."""
    vad: VadSettings
    greeting: bool = False
    """The agent has a greeting."""


class RealtimeClient:
    """Carries the protocol out on one conversation.

    Args:
        talk: The conversation as the API sees it.
        line: The client's socket.
        control: The conversation.
        setup: What it starts from.
    """

    greets_itself = True
    """Nothing is said before it is asked for."""

    def __init__(self, talk: Talk, line: RealtimeLine, control: Control, setup: Setup) -> None:
        self._talk = talk
        self._line = line
        self._control = control
        self._setup = setup
        self._protocol = Protocol(talk, greeting=setup.greeting)
        self._following = Following(talk, self._protocol)
        self._speaking = Speaking()
        self._wishes: Wishes | None = None
        self._asides: dict[str, asyncio.Task[None]] = {}
        self._committing = False
        self._idle = Idle()
        self._timeout: asyncio.TimerHandle | None = None
        line.on_audio = self._sent
        line.on_heard = self._heard
        control.watch_words(self._wrote, self._cost)
        self._do(self._protocol.opened())

    # ----- as a conversation's client -----

    def take(self, message: dict[str, Any]) -> None:
        """Carry out one of the client's events."""
        refused = message.get(REFUSED)
        with self._ended_by_bugs():
            if isinstance(refused, Refused):
                self._do([self._talk.refusal(refused, None)])
            else:
                self._do(self._protocol.receive(message))

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """Tell the client what was decided or played."""
        with self._ended_by_bugs():
            self._do(self._following.observe(event, actions, state))
        if self._committing and state.user is not User.CLOSING:
            self._committing = False
            self._line.hold(False)
        self._idle.observe(now, state, answered=self._talk.answered)
        self._watch_idle(now)

    def tell_server(self, data: Mapping[str, Any]) -> None:
        """Say goodbye in the API's way; our other messages are not for this client."""
        if data.get("type") != "goodbye":
            return
        reason = str(data["reason"])
        codes = {"idle": "session_idle_timeout", "shutdown": "server_shutdown"}
        code = codes.get(reason, "server_error")
        self._send(self._talk.error("server_error", Refused(code, str(data["text"]))))

    def expire(self) -> None:
        """End the session: it has lasted as long as one may."""
        message = "Your session hit the maximum duration."
        self._send(self._talk.error("invalid_request_error", Refused("session_expired", message)))
        self._control.hang_up("expired")

    def _watch_idle(self, now: float) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        due = self._idle.due_at(self._talk.detection)
        if due is not None:
            delay_s = max(0.0, due - now) / 1000.0
            self._timeout = asyncio.get_running_loop().call_later(delay_s, self._timed_out)

    def _timed_out(self) -> None:
        since_ms, self._idle.since_ms = self._idle.since_ms, None
        with self._ended_by_bugs():
            if since_ms is not None:
                self._do(self._following.timed_out(since_ms, now_ms()))

    async def close(self) -> None:
        """End what was begun beside the conversation."""
        if self._timeout is not None:
            self._timeout.cancel()
        tasks = list(self._asides.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ----- doing -----

    @contextmanager
    def _ended_by_bugs(self) -> Iterator[None]:
        """Our own mistake ends this call, and is neither the engine's affair nor other calls'."""
        try:
            yield
        except Exception:
            logger.exception("the realtime API failed")
            self._control.hang_up("error")

    def _do(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case BaseModel():
                    self._send(output)
                case Tell(event):
                    self._control.taking.post(event)
                case Hear(audio):
                    self._line.hear(audio)
                case Commit():
                    self._line.behind_audio(self._commit)
                case Clear():
                    self._line.forget()
                    self._control.taking.post(Cleared())
                case Listen(format, threshold):
                    self._listen(format, threshold)
                case Wishes():
                    self._serve(output)
                case Aside(response_id, messages):
                    self._ask(response_id, messages)
                case Withdraw(response_id):
                    self._asides.pop(response_id).cancel()

    def _send(self, event: BaseModel) -> None:
        self._line.send_text(event.model_dump_json(exclude_unset=True))

    def _commit(self) -> None:
        # What was appended behind it waits until the recogniser has said its last word on this.
        self._committing = True
        self._line.hold(True)
        self._control.taking.post(Committed())

    def _listen(self, format: str, threshold: float | None) -> None:
        self._line.listening.format(format)
        vad = self._setup.vad
        if threshold is not None:
            lower = vad.release_threshold / max(vad.threshold, 0.01)
            changes = {"threshold": threshold, "release_threshold": threshold * min(1.0, lower)}
            vad = vad.model_copy(update=changes)
        self._control.ears.configure(vad, starved_ms=STARVED_MS)

    def _serve(self, wishes: Wishes) -> None:
        known, self._wishes = self._wishes, wishes
        if known is None or wishes.tools != known.tools:
            if wishes.tools is None:
                self._control.return_own_tools()
            else:
                tools = [
                    LentTool(tool["name"], tool.get("description") or "", tool["parameters"])
                    for tool in wishes.tools
                ]
                self._control.lend(tools, self._called)
        self._control.taking.answers.tool_choice = wishes.tool_choice
        if known is None or (known.aloud, known.voice, known.speed) != (
            wishes.aloud,
            wishes.voice,
            wishes.speed,
        ):
            voice = self._setup.voices.get(wishes.voice)
            self._control.speak(aloud=wishes.aloud, voice=voice, speed=wishes.speed)

    # ----- what comes back -----

    def _sent(self, pcm: bytes, ms: float) -> None:
        response = self._talk.response
        if response is None:
            return
        encoded = self._speaking.encoded(pcm, response.manner.format["type"])
        self._do(self._following.audio(base64.b64encode(encoded).decode("ascii"), ms))

    def _heard(self, in_flight_ms: float) -> None:
        self._following.in_flight_ms = in_flight_ms

    def _wrote(self, tag: Tag, text: str) -> None:
        self._do(self._following.wrote(tag, text))

    def _cost(self, tag: Tag, figures: LLMFiguresFrame) -> None:
        response = self._talk.response
        if response is not None and response.tag == tag:
            response.tokens.input += figures.prompt_tokens + figures.cached_tokens
            response.tokens.cached += figures.cached_tokens

    def _called(self, tag: Tag, call_id: str, name: str, arguments: str) -> None:
        self._do(self._following.called(tag, call_id, name, arguments))

    def _ask(self, response_id: str, messages: Sequence[Mapping[str, Any]]) -> None:
        async def ask() -> None:
            text = await self._control.ask(messages)
            self._asides.pop(response_id, None)
            self._do(self._following.wrote_aside(response_id, text))

        self._asides[response_id] = asyncio.create_task(ask(), name="aside")
