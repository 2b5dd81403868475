"""Both sides of the protocol without I/O: what a client sends, what the turn engine decides."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from voice_agent.transports.realtime_api.following import Following
from voice_agent.transports.realtime_api.outputs import Command, Output
from voice_agent.transports.realtime_api.protocol import Protocol
from voice_agent.transports.realtime_api.session import Abilities, new_session
from voice_agent.transports.realtime_api.talk import Around, Talk
from voice_agent.turns.events import Action, Event, Release, Tag, Tick, VoiceStarted
from voice_agent.turns.playout import FirstSound, PlayedOut, PlayoutEvent, WordsPlayed
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User

ABILITIES = Abilities("You are the host.", "en-us", frozenset({"nova"}), speed=True)
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the one event, an error, says."""
    [event] = events
    assert event["type"] == "error"
    return dict(event["error"])


@dataclass
class Sides:
    """A talk, what came of every step, and counters in place of random ids."""

    greeting: bool = False
    talk: Talk = field(init=False)
    events: list[dict[str, Any]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._made: Counter[str] = Counter()
        around = Around(self._new_id, lambda ms: ms - 1000.0, lambda: (12_000, 12_000, 0.0))
        session = new_session("sess_1", "test", ABILITIES, 2_000_000_000)
        self.talk = Talk(session, ABILITIES, TurnSettings(), around, "conv_1")
        self.protocol = Protocol(self.talk, greeting=self.greeting)
        self.following = Following(self.talk, self.protocol)
        self._note(self.protocol.opened())

    def _new_id(self, prefix: str) -> str:
        self._made[prefix] += 1
        return f"{prefix}_{self._made[prefix]}"

    def _note(self, outputs: list[Output]) -> list[dict[str, Any]]:
        events = [
            output.model_dump(mode="json", exclude_unset=True)
            for output in outputs
            if isinstance(output, BaseModel)
        ]
        self.events += events
        self.commands += [output for output in outputs if not isinstance(output, BaseModel)]
        return events

    # ----- the client -----

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a client event; return the server events it gets."""
        return self._note(self.protocol.receive({"type": kind, **fields}))

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.send("session.update", session={"type": "realtime", **session})

    def append(self, ms: float) -> None:
        audio = base64.b64encode(bytes(int(ms * 48))).decode()
        assert self.send("input_audio_buffer.append", audio=audio) == []

    def write(self, text: str, role: str = "user", **fields: Any) -> str:
        """Add a message; return its id."""
        part = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
        item = {"type": "message", "role": role, "content": [part]}
        added, _ = self.send("conversation.item.create", item=item, **fields)
        return str(added["item"]["id"])

    # ----- the turn engine -----

    def decide(
        self,
        event: Event | PlayoutEvent,
        *actions: Action,
        user: User = User.QUIET,
        agent: Agent = Agent.IDLE,
    ) -> list[dict[str, Any]]:
        """Let the turn engine decide; return the server events that makes."""
        state = State(TurnSettings(), user=user, agent=agent)
        return self._note(self.following.observe(event, actions, state))

    def speak(self, text: str, turn: int = 1, began_ms: float = 2000.0) -> Tag:
        """Let the user say something that is answered; return the answer's tag."""
        tag = Tag(turn, turn)
        self.decide(VoiceStarted(began_ms), user=User.SPEAKING)
        self.decide(Tick(), Release(tag, text, began_ms + 1500.0), agent=Agent.OWING)
        return tag

    def sound(self, tag: Tag, *words: str, ms_each: float = 300.0) -> None:
        """Let the answer be heard so far, ``ms_each`` of audio before each word's end."""
        self.decide(FirstSound(tag), agent=Agent.SPEAKING)
        for word in words:
            self._note(self.following.audio("AAAA", ms_each))
            self.following.in_flight_ms = ms_each
            self.decide(WordsPlayed(tag, word), agent=Agent.SPEAKING)

    def time_out(self, since_ms: float, now: float) -> list[dict[str, Any]]:
        return self._note(self.following.timed_out(since_ms, now))

    def play_out(self, tag: Tag) -> list[dict[str, Any]]:
        return self.decide(PlayedOut(tag, ""))

    # ----- what was told -----

    def kinds(self, since: int = 0) -> list[str]:
        return [event["type"] for event in self.events[since:]]

    def last(self, kind: str) -> dict[str, Any]:
        return next(event for event in reversed(self.events) if event["type"] == kind)

    def told(self, command: type[Any]) -> list[Any]:
        return [each for each in self.commands if isinstance(each, command)]

    def messages(self) -> list[tuple[str, str | None]]:
        """What a language model would be told now, in short."""
        return [(m["role"], m["content"]) for m in self.talk.ledger.messages()[1:]]
