"""The conversation as a browser sees it: RTVI messages, both ways.

The protocol, its handshake and its message shapes are Pipecat's (``RTVIProcessor`` and its
models), so that every RTVI client connects. What is told comes from the turn machine and from
playout rather than from watching frames: words appear when they are heard, not when they are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.processors.frameworks.rtvi import models as rtvi
from pydantic import BaseModel

from voice_agent.trace.turns import TurnLatency
from voice_agent.turns.events import (
    Action,
    Correct,
    Event,
    Heard,
    NoTurn,
    Release,
    Retract,
    Stop,
    Typed,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.playout import FirstSound, PlayedOut, PlayoutEvent, WordsPlayed
from voice_agent.turns.state import Agent, State, User


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


class ClientVoice(RTVIProcessor):
    """Speaks RTVI with one client.

    Args:
        send: Sends one message to the client, in order; never blocks.
        session: What the client is told first: conversation id, agent and pipeline names.
        on_text: Takes a turn the user typed.
        on_ready: Called once, when the client listens.
        on_hang_up: Called when the client asks for the end.
        heard: Returns what was heard of the answer being cut off.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        session: dict[str, Any],
        *,
        on_text: Callable[[str], None],
        on_ready: Callable[[], None],
        on_hang_up: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._send = send
        self._session = session
        self._on_text = on_text
        self._on_ready = on_ready
        self._on_hang_up = on_hang_up
        self._label = ""
        self._user_speaking = False
        self._answer: list[str] = []
        self._told_text = ""

    # ----- to the client -----

    async def push_transport_message(self, model: BaseModel, exclude_none: bool = True) -> None:
        """Send at once: messages have nothing to wait for behind the pipeline's frames."""
        self._send(model.model_dump(exclude_none=exclude_none))

    def tell(self, model: BaseModel) -> None:
        """Send an RTVI message."""
        self._send(model.model_dump(exclude_none=True))

    def tell_server(self, data: dict[str, Any]) -> None:
        """Send one of our own messages, as RTVI's ``server-message``."""
        self.tell(rtvi.ServerMessage(data=data))

    def latency(self, latency: TurnLatency) -> None:
        """Tell where the turn's milliseconds went."""
        self.tell_server(latency.message())

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
            case Typed(text):
                self._tell_transcript(text, final=True)
            case FirstSound():
                self._answer.clear()
                self.tell(rtvi.BotStartedSpeakingMessage())
            case WordsPlayed(_, text):
                self._answer.append(text)
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
                    self._tell_answer(tag.turn, " ".join(self._answer), interrupted=True)
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
        self._answer.clear()

    # ----- from the client -----

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass frames on."""
        await super().process_frame(frame, direction)

    async def take(self, message: dict[str, Any]) -> None:
        """Take a message of the client's data channel; what is not RTVI is answered by an error."""
        if message.get("label") != rtvi.MESSAGE_LABEL:
            return
        if message.get("type") == "disconnect-bot":
            await self._on_hang_up()
            return
        try:
            parsed = rtvi.Message.model_validate(message)
        except ValueError:
            await self.send_error("not a valid RTVI message")
            return
        if parsed.type == "client-ready":
            await self._ready(parsed)
        elif parsed.type == "send-text":
            self._typed(parsed)
        else:
            await self._handle_message(parsed)

    async def _ready(self, message: rtvi.Message) -> None:
        await self._handle_message(message)
        await self.set_bot_ready(about={"library": "voice-agent"})
        self.tell_server({"type": "session", **self._session})
        self._on_ready()

    def _typed(self, message: rtvi.Message) -> None:
        content = (message.data or {}).get("content")
        if isinstance(content, str) and content.strip():
            self._on_text(content.strip()[:2000])
