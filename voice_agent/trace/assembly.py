"""Turns put together from what a conversation does: events in, turns out, no clock, no I/O.

Fed with every event of the turn machine and of playout, with what was decided on it, and with the
moments of the services' work. Nothing here decides anything and nothing raises, whatever the order
(property-tested): a trace must never be why a call fails. A turn comes out every time something
worth telling has changed, under the same id, until it is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_agent.trace.marks import (
    Answer,
    Ask,
    Call,
    Closing,
    Marks,
    Release,
    Round,
    Trigger,
    Voice,
)
from voice_agent.trace.model import Event, Kind, Session, Turn, Words
from voice_agent.trace.segments import latency, segments
from voice_agent.trace.spans import figures, spans
from voice_agent.turns import events as turn
from voice_agent.turns.endpoint import required_silence_ms
from voice_agent.turns.events import Tag
from voice_agent.turns.playout import (
    FirstSound,
    OwnSound,
    PlayedOut,
    PlayoutEvent,
    Underrun,
    WordsPlayed,
)
from voice_agent.turns.state import State, User

EVENTS_MAX = 400
"""Events kept of one turn: nobody reads more, and a caller who never pauses must cost nothing."""


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


class Assembly:
    """The turns of one conversation; see the module's docstring.

    Times are ms on the monotonic clock. Every method that may change a turn returns the turns
    worth telling, usually none.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._open: Marks | None = None
        """The turn that is not decided yet."""
        self._decided: Marks | None = None
        """The turn decided last; its answer is owed, heard or over."""
        self._user = User.QUIET
        self._settings: Any = None
        self._finals: list[Ask] = []
        self._changed: list[Marks] = []
        """Turns worth telling since the last time."""
        self._leftover: dict[str, float] = {}
        """What was wasted on sounds that were no turn; counted with the next one."""

    # ----- the turn machine and playout -----

    def event(
        self,
        now: float,
        event: turn.Event | PlayoutEvent,
        actions: Sequence[turn.Action],
        state: State,
    ) -> list[Turn]:
        """Take one event, what was decided on it, and the state after it."""
        self._settings = state.settings
        for action in actions:
            if isinstance(action, turn.Retract):
                self._retract(action.tag, now)
        self._happened(now, event, state)
        self._follow_closing(event, state)
        for action in actions:
            self._done(now, action, state, event)
        return self._told(now)

    def end(self, now: float, *, failed: bool) -> list[Turn]:
        """The conversation is over; ``failed``: by an error of ours."""
        marks = self._decided
        if marks is None or marks.over:
            return []
        marks.ended, marks.left = now, True
        marks.failed = marks.failed or (failed and marks.first_sound is None)
        marks.note("hung_up", now)
        self._tell(marks)
        return self._told(now)

    # ----- the services -----

    def llm_began(self, tag: Tag, now: float) -> None:
        """The language model was asked for (another part of) the answer ``tag``."""
        answer = self._answer(tag)
        if answer is not None and not answer.said:
            answer.rounds.append(Round(now))

    def llm_token(self, tag: Tag, now: float, text: str = "") -> None:
        """A token of text has come."""
        answer = self._answer(tag)
        if answer is None or not answer.rounds:
            return
        round_ = answer.rounds[-1]
        round_.tokens += 1
        round_.last_token = now
        if round_.first_token is None:
            round_.first_token = now
        if self._origin.transcripts:
            answer.text.append(text)

    def llm_ended(self, tag: Tag, now: float) -> None:
        """The language model has written this part to its end."""
        answer = self._answer(tag)
        if answer is not None and answer.rounds and answer.rounds[-1].ended is None:
            answer.rounds[-1].ended = now

    def llm_figures(self, tag: Tag, figures: Mapping[str, float]) -> None:
        """The engine has counted something for this answer: tokens drafted and accepted."""
        answer = self._answer(tag)
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
        answer = self._answer(tag)
        if answer is not None:
            answer.clauses += 1
            if answer.first_clause is None:
                answer.first_clause = now

    def audio(self, tag: Tag, now: float, ms: float) -> None:
        """So much synthesized audio has come."""
        answer = self._answer(tag)
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
        answer = self._answer(tag)
        if answer is not None:
            answer.synthesized = now

    def tool_began(self, tag: Tag, call: str, name: str, now: float, *, read_only: bool) -> None:
        """The language model has called a tool."""
        answer = self._answer(tag)
        if answer is not None:
            answer.calls[call] = Call(name, now, read_only)

    def tool_ran(self, tag: Tag, call: str, now: float) -> None:
        """The tool begins to run: what has side effects has waited for the decision."""
        found = self._call(tag, call)
        if found is not None:
            found.ran = now

    def tool_ended(self, tag: Tag, call: str, now: float, *, failed: bool = False) -> None:
        """The tool has ended."""
        found = self._call(tag, call)
        if found is not None and found.ended is None:
            found.ended, found.failed = now, failed
            marks = self._of(tag)
            if marks is not None:
                self._note(marks, "tool", now, tool=found.name, failed=failed)

    # ----- anything else worth knowing -----

    def note(self, name: str, now: float, **attributes: Any) -> list[Turn]:
        """Note an event of the turn that is going on: a filler spoken, a fallback taken."""
        marks = self._current()
        if marks is None:
            return []
        self._note(marks, name, now, **attributes)
        self._tell(marks)
        return self._told(now)

    def figure(self, name: str, value: float) -> None:
        """Set a figure of the turn decided last, such as the loop's lag while it was waited."""
        if self._decided is not None:
            self._decided.figures[name] = value

    def again(self, now: float) -> list[Turn]:
        """Return the turn decided last as it is now."""
        return [self._turn(self._decided, now)] if self._decided is not None else []

    def received(self, at: float) -> None:
        """The packet that holds the last of the user's voice came at this moment."""
        if self._open is not None:
            self._open.received = at

    @property
    def zero(self) -> float | None:
        """Zero point of the turn decided last."""
        return self._decided.zero if self._decided is not None else None

    # ----- events -----

    def _happened(self, now: float, event: turn.Event | PlayoutEvent, state: State) -> None:
        decided = self._decided
        playing = decided if decided is not None and not decided.over else None
        match event:
            case turn.VoiceStarted(at) if state.user is User.SPEAKING:
                self._voice_started(at, now)
            case turn.VoiceStopped(at):
                self._voice_stopped(at, now)
            case turn.Heard():
                self._heard(event, now, state)
            case turn.SoundScore(began, p):
                self._scored(began, p, now)
            case turn.Typed():
                self._close_open()
                self._open = Marks(kind="typed")
            case turn.Cleared():
                self._close_open()
            case turn.Failed(tag):
                marks = self._of(tag)
                if marks is not None:
                    self._note(marks, "failed", now, revision=tag.revision)
            case turn.Strained():
                marks = self._current()
                if marks is not None:
                    self._note(marks, "strained", now)
            case FirstSound(tag) if playing is not None and self._is_answer(playing, tag):
                if playing.first_sound is None:
                    playing.first_sound = now
                    playing.lead_in_ms = event.lead_in_ms
                    self._note(playing, "first_sound", now)
                    self._tell(playing)
            case OwnSound(tag) if playing is not None and self._is_answer(playing, tag):
                playing.figures["answer_ms"] = round(now - playing.zero, 1)
                self._note(playing, "answer_sound", now)
                self._tell(playing)
            case WordsPlayed(tag, text) if playing is not None and self._is_answer(playing, tag):
                playing.count("words_heard", len(text.split()))
                if self._origin.transcripts:
                    playing.heard.append(text)
            case PlayedOut(tag, _) if playing is not None and self._is_answer(playing, tag):
                playing.ended = now
                self._note(playing, "played_out", now)
                self._tell(playing)
            case Underrun(tag) if playing is not None and self._is_answer(playing, tag):
                if not playing.events or playing.events[-1][0] != "underrun":
                    self._note(playing, "underrun", now)
                playing.count("underruns")
            case _:
                pass

    def _voice_started(self, at: float, now: float) -> None:
        marks = self._opened()
        if not marks.voices or marks.voices[-1].ended is not None:
            marks.voices.append(Voice(at))

    def _voice_stopped(self, at: float, now: float) -> None:
        marks = self._open
        if marks is None or not marks.voices or marks.voices[-1].ended is not None:
            return
        voice = marks.voices[-1]
        voice.ended, voice.noticed = max(at, voice.began), now

    def _heard(self, heard: turn.Heard, now: float, state: State) -> None:
        if heard.final and self._finals:
            self._finals.pop(0).came = now
        marks = self._open
        if marks is None and state.user is not User.QUIET:
            marks = self._opened()
        if marks is None:
            if heard.final and heard.text and self._decided is not None:
                self._note(self._decided, "late_final", now)
            return
        attributes: dict[str, Any] = {"words": len(heard.text.split())}
        if heard.end_p is not None:
            attributes["end_p"] = round(heard.end_p, 3)
        if heard.echo:
            attributes["echo"] = True
        if self._origin.transcripts:
            attributes["text"] = heard.text
        self._note(marks, "final" if heard.final else "partial", now, **attributes)

    def _scored(self, began: float, p: float, now: float) -> None:
        marks = self._open or self._decided
        for ask in marks.asks if marks is not None else ():
            if ask.about == began and ask.came is None:
                ask.came, ask.p = now, p
                return

    def _follow_closing(self, event: turn.Event | PlayoutEvent, state: State) -> None:
        was, self._user = self._user, state.user
        if self._open is None:
            return
        if state.user is User.CLOSING:
            if was is not User.CLOSING or self._open.closing is None:
                self._open.closing = _closing(event, state)
        elif state.user in (User.SPEAKING, User.PAUSING):
            self._open.closing = None

    # ----- actions -----

    def _done(
        self,
        now: float,
        action: turn.Action,
        state: State,
        event: turn.Event | PlayoutEvent,
    ) -> None:
        match action:
            case turn.AskSound(began):
                if self._open is not None:
                    self._open.asks.append(Ask(now, began))
            case turn.Finalize():
                ask = Ask(now)
                self._finals.append(ask)
                if self._open is not None:
                    self._open.finals.append(ask)
            case turn.Speculate(tag, text, fallback):
                self._begin(tag, text, now, fallback=fallback)
            case turn.Carry(tag, _):
                self._carry(tag, now)
            case turn.Fill(tag, number):
                if self._decided is not None:
                    self._decided.filled = now
                    self._note(self._decided, "filler", now, number=number)
            case turn.Revoice(tag):
                marks = self._of(tag)
                if marks is not None:
                    self._note(marks, "fallback", now, stage="tts", revision=tag.revision)
            case turn.Drop(tag):
                self._drop(tag, now, event)
            case turn.Greet(tag):
                self._greet(tag, now)
            case turn.Apologise(tag):
                self._apologise(tag, now)
            case turn.Release(tag, text, user_stopped):
                self._release(tag, text, user_stopped, now, state, event)
            case turn.Correct(number, text):
                if self._decided is not None and self._decided.number == number:
                    self._decided.user_text = text
                    self._tell(self._decided)
            case turn.NoTurn() | turn.Remember():
                self._close_open()  # nobody is answered
            case turn.Duck() | turn.Hush() | turn.Unduck() | turn.Stop() | turn.Resume():
                self._overlap(action, now, state)
            case _:
                pass  # Retract came first

    def _begin(self, tag: Tag, text: str, now: float, *, fallback: bool) -> None:
        decided = self._decided
        again = decided is not None and decided.number == tag.turn
        marks = decided if again and decided is not None else self._opened()
        marks.number = tag.turn
        marks.answers[tag] = Answer(tag, now, fallback=fallback)
        if fallback:
            self._note(marks, "fallback", now, stage="llm", revision=tag.revision)
        self._note(marks, "speculation.start", now, revision=tag.revision, words=len(text.split()))

    def _drop(self, tag: Tag, now: float, event: turn.Event | PlayoutEvent) -> None:
        marks, answer = self._of(tag), self._answer(tag)
        if marks is None or answer is None or answer.dropped is not None:
            return
        answer.dropped = now
        marks.count("wasted_tokens", answer.tokens)
        marks.count("wasted_audio_ms", round(answer.audio_ms, 1))
        if answer.released is None:
            answer.wrong = not isinstance(event, turn.Typed)
            marks.count("misses")
            cost = {"tokens": answer.tokens, "audio_ms": round(answer.audio_ms, 1)}
            self._note(marks, "speculation.miss", now, revision=tag.revision, **cost)
        elif marks is self._decided and self._is_answer(marks, tag):
            # Nothing more will come of it, unless another answer follows in the same step.
            marks.ended = now
            if isinstance(event, turn.Typed | turn.Silenced):
                marks.left = True
            else:
                marks.failed = True
            self._tell(marks)

    def _carry(self, tag: Tag, now: float) -> None:
        """An answer of which a filler was heard is given up for another."""
        marks, answer = self._of(tag), self._answer(tag)
        if marks is not None and answer is not None and answer.dropped is None:
            answer.dropped = now
            marks.count("wasted_tokens", answer.tokens)
            marks.count("wasted_audio_ms", round(answer.audio_ms, 1))

    def _release(
        self,
        tag: Tag,
        text: str,
        user_stopped: float,
        now: float,
        state: State,
        event: turn.Event | PlayoutEvent,
    ) -> None:
        again = self._decided
        if again is not None and tag in again.answers:
            reason: Any = "late final" if isinstance(event, turn.Heard) else "failed"
            again.ended, again.failed = None, False
            again.releases.append(Release(tag, now, reason))
            self._note(again, "retry", now, revision=tag.revision, why=reason)
            again.answers[tag].released = now
            again.user_text = text
            self._tell(again)
            return
        marks = self._opened()
        answer = marks.answers.setdefault(tag, Answer(tag, now))
        marks.number, marks.zero, marks.user_text = tag.turn, user_stopped, text
        answer.released = now
        if marks.kind == "spoken" and marks.closing is None:
            marks.closing = _closing(event, state)
        self._decide(marks, Release(tag, now, "decided"), now)
        if answer.asked < now:
            marks.count("hits")
            ahead_ms = round(now - answer.asked, 1)
            self._note(marks, "speculation.hit", now, revision=tag.revision, ahead_ms=ahead_ms)
        self._note(marks, "release", now, revision=tag.revision)

    def _greet(self, tag: Tag, now: float) -> None:
        marks = self._opened()
        marks.kind, marks.number, marks.zero = "greeting", tag.turn, now
        marks.answers[tag] = Answer(tag, now, said=True, released=now)
        self._decide(marks, Release(tag, now, "decided"), now)

    def _apologise(self, tag: Tag, now: float) -> None:
        marks = self._decided
        if marks is None:
            return
        marks.answers[tag] = Answer(tag, now, said=True, released=now)
        marks.releases.append(Release(tag, now, "apology"))
        marks.ended, marks.failed = None, True
        self._note(marks, "apology", now)
        self._tell(marks)

    def _decide(self, marks: Marks, release: Release, now: float) -> None:
        """The open turn is decided; whatever was decided before it is over."""
        if self._decided is not None and not self._decided.over:
            self._decided.ended = now
            self._tell(self._decided)
        for name, value in self._leftover.items():
            marks.count(name, value)
        self._leftover = {}
        marks.releases.append(release)
        self._decided, self._open = marks, None
        self._tell(marks)

    def _retract(self, tag: Tag, now: float) -> None:
        marks = self._decided
        if marks is None or tag not in marks.answers or marks.over:
            return
        later, self._open, self._decided = self._open, marks, None
        marks.answers[tag].released = None
        marks.releases.clear()
        if marks.figures.get("hits"):
            marks.count("hits", -1)
        self._note(marks, "retract", now, revision=tag.revision)
        if later is not None:
            marks.voices += later.voices
            marks.events += later.events

    def _overlap(
        self,
        action: turn.Duck | turn.Hush | turn.Unduck | turn.Stop | turn.Resume,
        now: float,
        state: State,
    ) -> None:
        marks = self._decided
        match action:
            case turn.Duck():
                name = "duck"
            case turn.Hush():
                name = "hush"
            case turn.Unduck(said):
                name = "unduck"
                self._close_open()
                if marks is not None:
                    marks.count("backchannels" if said else "noises")
            case turn.Stop():
                name = "barge_in"
                if marks is not None:
                    marks.stopped = now
            case turn.Resume():
                name = "resume"
                self._close_open()
                if marks is not None:
                    marks.stopped = None
        if marks is None:
            return
        attributes: dict[str, Any] = {}
        if name in ("duck", "hush", "barge_in") and state.user is not User.QUIET:
            attributes["voice_ms"] = round(now - state.voice_at, 1)
        self._note(marks, name, now, **attributes)
        if name == "barge_in":
            marks.figures["barge_in_ms"] = attributes.get("voice_ms", 0.0)
        self._tell(marks)

    # ----- within -----

    def _tell(self, marks: Marks) -> None:
        if marks not in self._changed:
            self._changed.append(marks)

    def _told(self, now: float) -> list[Turn]:
        changed, self._changed = self._changed, []
        return [self._turn(marks, now) for marks in changed if marks.releases]

    def _opened(self) -> Marks:
        if self._open is None:
            self._open = Marks()
        return self._open

    def _close_open(self) -> None:
        """What was open is no turn; its guesses cost something all the same."""
        marks, self._open = self._open, None
        if marks is None:
            return
        for answer in marks.answers.values():
            if answer.dropped is None:
                marks.count("misses")
                marks.count("wasted_tokens", answer.tokens)
                marks.count("wasted_audio_ms", round(answer.audio_ms, 1))
        for name, value in marks.figures.items():
            self._leftover[name] = self._leftover.get(name, 0.0) + value

    def _of(self, tag: Tag) -> Marks | None:
        for marks in (self._open, self._decided):
            if marks is not None and tag in marks.answers:
                return marks
        return None

    def _answer(self, tag: Tag) -> Answer | None:
        marks = self._of(tag)
        return marks.answers[tag] if marks is not None else None

    def _call(self, tag: Tag, call: str) -> Call | None:
        answer = self._answer(tag)
        return answer.calls.get(call) if answer is not None else None

    def _current(self) -> Marks | None:
        if self._decided is not None and not self._decided.over:
            return self._decided
        return self._open or self._decided

    @staticmethod
    def _is_answer(marks: Marks, tag: Tag) -> bool:
        return bool(marks.releases) and marks.releases[-1].tag == tag

    def _note(self, marks: Marks, name: str, at: float, **attributes: Any) -> None:
        if len(marks.events) < EVENTS_MAX:
            marks.note(name, at, **attributes)

    def _turn(self, marks: Marks, now: float) -> Turn:
        origin = self._origin
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
            segments=segments(marks, self._settings),
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


def _closing(event: turn.Event | PlayoutEvent, state: State) -> Closing:
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
