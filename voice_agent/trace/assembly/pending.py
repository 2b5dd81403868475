"""The turns of a conversation that are not over: the one being spoken, the one being answered."""

from __future__ import annotations

from typing import Any

from voice_agent.trace.assembly.marks import Answer, Call, Marks
from voice_agent.turns.events import Tag

EVENTS_MAX = 400
"""Events kept of one turn: nobody reads more, and a caller who never pauses must cost nothing."""


class Pending:
    """At most two turns, and what is waiting to be told of them."""

    def __init__(self) -> None:
        self.open: Marks | None = None
        """The turn that is not decided yet."""
        self.decided: Marks | None = None
        """The turn decided last; its answer is owed, heard or over."""
        self._changed: list[Marks] = []
        self._leftover: dict[str, float] = {}
        """What was wasted on sounds that were no turn; counted with the next one."""

    # ----- which turn -----

    @property
    def current(self) -> Marks | None:
        """The turn that something happening now belongs to."""
        if self.decided is not None and not self.decided.over:
            return self.decided
        return self.open or self.decided

    def of(self, tag: Tag) -> Marks | None:
        """Return the turn that ``tag`` answers, if it is one of these."""
        for marks in (self.open, self.decided):
            if marks is not None and tag in marks.answers:
                return marks
        return None

    def answer(self, tag: Tag) -> Answer | None:
        """Return the answer."""
        marks = self.of(tag)
        return marks.answers[tag] if marks is not None else None

    def call(self, tag: Tag, call: str) -> Call | None:
        """Return a tool call made for the answer."""
        answer = self.answer(tag)
        return answer.calls.get(call) if answer is not None else None

    # ----- from one to the next -----

    def opened(self) -> Marks:
        """Return the open turn, a new one if there is none."""
        if self.open is None:
            self.open = Marks()
        return self.open

    def decide(self, marks: Marks, now: float) -> None:
        """``marks`` is the turn decided last; whatever was decided before it is over."""
        if self.decided is not None and not self.decided.over:
            self.decided.ended = now
            self.tell(self.decided)
        for name, value in self._leftover.items():
            marks.count(name, value)
        self._leftover = {}
        self.decided, self.open = marks, None
        self.tell(marks)

    def take_back(self, marks: Marks) -> None:
        """The turn decided last is open again, with what was heard since."""
        later, self.open, self.decided = self.open, marks, None
        if later is not None:
            marks.voices += later.voices
            marks.events += later.events

    def close_open(self) -> None:
        """What was open is no turn; its guesses cost something all the same."""
        marks, self.open = self.open, None
        if marks is None:
            return
        for answer in marks.answers.values():
            if answer.dropped is None:
                marks.count("misses")
                waste(marks, answer)
        for name, value in marks.figures.items():
            self._leftover[name] = self._leftover.get(name, 0.0) + value

    # ----- what is told -----

    def note(self, marks: Marks, name: str, at: float, **attributes: Any) -> None:
        """Note an event of a turn."""
        if len(marks.events) < EVENTS_MAX:
            marks.note(name, at, **attributes)

    def tell(self, marks: Marks) -> None:
        """A turn has changed in a way worth telling."""
        if marks not in self._changed:
            self._changed.append(marks)

    def told(self) -> list[Marks]:
        """Take what is to be told: decided turns only."""
        changed, self._changed = self._changed, []
        return [marks for marks in changed if marks.releases]


def waste(marks: Marks, answer: Answer) -> None:
    """Count what an answer that nobody will hear has cost."""
    marks.count("wasted_tokens", answer.tokens)
    marks.count("wasted_audio_ms", round(answer.audio_ms, 1))
