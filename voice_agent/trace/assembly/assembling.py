"""Turns put together from what a conversation does: events in, turns out, no clock, no I/O.

Fed with every event of the turn machine and of playout, with what was decided on it, and with the
moments of the services' work. Nothing here decides anything and nothing raises, whatever the order
(property-tested): a trace must never be why a call fails. A turn comes out every time something
worth telling has changed, under the same id, until it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voice_agent.trace.assembly.answering import Answering, Happened, closing
from voice_agent.trace.assembly.making import Origin, turn_of
from voice_agent.trace.assembly.marks import Ask, Marks, Voice
from voice_agent.trace.assembly.pending import Pending
from voice_agent.trace.assembly.work import Work
from voice_agent.trace.model import Turn
from voice_agent.turns import events as turn
from voice_agent.turns.playout import FirstSound, OwnSound, PlayedOut, Underrun, WordsPlayed
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import State, User


class Assembly:
    """The turns of one conversation; see the module's docstring.

    Times are ms on the monotonic clock. Every method that may change a turn returns the turns
    worth telling, usually none.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._pending = Pending()
        self._answering = Answering(self._pending)
        self.work = Work(self._pending, transcripts=origin.transcripts)
        """Takes what the services do."""
        self._user = User.QUIET
        self._settings = TurnSettings()
        self._finals: list[Ask] = []
        """Final transcripts asked for that have not come."""

    def event(
        self, now: float, event: Happened, actions: Sequence[turn.Action], state: State
    ) -> list[Turn]:
        """Take one event, what was decided on it, and the state after it."""
        self._settings = state.settings
        for action in actions:
            if isinstance(action, turn.Retract):  # the event belongs to the turn it opens again
                self._answering.retract(action.tag, now)
        self._heard_from_user(now, event, state)
        self._heard_from_playout(now, event)
        self._follow_closing(event, state)
        for action in actions:
            self._done(now, action, state, event)
        return self._told(now)

    def end(self, now: float, *, failed: bool) -> list[Turn]:
        """The conversation is over; ``failed``: by an error of ours."""
        marks = self._pending.decided
        if marks is None or marks.over:
            return []
        marks.ended, marks.left = now, True
        marks.failed = marks.failed or (failed and marks.first_sound is None)
        marks.note("hung_up", now)
        self._pending.tell(marks)
        return self._told(now)

    def note(self, name: str, now: float, **attributes: Any) -> list[Turn]:
        """Note an event of the turn that is going on: a filler spoken, a fallback taken."""
        marks = self._pending.current
        if marks is None:
            return []
        self._pending.note(marks, name, now, **attributes)
        self._pending.tell(marks)
        return self._told(now)

    def figure(self, name: str, value: float) -> None:
        """Set a figure of the turn decided last, such as the loop's lag while it was waited."""
        if self._pending.decided is not None:
            self._pending.decided.figures[name] = value

    def received(self, at: float) -> None:
        """The packet that holds the last of the user's voice came at this moment."""
        if self._pending.open is not None:
            self._pending.open.received = at

    def decided(self, now: float) -> Turn | None:
        """Return the turn decided last, as it is now."""
        marks = self._pending.decided
        if marks is None or not marks.releases:
            return None
        return turn_of(marks, self._origin, self._settings, now)

    @property
    def zero(self) -> float | None:
        """Zero point of the turn decided last."""
        return self._pending.decided.zero if self._pending.decided is not None else None

    # ----- events -----

    def _heard_from_user(self, now: float, event: Happened, state: State) -> None:
        pending = self._pending
        match event:
            case turn.VoiceStarted(at) if state.user is User.SPEAKING:
                voices = pending.opened().voices
                if not voices or voices[-1].ended is not None:
                    voices.append(Voice(at))
            case turn.VoiceStopped(at):
                voices = pending.open.voices if pending.open is not None else []
                if voices and voices[-1].ended is None:
                    voices[-1].ended, voices[-1].noticed = max(at, voices[-1].began), now
            case turn.Heard():
                self._transcript(event, now, state)
            case turn.SoundScore(began, p):
                marks = pending.open or pending.decided
                asks = marks.asks if marks is not None else []
                for ask in [each for each in asks if each.about == began and each.came is None][:1]:
                    ask.came, ask.p = now, p
            case turn.Typed():
                pending.close_open()
                pending.open = Marks(kind="typed")
            case turn.Cleared():
                pending.close_open()
            case turn.Failed(tag):
                if (marks := pending.of(tag)) is not None:
                    pending.note(marks, "failed", now, revision=tag.revision)
            case turn.Strained():
                if (marks := pending.current) is not None:
                    pending.note(marks, "strained", now)
            case _:
                pass

    def _transcript(self, heard: turn.Heard, now: float, state: State) -> None:
        pending = self._pending
        if heard.final and self._finals:
            self._finals.pop(0).came = now
        if pending.open is None and state.user is User.QUIET:
            if heard.final and heard.text and pending.decided is not None:
                pending.note(pending.decided, "late_final", now)
            return
        attributes: dict[str, Any] = {"words": len(heard.text.split())}
        if heard.end_p is not None:
            attributes["end_p"] = round(heard.end_p, 3)
        if heard.echo:
            attributes["echo"] = True
        if self._origin.transcripts:
            attributes["text"] = heard.text
        name = "final" if heard.final else "partial"
        pending.note(pending.opened(), name, now, **attributes)

    def _heard_from_playout(self, now: float, event: Happened) -> None:
        marks = self._pending.decided
        if marks is None or marks.over:
            return
        match event:
            case FirstSound(tag, lead_in_ms) if marks.is_answered_by(tag):
                if marks.first_sound is None:
                    marks.first_sound, marks.lead_in_ms = now, lead_in_ms
                    self._pending.note(marks, "first_sound", now)
                    self._pending.tell(marks)
            case OwnSound(tag) if marks.is_answered_by(tag):
                marks.figures["answer_ms"] = round(now - marks.zero, 1)
                self._pending.note(marks, "answer_sound", now)
                self._pending.tell(marks)
            case WordsPlayed(tag, text) if marks.is_answered_by(tag):
                marks.count("words_heard", len(text.split()))
                if self._origin.transcripts:
                    marks.heard.append(text)
            case PlayedOut(tag, _) if marks.is_answered_by(tag):
                marks.ended = now
                self._pending.note(marks, "played_out", now)
                self._pending.tell(marks)
            case Underrun(tag) if marks.is_answered_by(tag):
                if not marks.events or marks.events[-1][0] != "underrun":
                    self._pending.note(marks, "underrun", now)
                marks.count("underruns")
            case _:
                pass

    def _follow_closing(self, event: Happened, state: State) -> None:
        was, self._user = self._user, state.user
        marks = self._pending.open
        if marks is None:
            return
        if state.user is User.CLOSING:
            if was is not User.CLOSING or marks.closing is None:
                marks.closing = closing(event, state)
        elif state.user in (User.SPEAKING, User.PAUSING):
            marks.closing = None

    # ----- actions -----

    def _done(self, now: float, action: turn.Action, state: State, event: Happened) -> None:
        pending = self._pending
        match action:
            case turn.AskSound(began):
                if pending.open is not None:
                    pending.open.asks.append(Ask(now, began))
            case turn.Finalize():
                self._finals.append(Ask(now))
                if pending.open is not None:
                    pending.open.finals.append(self._finals[-1])
            case turn.Speculate(tag, text, fallback):
                self._answering.begin(tag, text, now, fallback=fallback)
            case turn.Drop(tag):
                self._answering.drop(tag, now, event)
            case turn.Carry(tag, _):
                self._answering.carry(tag, now)
            case turn.Release():
                self._answering.release(action, now, state, event)
            case turn.Greet(tag):
                self._answering.greet(tag, now)
            case turn.Apologise(tag):
                self._answering.apologise(tag, now)
            case turn.Fill(_, number):
                if pending.decided is not None:
                    pending.decided.filled = now
                    pending.note(pending.decided, "filler", now, number=number)
            case turn.Revoice(tag):
                if (marks := pending.of(tag)) is not None:
                    pending.note(marks, "fallback", now, stage="tts", revision=tag.revision)
            case turn.Correct(number, text):
                if pending.decided is not None and pending.decided.number == number:
                    pending.decided.user_text = text
                    pending.tell(pending.decided)
            case turn.NoTurn() | turn.Remember():
                pending.close_open()  # nobody is answered
            case turn.Duck() | turn.Hush() | turn.Unduck() | turn.Resume():
                self._overlap(action, now, state)
            case turn.Stop():
                self._stop(now, state, event)
            case _:
                pass  # Retract came first

    def _overlap(
        self, action: turn.Duck | turn.Hush | turn.Unduck | turn.Resume, now: float, state: State
    ) -> None:
        marks = self._pending.decided
        attributes: dict[str, Any] = {}
        match action:
            case turn.Duck() | turn.Hush():
                attributes["voice_ms"] = round(now - state.voice_at, 1)
            case turn.Unduck(said):
                self._pending.close_open()
                if marks is not None:
                    marks.count("backchannels" if said else "noises")
            case turn.Resume():
                self._pending.close_open()
                if marks is not None:
                    marks.stopped = None
        if marks is not None:
            self._pending.note(marks, type(action).__name__.lower(), now, **attributes)
            self._pending.tell(marks)

    def _stop(self, now: float, state: State, event: Happened) -> None:
        marks = self._pending.decided
        if marks is None:
            return
        if isinstance(event, turn.Failed | turn.Tick) and state.user is User.QUIET:
            marks.ended, marks.failed = now, True  # a filler was heard, and nothing will follow it
        else:
            voice_ms = 0.0 if state.user is User.QUIET else round(now - state.voice_at, 1)
            marks.stopped = now
            marks.figures["barge_in_ms"] = voice_ms
            self._pending.note(marks, "barge_in", now, voice_ms=voice_ms)
        self._pending.tell(marks)

    def _told(self, now: float) -> list[Turn]:
        told = self._pending.told()
        return [turn_of(marks, self._origin, self._settings, now) for marks in told]
