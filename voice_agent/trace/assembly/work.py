"""What the services do for an answer: tokens, clauses, audio, tools. Each call notes a moment."""

from __future__ import annotations

from collections.abc import Mapping

from voice_agent.trace.assembly.marks import Call, Round
from voice_agent.trace.assembly.pending import Pending
from voice_agent.turns.events import Tag


class Work:
    """Follows the work on answers; times are ms on the monotonic clock.

    Args:
        pending: The turns the answers belong to; work on others is ignored.
        transcripts: Keep what is written.
    """

    def __init__(self, pending: Pending, *, transcripts: bool) -> None:
        self._pending = pending
        self._transcripts = transcripts

    def llm_began(self, tag: Tag, now: float) -> None:
        """The language model was asked for (another part of) the answer ``tag``."""
        answer = self._pending.answer(tag)
        if answer is not None and not answer.said:
            answer.rounds.append(Round(now))

    def llm_token(self, tag: Tag, now: float, text: str = "") -> None:
        """A token of text has come."""
        answer = self._pending.answer(tag)
        if answer is None or not answer.rounds:
            return
        round_ = answer.rounds[-1]
        round_.tokens += 1
        round_.last_token = now
        if round_.first_token is None:
            round_.first_token = now
        if self._transcripts:
            answer.text.append(text)

    def llm_ended(self, tag: Tag, now: float) -> None:
        """The language model has written this part to its end."""
        answer = self._pending.answer(tag)
        if answer is not None and answer.rounds and answer.rounds[-1].ended is None:
            answer.rounds[-1].ended = now

    def llm_figures(self, tag: Tag, figures: Mapping[str, float]) -> None:
        """The engine has counted something for this answer: tokens drafted and accepted."""
        answer = self._pending.answer(tag)
        if answer is None:
            return
        for name, value in figures.items():
            if name == "tokens" and answer.rounds:
                # Tokens that come faster than they are taken travel together.
                answer.rounds[-1].tokens = int(value)
            else:
                answer.figures[name] = answer.figures.get(name, 0.0) + value

    def clause(self, tag: Tag, now: float) -> None:
        """A clause was given to the voice."""
        answer = self._pending.answer(tag)
        if answer is not None:
            answer.clauses += 1
            if answer.first_clause is None:
                answer.first_clause = now

    def audio(self, tag: Tag, now: float, ms: float) -> None:
        """So much synthesized audio has come."""
        answer = self._pending.answer(tag)
        if answer is None:
            return
        if answer.first_audio is None:
            answer.first_audio = now
        if answer.clauses <= 1:
            answer.clause_audio_ms += ms
            answer.clause_audio_at = now
        answer.last_audio = now
        answer.audio_ms += ms

    def synthesized(self, tag: Tag, now: float) -> None:
        """What the language model wrote last has been synthesized to its end."""
        answer = self._pending.answer(tag)
        if answer is not None:
            answer.synthesized = now

    def tool_began(self, tag: Tag, call: str, name: str, now: float, *, read_only: bool) -> None:
        """The language model has called a tool."""
        answer = self._pending.answer(tag)
        if answer is not None:
            answer.calls[call] = Call(name, now, read_only)

    def tool_ran(self, tag: Tag, call: str, now: float) -> None:
        """The tool begins to run: what has side effects has waited for the decision."""
        found = self._pending.call(tag, call)
        if found is not None:
            found.ran = now

    def tool_ended(self, tag: Tag, call: str, now: float, *, failed: bool = False) -> None:
        """The tool has ended."""
        found = self._pending.call(tag, call)
        if found is not None and found.ended is None:
            found.ended, found.failed = now, failed
            marks = self._pending.of(tag)
            if marks is not None:
                self._pending.note(marks, "tool", now, tool=found.name, failed=failed)
