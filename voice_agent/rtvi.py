"""The conversation as a browser sees it: RTVI messages, both ways.

The message shapes are Pipecat's own models, so that every RTVI client connects. What is told comes
from the turn machine and from playout rather than from watching frames (Pipecat's ``RTVIObserver``
sees every frame of every processor): words appear when they are heard, not when they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipecat.processors.frameworks.rtvi import models as rtvi
from pydantic import BaseModel, ValidationError

from voice_agent import __version__
from voice_agent.turns.events import (
    Action,
    Correct,
    Event,
    Heard,
    NoTurn,
    Release,
    Resume,
    Retract,
    Stop,
    Tag,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.playout import FirstSound, PlayedOut, PlayoutEvent, WordsPlayed
from voice_agent.turns.state import Agent, State, User

MAX_TYPED = 2000
"""Characters of a typed turn."""


def _state_label(state: State) -> str:
    match state.agent:
        case Agent.OWING:
            return "thinking"
        case Agent.SPEAKING | Agent.DUCKED:
            return "speaking"
        case Agent.STOPPED:
            return "interrupted"
        case Agent.IDLE:
            return "listening"


class RtviClient:
    """Speaks RTVI with one client.

    Args:
        send: Sends one message to the client, in order; never blocks.
        session: What the client is told first: conversation id, agent and pipeline names.
        on_text: Takes a turn the user typed, or the keys pressed.
        on_ready: Called once, when the client listens.
        on_hang_up: Called when the client asks for the end.
        on_client_message: Takes a message of our own kind (type, data); False: not understood.
        heard: Returns what was heard of an answer, as the agent remembers it.
    """

    greets_itself = False

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        session: dict[str, Any],
        *,
        on_text: Callable[[str], None],
        on_ready: Callable[[], None],
        on_hang_up: Callable[[], None],
        on_client_message: Callable[[str, Any], bool],
        heard: Callable[[Tag], str],
    ) -> None:
        self._send = send
        self._session = session
        self._on_text = on_text
        self._on_ready = on_ready
        self._on_hang_up = on_hang_up
        self._on_client_message = on_client_message
        self._heard = heard
        self._label = ""
        self._user_speaking = False
        self._told_text = ""

    # ----- to the client -----

    def tell(self, model: BaseModel) -> None:
        """Send an RTVI message."""
        self._send(model.model_dump(exclude_none=True))

    def tell_server(self, data: dict[str, Any]) -> None:
        """Send one of our own messages, as RTVI's ``server-message``."""
        self.tell(rtvi.ServerMessage(data=data))

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """Tell the client what this event means to it."""
        match event:
            case VoiceStarted() if state.user is User.SPEAKING and not self._user_speaking:
                self._user_speaking = True
                self.tell(rtvi.UserStartedSpeakingMessage())
            case Heard():
                self._tell_transcript(state.text, final=False)
            case FirstSound():
                self.tell(rtvi.BotStartedSpeakingMessage())
            case WordsPlayed(_, text):
                self.tell(rtvi.BotTTSTextMessage(data=rtvi.TextMessageData(text=text)))
            case PlayedOut(tag, text):
                self._tell_answer(tag.turn, text, interrupted=False)
            case _:
                pass
        for action in actions:
            match action:
                case Release(tag, text, _) if text:
                    self._tell_transcript(text, final=True)
                    self._user_stopped()
                    self.tell_server({"type": "user-turn", "turn": tag.turn, "text": text})
                case Correct(turn, text):
                    self.tell_server({"type": "user-turn", "turn": turn, "text": text})
                case Retract():
                    self._told_text = ""
                case Stop(tag):
                    self._tell_answer(tag.turn, self._heard(tag), interrupted=True)
                case Resume():
                    self.tell(rtvi.BotStartedSpeakingMessage())
                case Unduck() | NoTurn():
                    self._tell_transcript("", final=True)
                    self._user_stopped()
                case _:
                    pass
        label = _state_label(state)
        if label != self._label:
            self._label = label
            self.tell_server({"type": "state", "state": label})

    def _tell_transcript(self, text: str, *, final: bool) -> None:
        if not final and (not text or text == self._told_text):
            return
        self._told_text = "" if final else text
        self.tell(
            rtvi.UserTranscriptionMessage(
                data=rtvi.UserTranscriptionMessageData(
                    text=text,
                    user_id="user",
                    timestamp=datetime.now(UTC).isoformat(),
                    final=final,
                )
            )
        )

    def _user_stopped(self) -> None:
        if self._user_speaking:
            self._user_speaking = False
            self.tell(rtvi.UserStoppedSpeakingMessage())

    def _tell_answer(self, turn: int, text: str, *, interrupted: bool) -> None:
        self.tell(rtvi.BotStoppedSpeakingMessage())
        self.tell_server(
            {"type": "agent-turn", "turn": turn, "text": text, "interrupted": interrupted}
        )

    async def close(self) -> None:
        """Nothing was begun that would have to be ended."""

    # ----- from the client -----

    def take(self, message: dict[str, Any]) -> None:
        """Take a message of the client's; what cannot be used is answered by an RTVI error."""
        if message.get("label") != rtvi.MESSAGE_LABEL:
            return
        try:
            parsed = rtvi.Message.model_validate(message)
            self._take(parsed)
        except ValidationError:
            self.tell(
                rtvi.ErrorResponse(
                    id=str(message.get("id", "")),
                    data=rtvi.ErrorResponseData(error="not a valid RTVI message"),
                )
            )

    def _take(self, message: rtvi.Message) -> None:
        match message.type:
            case "client-ready":
                about = {"library": "voice-agent", "library_version": __version__}
                asked = str((message.data or {}).get("version", ""))
                version = asked if asked.startswith("1.") else rtvi.PROTOCOL_VERSION
                data = rtvi.BotReadyData(version=version, about=about)
                self.tell(rtvi.BotReady(id=message.id, data=data))
                self.tell_server({"type": "session", **self._session})
                self._on_ready()
            case "disconnect-bot":
                self._on_hang_up()
            case "send-text":
                text = rtvi.SendTextData.model_validate(message.data or {}).content.strip()
                if text:
                    self._on_text(text[:MAX_TYPED])
            case "dtmf":
                keys = rtvi.DTMFInputData.model_validate(message.data or {}).buttons
                self._on_text("".join(key.value for key in keys))
            case "client-message":
                own = rtvi.RawClientMessageData.model_validate(message.data or {})
                if not self._on_client_message(own.t, own.d):
                    self._refuse(message, f"unsupported client message {own.t!r}")
            case _:
                self._refuse(message, f"unsupported message type {message.type!r}")

    def _refuse(self, message: rtvi.Message, why: str) -> None:
        error = rtvi.ErrorResponseData(error=why)
        self.tell(rtvi.ErrorResponse(id=message.id, data=error))
