"""What a trace is: plain frozen data, and the same thing as JSON.

One :class:`Turn` says where the time between two voices went (contiguous ``segments``), what ran
beside it (``spans``), what happened (``events``) and what it cost (``figures``). Times are ms,
rounded to 0.1, relative to the turn's zero point: the last sample of the user's voice by the media
clock, or when the text was typed. Work that began before it has negative times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

Stage = Literal[
    "endpoint",
    "asr_final",
    "llm_first_token",
    "llm_first_clause",
    "tts_first_audio",
    "transport",
]
"""A part of a turn that a budget can be given for. ``voice_to_voice`` is their sum."""

STAGES: tuple[Stage, ...] = (
    "endpoint",
    "asr_final",
    "llm_first_token",
    "llm_first_clause",
    "tts_first_audio",
    "transport",
)
TOTAL: Literal["voice_to_voice"] = "voice_to_voice"
BudgetKey = Stage | Literal["voice_to_voice"]

Kind = Literal["open", "answered", "interrupted", "failed", "greeting", "typed"]
"""What became of a turn; only "answered" ones count in percentiles.

open: not over yet (or its process died); answered: its answer was heard to the end; interrupted:
the user stopped it; failed: no answer came, or an apology; greeting: nobody asked; typed: text.
"""

Attributes = Mapping[str, str | float | int | bool | None]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the time the user waited, and what it was waited for."""

    stage: Stage
    """The stage whose budget it counts against; several segments may share one."""
    name: str
    ms: float
    start_ms: float
    cause: str
    """For a wait, the setting or the evidence that caused it, for a person to read."""
    budget_ms: float | None = None
    """The budget of the whole stage, if it has one."""


@dataclass(frozen=True, slots=True)
class Span:
    """Work that took time, whether anybody waited for it or not."""

    name: str
    """"user" and "agent" are their voices; "receive", "vad", "asr", "turn_model", "llm", "tts",
    "tool:<name>" are work."""
    start_ms: float
    end_ms: float
    speculative: bool = False
    """Begun before the turn was decided."""
    outcome: Literal["hit", "miss", "dropped"] | None = None
    """What became of speculation; "dropped": begun for words or for a turn that were given up."""
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at one moment."""

    name: str
    at_ms: float
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Words:
    """Who said what; only where transcripts are stored."""

    user: str
    agent: str
    """What the language model wrote as far as it was synthesized."""
    heard: str
    """What was heard of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a turn kept its budgets; made by ``voice_agent.budget.judge``."""

    verdict: Literal["ok", "missed"]
    guilty: BudgetKey | None = None
    """The stage that broke its budget the most, if any did."""
    budgets: Mapping[BudgetKey, float] = field(default_factory=dict)
    """The budgets judged by, ms."""
    overrun_ms: float = 0.0
    """By how much the guilty stage is over its budget, ms."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; ``segments`` are contiguous from 0 and sum to ``v2v_ms``."""

    id: str
    """``<session>-<turn>``."""
    session: str
    turn: int
    revision: int
    """Of the answer that was heard."""
    run: str
    """Names the life of one process."""
    pipeline: str
    transport: str
    started_at: float
    """Wall clock of the zero point, seconds since 1970."""
    kind: Kind
    caller: Mapping[str, str] | None = None
    """Who called, where a carrier says so."""
    verdict: Literal["ok", "missed"] | None = None
    guilty: BudgetKey | None = None
    v2v_ms: float | None = None
    """None: no sound of an answer (yet)."""
    ended_ms: float | None = None
    """When the answer had been heard, was stopped for good, or was given up; None: not over."""
    segments: tuple[Segment, ...] = ()
    spans: tuple[Span, ...] = ()
    events: tuple[Event, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    budgets: Mapping[BudgetKey, float] = field(default_factory=dict)
    words: Words | None = None
    audio: bool = False
    """A recording of this turn exists."""

    def stages(self) -> dict[BudgetKey, float]:
        """Return the ms waited for each stage that was waited for, and the sum."""
        total: dict[BudgetKey, float] = {}
        for segment in self.segments:
            total[segment.stage] = round(total.get(segment.stage, 0.0) + segment.ms, 1)
        if self.v2v_ms is not None:
            total[TOTAL] = self.v2v_ms
        return total

    def judged(self, verdict: Verdict | None) -> Turn:
        """Return the turn with its verdict; None leaves it without one.

        A missed budget is an event at the moment it was used up.
        """
        if verdict is None:
            return self
        events = self.events
        if verdict.verdict == "missed":
            at_ms = verdict.budgets.get(TOTAL, self.v2v_ms or 0.0)
            attributes = {"stage": verdict.guilty, "overrun_ms": verdict.overrun_ms}
            events = (*events, Event("budget.miss", at_ms, attributes))
        return replace(
            self,
            events=tuple(sorted(events, key=lambda event: event.at_ms)),
            verdict=verdict.verdict,
            guilty=verdict.guilty,
            budgets=verdict.budgets,
            segments=tuple(
                replace(segment, budget_ms=verdict.budgets.get(segment.stage))
                for segment in self.segments
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the turn as JSON objects, the form of the HTTP interface and of exports."""
        made: dict[str, Any] = _TURN.dump_python(self, mode="json")
        return made

    def to_json(self) -> bytes:
        """Return the turn as one JSON document."""
        return _TURN.dump_json(self)

    @staticmethod
    def from_json(text: str | bytes) -> Turn:
        """Read a turn back.

        Raises:
            pydantic.ValidationError: It is none.
        """
        return _TURN.validate_json(text)


_TURN = TypeAdapter(Turn)


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation, as far as it went."""

    id: str
    run: str
    pipeline: str
    transport: str
    started_at: float
    """Wall clock, seconds since 1970."""
    caller: Mapping[str, str] | None = None
    ended_at: float | None = None
    reason: str | None = None
    """Why it ended; "lost": its process died."""

    def to_dict(self) -> dict[str, Any]:
        """Return the session as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a process: what a comparison compares."""

    id: str
    pipeline: str
    version: str
    started_at: float
    """Wall clock, seconds since 1970."""
