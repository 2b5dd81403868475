"""What is noted of one turn while it happens: moments on the monotonic clock, ms, nothing derived.

Mutable on purpose: noting a moment costs an attribute. The modules ``segments`` and ``spans`` make
a turn of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voice_agent.turns.events import Tag

Reason = Literal["decided", "late final", "failed", "apology"]
"""Why an answer was released: the turn was decided, or the answer before it could not be kept."""


@dataclass(slots=True)
class Round:
    """One request to the language model."""

    began: float
    first_token: float | None = None
    last_token: float | None = None
    tokens: int = 0
    ended: float | None = None


@dataclass(slots=True)
class Call:
    """One tool call."""

    name: str
    began: float
    read_only: bool
    ran: float | None = None
    """When it began to run: what has side effects waits for the turn to be decided."""
    ended: float | None = None
    failed: bool = False


@dataclass(slots=True)
class Answer:
    """One attempt at an answer."""

    tag: Tag
    asked: float
    said: bool = False
    """The agent's own line (greeting, apology): no language model."""
    fallback: bool = False
    """By the other language model."""
    released: float | None = None
    dropped: float | None = None
    wrong: bool = False
    """Dropped because the words it answered had changed."""
    rounds: list[Round] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    first_clause: float | None = None
    clauses: int = 0
    first_audio: float | None = None
    last_audio: float | None = None
    synthesized: float | None = None
    audio_ms: float = 0.0
    clause_audio_ms: float = 0.0
    """Audio of the first clause, and when the last of it came."""
    clause_audio_at: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    """What the engine counted."""
    text: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens of text so far."""
        return sum(each.tokens for each in self.rounds)

    @property
    def first_token(self) -> float | None:
        """When the first text came, of whichever round."""
        return next((r.first_token for r in self.rounds if r.first_token is not None), None)


@dataclass(frozen=True, slots=True)
class Release:
    """An answer that was let out, and why."""

    tag: Tag
    at: float
    reason: Reason


@dataclass(slots=True)
class Voice:
    """A stretch of the user's voice."""

    began: float
    ended: float | None = None
    noticed: float | None = None
    """When the machine was told that it had ended."""


@dataclass(slots=True)
class Ask:
    """A question to the turn model or to recognition."""

    asked: float
    about: float = 0.0
    came: float | None = None
    p: float | None = None


Trigger = Literal["time", "voice", "words", "sound", "client", "limit"]
"""What the endpoint came with: its time, evidence that came later than the silence asked, or a
client that decides itself."""


@dataclass(frozen=True, slots=True)
class Closing:
    """When the silence was enough, and by what evidence."""

    at: float
    needed_ms: float
    words_p: float | None
    sound_p: float | None
    trigger: Trigger


@dataclass(slots=True, eq=False)
class Marks:
    """Everything noted of one turn."""

    number: int = 0
    kind: Literal["spoken", "typed", "greeting"] = "spoken"
    voices: list[Voice] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    finals: list[Ask] = field(default_factory=list)
    received: float | None = None
    """When the packet with the last of the user's voice had come."""
    closing: Closing | None = None
    answers: dict[Tag, Answer] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    zero: float = 0.0
    first_sound: float | None = None
    lead_in_ms: float = 0.0
    filled: float | None = None
    """When a filler was put in front of the answer."""
    stopped: float | None = None
    ended: float | None = None
    """The answer was played to its end, will not come, or nobody hears it any more."""
    failed: bool = False
    left: bool = False
    """The conversation ended in the middle of it."""
    events: list[tuple[str, float, Mapping[str, Any]]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    user_text: str = ""
    heard: list[str] = field(default_factory=list)

    @property
    def answer(self) -> Answer | None:
        """The answer released last."""
        return self.answers.get(self.releases[-1].tag) if self.releases else None

    def is_answered_by(self, tag: Tag) -> bool:
        """Whether ``tag`` is the answer released last."""
        return bool(self.releases) and self.releases[-1].tag == tag

    @property
    def over(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.ended is not None

    def note(self, name: str, at: float, **attributes: Any) -> None:
        """Note an event."""
        self.events.append((name, at, attributes))

    def count(self, name: str, more: float = 1.0) -> None:
        """Add to a figure."""
        self.figures[name] = self.figures.get(name, 0.0) + more
