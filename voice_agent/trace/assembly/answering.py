"""What is decided about answers: begun on a guess, released, taken back, dropped, begun again."""

from __future__ import annotations

from voice_agent.trace.assembly.marks import Answer, Closing, Marks, Reason, Release, Trigger
from voice_agent.trace.assembly.pending import Pending, waste
from voice_agent.turns import events as turn
from voice_agent.turns.endpoint import required_silence_ms
from voice_agent.turns.events import Tag
from voice_agent.turns.playout import PlayoutEvent
from voice_agent.turns.state import State

Happened = turn.Event | PlayoutEvent
"""What was decided on."""


class Answering:
    """Follows the decisions; times are ms on the monotonic clock.

    Args:
        pending: The turns they are about.
    """

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def begin(self, tag: Tag, text: str, now: float, *, fallback: bool) -> None:
        """An answer is asked for: on a guess, at the decision, or once more."""
        decided = self._pending.decided
        if decided is not None and decided.number == tag.turn:
            marks = decided
        else:
            marks = self._pending.opened()
        marks.number = tag.turn
        marks.answers[tag] = Answer(tag, now, fallback=fallback)
        revision, words = tag.revision, len(text.split())
        if fallback:
            self._pending.note(marks, "fallback", now, stage="llm", revision=revision)
        self._pending.note(marks, "speculation.start", now, revision=revision, words=words)

    def drop(self, tag: Tag, now: float, event: Happened) -> None:
        """Nothing of an answer will be heard."""
        marks, answer = self._pending.of(tag), self._pending.answer(tag)
        if marks is None or answer is None or answer.dropped is not None:
            return
        answer.dropped = now
        waste(marks, answer)
        if answer.released is None:
            answer.wrong = not isinstance(event, turn.Typed)
            marks.count("misses")
            cost = {"tokens": answer.tokens, "audio_ms": round(answer.audio_ms, 1)}
            self._pending.note(marks, "speculation.miss", now, revision=tag.revision, **cost)
        elif marks is self._pending.decided and marks.is_answered_by(tag):
            # Nothing more will come of it, unless another answer follows in the same step.
            marks.ended = now
            if isinstance(event, turn.Typed | turn.Silenced):
                marks.left = True
            else:
                marks.failed = True
            self._pending.tell(marks)

    def carry(self, tag: Tag, now: float) -> None:
        """An answer of which a filler was heard is given up for another."""
        marks, answer = self._pending.of(tag), self._pending.answer(tag)
        if marks is not None and answer is not None and answer.dropped is None:
            answer.dropped = now
            waste(marks, answer)

    def release(self, action: turn.Release, now: float, state: State, event: Happened) -> None:
        """An answer is let out: the turn is decided, or was before and is answered anew."""
        tag, again = action.tag, self._pending.decided
        if again is not None and tag in again.answers:
            late = isinstance(event, turn.Heard)
            self._release_again(again, tag, now, "late final" if late else "failed")
            again.user_text = action.text
            return
        marks = self._pending.opened()
        answer = marks.answers.setdefault(tag, Answer(tag, now))
        marks.number, marks.zero, marks.user_text = tag.turn, action.user_stopped, action.text
        answer.released = now
        if marks.kind == "spoken" and marks.closing is None:
            marks.closing = closing(event, state)
        marks.releases.append(Release(tag, now, "decided"))
        self._pending.decide(marks, now)
        if answer.asked < now:
            marks.count("hits")
            ahead_ms = round(now - answer.asked, 1)
            self._pending.note(
                marks, "speculation.hit", now, revision=tag.revision, ahead_ms=ahead_ms
            )
        self._pending.note(marks, "release", now, revision=tag.revision)

    def greet(self, tag: Tag, now: float) -> None:
        """The greeting is said."""
        marks = self._pending.opened()
        marks.kind, marks.number, marks.zero = "greeting", tag.turn, now
        marks.answers[tag] = Answer(tag, now, said=True, released=now)
        marks.releases.append(Release(tag, now, "decided"))
        self._pending.decide(marks, now)

    def apologise(self, tag: Tag, now: float) -> None:
        """No answer will come; an apology is said in its place."""
        marks = self._pending.decided
        if marks is None:
            return
        marks.answers[tag] = Answer(tag, now, said=True)
        self._release_again(marks, tag, now, "apology")
        marks.failed = True

    def retract(self, tag: Tag, now: float) -> None:
        """The user goes on before anything was heard: the turn is open again."""
        marks = self._pending.decided
        if marks is None or tag not in marks.answers or marks.over:
            return
        marks.answers[tag].released = None
        marks.releases.clear()
        if marks.figures.get("hits"):
            marks.count("hits", -1)
        self._pending.note(marks, "retract", now, revision=tag.revision)
        self._pending.take_back(marks)

    def _release_again(self, marks: Marks, tag: Tag, now: float, reason: Reason) -> None:
        marks.ended, marks.failed = None, False
        marks.releases.append(Release(tag, now, reason))
        marks.answers[tag].released = now
        name = "apology" if reason == "apology" else "retry"
        self._pending.note(marks, name, now, revision=tag.revision, why=reason)
        self._pending.tell(marks)


def closing(event: Happened, state: State) -> Closing:
    """Return by what evidence the silence was enough, in the state after ``event``."""
    needed_ms = required_silence_ms(state.words_p, state.sound_p, state.settings)
    trigger: Trigger
    match event:
        case turn.VoiceStopped():
            trigger = "voice"
        case turn.Heard():
            trigger = "words"
        case turn.SoundScore():
            trigger = "sound"
        case turn.Committed():
            trigger = "client"
        case _:
            trigger = "time"
    if state.closing_at <= state.quiet_at and trigger == "time":
        trigger, needed_ms = "limit", 0.0
    return Closing(state.closing_at, needed_ms, state.words_p, state.sound_p, trigger)
