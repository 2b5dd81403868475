"""A turn's latency as contiguous segments: where the milliseconds between two voices went.

From the last sample of the user's voice (by the media clock) to the first sound of the agent's
(leaving the transport). Work that ran in parallel before the turn was decided costs nothing here:
a segment holds only what was waited for. Pure: fed with events and their times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from voice_agent.turns.events import Action, Drop, Event, Finalize, Release, Retract, Speculate, Tag
from voice_agent.turns.playout import FirstSound, PlayoutEvent
from voice_agent.turns.state import State, User


@dataclass(frozen=True, slots=True)
class Segment:
    """A named part of a turn's latency, ms."""

    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """What the user waited for in one turn; ``segments`` sum to ``v2v_ms``."""

    turn: int
    v2v_ms: float
    segments: tuple[Segment, ...]
    guessed: bool
    """The answer heard was started before the turn was decided."""

    def message(self) -> dict[str, Any]:
        """Return the figures as the page is told them, rounded to 0.1 ms."""
        return {
            "type": "latency",
            "turn": self.turn,
            "v2v_ms": round(self.v2v_ms, 1),
            "segments": [{"name": s.name, "ms": round(s.ms, 1)} for s in self.segments],
            "guessed": self.guessed,
        }


@dataclass(slots=True)
class _Marks:
    asked: float = 0.0
    first_token: float | None = None
    first_audio: float | None = None
    silence_enough: float | None = None
    released: float | None = None
    user_stopped: float = 0.0


@dataclass(slots=True)
class TurnClock:
    """Notes the times of one conversation's turns and adds them up."""

    speculations: int = 0
    """Answers started."""
    wasted: int = 0
    """Answers started and dropped unheard."""
    _marks: dict[Tag, _Marks] = field(default_factory=dict)
    _closing_at: float | None = None
    _user: User = User.QUIET

    def event(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> TurnLatency | None:
        """Take what happened; return the turn's latency when its first sound has left."""
        if state.user is User.CLOSING and self._user is not User.CLOSING:
            self._closing_at = now
        elif state.user in (User.SPEAKING, User.PAUSING):
            self._closing_at = None
        self._user = state.user
        for action in actions:
            match action:
                case Speculate(tag, _):
                    self.speculations += 1
                    self._marks[tag] = _Marks(asked=now)
                case Drop(tag):
                    self.wasted += self._marks.pop(tag, None) is not None
                case Retract(tag):
                    if tag in self._marks:
                        self._marks[tag].released = None
                case Release(tag, _, user_stopped):
                    marks = self._marks.setdefault(tag, _Marks(asked=now))
                    marks.released, marks.user_stopped = now, user_stopped
                    marks.silence_enough = self._closing_at
                case Finalize() | _:
                    pass
        if isinstance(event, FirstSound):
            return self._add_up(event.tag, now)
        return None

    def first_token(self, tag: Tag, now: float) -> None:
        """The language model's first token of ``tag``'s answer has come."""
        marks = self._marks.get(tag)
        if marks is not None and marks.first_token is None:
            marks.first_token = now

    def first_audio(self, tag: Tag, now: float) -> None:
        """The first synthesized audio of ``tag``'s answer has come."""
        marks = self._marks.get(tag)
        if marks is not None and marks.first_audio is None:
            marks.first_audio = now

    def _add_up(self, tag: Tag, now: float) -> TurnLatency | None:
        marks = self._marks.pop(tag, None)
        if marks is None or marks.released is None:
            return None
        segments: list[Segment] = []
        cursor = marks.user_stopped
        for name, at in (
            ("endpoint", marks.silence_enough),
            ("asr_final", marks.released),
            ("llm_first_token", marks.first_token),
            ("tts_first_audio", marks.first_audio),
            ("playout", now),
        ):
            if at is not None and at > cursor:
                segments.append(Segment(name, at - cursor))
                cursor = at
        guessed = marks.asked < marks.released
        return TurnLatency(tag.turn, now - marks.user_stopped, tuple(segments), guessed)
