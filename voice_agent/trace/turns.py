"""A turn's latency as contiguous segments: where the milliseconds between two voices went.

From the last sample of the user's voice (by the media clock) to the first sound of the agent's
(leaving the transport). Work that ran in parallel before the turn was decided costs nothing here:
a segment holds only what was waited for. Pure: fed with events and their times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from voice_agent.turns.events import Action, Drop, Event, Release, Retract, Speculate, Tag
from voice_agent.turns.playout import FirstSound, PlayoutEvent
from voice_agent.turns.state import State, User


@dataclass(frozen=True, slots=True)
class Segment:
    """A named part of a turn's latency, ms."""

    name: str
    ms: float


@dataclass(slots=True)
class Guesses:
    """Answers started on a guess: how many were right, and what the others cost."""

    hits: int = 0
    misses: int = 0
    wasted_tokens: int = 0
    wasted_audio_ms: float = 0.0

    def add(self, other: Guesses) -> None:
        """Add another count to this one."""
        self.hits += other.hits
        self.misses += other.misses
        self.wasted_tokens += other.wasted_tokens
        self.wasted_audio_ms += other.wasted_audio_ms


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """What the user waited for in one turn; ``segments`` sum to ``v2v_ms``."""

    turn: int
    v2v_ms: float
    segments: tuple[Segment, ...]
    guessed: bool
    """The answer heard was started before the turn was decided."""
    guesses: Guesses
    """What was started on a guess since the turn before."""

    def message(self) -> dict[str, Any]:
        """Return the figures as the page is told them, rounded to 0.1 ms."""
        return {
            "type": "latency",
            "turn": self.turn,
            "v2v_ms": round(self.v2v_ms, 1),
            "segments": [{"name": s.name, "ms": round(s.ms, 1)} for s in self.segments],
            "guessed": self.guessed,
            "figures": asdict(self.guesses),
        }


@dataclass(slots=True)
class _Marks:
    asked: float = 0.0
    tokens: int = 0
    first_token: float | None = None
    first_audio: float | None = None
    silence_enough: float | None = None
    released: float | None = None
    user_stopped: float = 0.0


@dataclass(slots=True)
class TurnClock:
    """Notes the times of one conversation's turns and adds them up.

    ``audio_ms`` returns how much audio an answer has so far.
    """

    audio_ms: Callable[[Tag], float]
    _recent: Guesses = field(default_factory=Guesses)
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
                    self._marks[tag] = _Marks(asked=now)
                case Drop(tag):
                    self._waste(tag)
                case Retract(tag):
                    if tag in self._marks:
                        self._marks[tag].released = None
                case Release(tag, _, user_stopped):
                    marks = self._marks.setdefault(tag, _Marks(asked=now))
                    marks.released, marks.user_stopped = now, user_stopped
                    marks.silence_enough = self._closing_at
                case _:
                    pass
        if isinstance(event, FirstSound):
            return self._add_up(event.tag, now)
        return None

    def token(self, tag: Tag, now: float) -> None:
        """A token of ``tag``'s answer has come."""
        marks = self._marks.get(tag)
        if marks is not None:
            marks.tokens += 1
            marks.first_token = marks.first_token or now

    def first_audio(self, tag: Tag, now: float) -> None:
        """The first synthesized audio of ``tag``'s answer has come."""
        marks = self._marks.get(tag)
        if marks is not None and marks.first_audio is None:
            marks.first_audio = now

    def _waste(self, tag: Tag) -> None:
        marks = self._marks.pop(tag, None)
        if marks is not None:
            self._recent.misses += 1
            self._recent.wasted_tokens += marks.tokens
            self._recent.wasted_audio_ms += round(self.audio_ms(tag), 1)

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
        self._recent.hits += guessed
        guesses, self._recent = self._recent, Guesses()
        v2v_ms = now - marks.user_stopped
        return TurnLatency(tag.turn, v2v_ms, tuple(segments), guessed, guesses)
