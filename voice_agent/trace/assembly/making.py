"""A turn made of its marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voice_agent.trace.assembly.marks import Marks
from voice_agent.trace.assembly.segments import latency, segments
from voice_agent.trace.assembly.spans import figures, spans
from voice_agent.trace.model import Event, Kind, Session, Turn, Words
from voice_agent.turns.settings import TurnSettings


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose turns these are."""

    session: str
    run: str
    pipeline: str
    transport: str
    caller: Mapping[str, str] | None = None
    epoch_s: float = 0.0
    """Wall clock, seconds since 1970, at zero of the monotonic clock."""
    transcripts: bool = False
    """Keep words."""

    def session_at(self, began: float) -> Session:
        """Return the session as it begins, wall clock in seconds."""
        return Session(self.session, self.run, self.pipeline, self.transport, began, self.caller)


def turn_of(marks: Marks, origin: Origin, settings: TurnSettings, now: float) -> Turn:
    """Return the turn that these marks make, as it is ``now``; it must have been decided."""
    answer = marks.answer
    words = None
    if origin.transcripts and answer is not None:
        written = "".join(answer.text).strip()
        words = Words(marks.user_text, written, " ".join(marks.heard))
    return Turn(
        id=f"{origin.session}-{marks.number}",
        session=origin.session,
        turn=marks.number,
        revision=marks.releases[-1].tag.revision,
        run=origin.run,
        pipeline=origin.pipeline,
        transport=origin.transport,
        caller=origin.caller,
        started_at=round(origin.epoch_s + marks.zero / 1000.0, 3),
        kind=_kind(marks),
        v2v_ms=latency(marks),
        ended_ms=round(marks.ended - marks.zero, 1) if marks.ended is not None else None,
        segments=segments(marks, settings),
        spans=spans(marks, now),
        events=tuple(
            Event(name, round(at - marks.zero, 1), attributes)
            for name, at, attributes in marks.events
        ),
        figures=figures(marks),
        words=words,
    )


def _kind(marks: Marks) -> Kind:
    if marks.kind == "greeting":
        return "greeting"
    if marks.failed:
        return "failed"
    if marks.stopped is not None or marks.left:
        return "interrupted"
    if not marks.over:
        return "open"
    return "typed" if marks.kind == "typed" else "answered"
