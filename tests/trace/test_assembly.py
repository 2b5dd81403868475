"""Turns put together: what each becomes, what it carries, and what holds in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trace.talk import ORIGIN, Talk
from tests.turns.happenings import event as drawn_event
from tests.turns.happenings import happenings as drawn_happenings
from voice_agent.trace.assembly import Assembly
from voice_agent.trace.model import Turn
from voice_agent.turns import events as turn_events
from voice_agent.turns.events import (
    AskSound,
    Correct,
    Drop,
    Duck,
    Finalize,
    Greet,
    Greeting,
    Heard,
    Hush,
    NoTurn,
    Release,
    Resume,
    Retract,
    SoundScore,
    Speculate,
    Stop,
    Tag,
    Tick,
    Typed,
    Unduck,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.playout import FirstSound, OwnSound, PlayedOut, Underrun, WordsPlayed
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User

QUESTION = "what time do you open"


def names(turn: Turn) -> list[str]:
    return [event.name for event in turn.events]


def answering(**origin: Any) -> Talk:
    """A spoken question whose answer began to be heard at 1150."""
    talk = Talk(origin=replace(ORIGIN, **origin))
    talk.says(QUESTION, 0.95, until=1000).thinks(token=1080, clause=1090, audio=1120)
    talk.at(1125, Heard(QUESTION, True, 0.95)).until(1131)
    return talk.played(1150, FirstSound(talk.tag))


def test_a_turn_is_told_when_it_is_decided_when_it_is_heard_and_when_it_is_over() -> None:
    """The same id each time, so that whoever keeps it replaces what it had."""
    talk = answering().played(3000, PlayedOut(Tag(1, 1), "at noon"))
    assert [(t.id, t.kind, t.v2v_ms) for t in talk.told] == [
        ("s-1", "open", None),
        ("s-1", "open", 150.0),
        ("s-1", "answered", 150.0),
    ]
    assert [t.ended_ms for t in talk.told] == [None, None, 2000.0]
    assert talk.turn.started_at == 1_000_001.0


def test_a_guess_that_was_right_ran_ahead_of_the_decision() -> None:
    """Spans begin before the zero point, marked as speculation that hit."""
    talk = answering().played(3000, PlayedOut(Tag(1, 1), "at noon"))
    spans = {span.name: span for span in talk.turn.spans}
    assert (spans["llm"].speculative, spans["llm"].outcome) == (True, "hit")
    assert spans["tts"].outcome == "hit"
    assert spans["user"].start_ms == -500.0
    assert (spans["agent"].start_ms, spans["agent"].end_ms) == (150.0, 2000.0)
    assert names(talk.turn) == [
        "partial",
        "speculation.start",
        "final",
        "speculation.hit",
        "release",
        "first_sound",
        "played_out",
    ]


def test_guesses_that_were_wrong_are_counted_with_what_they_cost() -> None:
    """Tokens and audio nobody heard, in the turn that was decided in the end."""
    talk = Talk().says("a table", 0.95, until=1000).thinks(token=1080, clause=1090, audio=1100)
    wrong = talk.tag
    talk.at(1110, VoiceStarted(1105)).at(1500, Heard("a table for two", False, 0.95))
    talk.at(1660, VoiceStopped(1600)).at(1700, Heard("a table for two", True, 0.95))
    talk.at(1701, Heard("", True, 0.95))  # two finals were asked for
    talk.thinks(token=1790, clause=1795, audio=1799).played(1800, FirstSound(talk.tag))
    assert talk.tag != wrong
    assert talk.turn.figures["misses"] == 1
    assert talk.turn.figures["wasted_tokens"] == 2
    assert talk.turn.figures["wasted_audio_ms"] == 400.0
    assert [s.outcome for s in talk.turn.spans if s.name == "llm"] == ["miss", "hit"]
    assert talk.turn.revision == talk.tag.revision


def test_what_a_sound_that_was_no_turn_wasted_is_counted_with_the_next_turn() -> None:
    """A cough opens nothing, and its cost is not lost."""
    talk = Talk(TurnSettings(sound_model=False, speculate_silence_ms=0))
    talk.at(100, VoiceStarted(80)).at(200, Heard("uh", False, 0.9)).at(260, VoiceStopped(200))
    assert talk.tag == Tag(1, 1)
    talk.at(300, Heard("", False, None)).until(3000)
    talk.at(4000, Typed("hello")).played(4100, FirstSound(talk.tag))
    assert talk.turn.figures["misses"] == 1
    assert "partial" not in names(talk.turn)


def test_an_interrupted_turn_says_so_and_when() -> None:
    """Ducked, hushed, stopped; the words that did it belong to the next turn."""
    talk = answering().at(2000, VoiceStarted(1950)).at(2400, Heard("wait stop", False, 0.9))
    assert talk.turns["s-1"].kind == "interrupted"
    assert names(talk.turns["s-1"])[-3:] == ["duck", "hush", "barge_in"]
    assert talk.turns["s-1"].figures["barge_in_ms"] == pytest.approx(450, abs=1)
    talk.at(2600, VoiceStopped(2500)).at(2650, Heard("wait stop", True, 0.9)).until(2700)
    assert talk.turns["s-1"].ended_ms is not None
    assert talk.turns["s-2"].kind == "open"


def test_an_interruption_that_meant_nothing_leaves_the_turn_answered() -> None:
    """Stopped, resumed, heard to its end."""
    talk = answering().at(2000, VoiceStarted(1950)).until(2700)
    assert talk.turns["s-1"].kind == "interrupted"
    talk.at(2760, VoiceStopped(2700)).until(6000)
    talk.played(7000, PlayedOut(Tag(1, 1), "at noon"))
    assert talk.turns["s-1"].kind == "answered"
    assert names(talk.turns["s-1"])[-4:] == ["hush", "barge_in", "resume", "played_out"]


def test_a_backchannel_is_an_event_of_the_answer_it_was_heard_over() -> None:
    """No turn of its own."""
    talk = answering().at(2000, VoiceStarted(1950)).at(2100, Heard("mm-hm", False, 0.9))
    talk.at(2200, VoiceStopped(2150)).at(2300, Heard("mm-hm", True, 0.9)).until(2500)
    talk.played(3000, PlayedOut(Tag(1, 1), "at noon"))
    assert names(talk.turn)[-3:] == ["duck", "unduck", "played_out"]
    assert talk.turn.figures["backchannels"] == 1
    assert set(talk.turns) == {"s-1"}


def test_a_turn_taken_back_is_one_turn() -> None:
    """The user went on before anything was heard: decided twice, told as one."""
    talk = Talk().says(QUESTION, 0.95, until=1000).at(1125, Heard(QUESTION, True, 0.95))
    talk.until(1140).at(1200, VoiceStarted(1150)).at(1300, Heard("on sunday", False, 0.95))
    talk.at(1560, VoiceStopped(1500)).at(1600, Heard("on sunday", True, 0.95)).until(1700)
    talk.thinks(token=1710, clause=1711, audio=1712).played(1713, FirstSound(talk.tag))
    assert set(talk.turns) == {"s-1"}
    assert "retract" in names(talk.turn)
    assert talk.turn.v2v_ms == pytest.approx(213.0)
    assert talk.turn.figures["misses"] == 1


@pytest.mark.parametrize(
    ("event", "kind"),
    [(Greeting(), "greeting"), (Typed("hello"), "typed")],
)
def test_what_nobody_spoke_for_is_labelled(event: Any, kind: str) -> None:
    """Greetings and typed turns have a latency, and are kept apart."""
    talk = Talk().at(1000, event)
    answer = talk.state.answer
    assert answer is not None
    talk.assembly.work.clause(answer, 1010)
    talk.assembly.work.audio(answer, 1050, 300)
    talk.played(1051, FirstSound(answer)).played(2000, PlayedOut(answer, "hi"))
    assert talk.turn.kind == kind
    assert talk.turn.v2v_ms == pytest.approx(51.0)
    assert sum(s.ms for s in talk.turn.segments) == pytest.approx(51.0)


def test_a_turn_nobody_could_answer_is_failed_with_its_apology() -> None:
    """The apology is what was heard; every attempt is in the segments."""
    talk = Talk().at(1000, Typed("hello"))
    for at in (1400, 1800):
        talk.at(at, turn_events.Failed(talk.state.answer or Tag(9, 9)))
    answer = talk.state.answer
    assert answer is not None
    talk.assembly.work.audio(answer, 1850, 300)
    talk.played(1860, FirstSound(answer)).played(3000, PlayedOut(answer, "sorry"))
    assert talk.turn.kind == "failed"
    assert "apology" in names(talk.turn)
    assert talk.turn.v2v_ms == 860.0
    assert sum(s.ms for s in talk.turn.segments) == pytest.approx(860.0)


def test_a_caller_who_hangs_up_before_the_answer_leaves_a_trace() -> None:
    """Nothing is lost with them."""
    talk = Talk().at(1000, Typed("hello"))
    talk.tell(talk.assembly.end(1200, failed=False))
    assert (talk.turn.kind, talk.turn.v2v_ms) == ("interrupted", None)
    assert names(talk.turn)[-1] == "hung_up"


def test_words_are_kept_only_where_transcripts_are() -> None:
    """Without them nothing in a turn says what anybody said."""
    for transcripts in (False, True):
        talk = answering(transcripts=transcripts)
        talk.assembly.work.llm_token(talk.tag, 1160, "At noon.")
        talk.played(1200, WordsPlayed(talk.tag, "At noon."))
        talk.played(3000, PlayedOut(talk.tag, "At noon."))
        said = talk.turn.to_json().decode()
        assert (QUESTION in said) is transcripts
        assert ("noon" in said) is transcripts
    assert talk.turn.words is not None
    assert (talk.turn.words.user, talk.turn.words.heard) == (QUESTION, "At noon.")


def test_what_else_happened_can_be_noted() -> None:
    """A filler or a fallback, by whoever did it."""
    talk = answering()
    talk.tell(talk.assembly.note("filler", 1160, after_ms=700.0))
    assert names(talk.turn)[-1] == "filler"
    assert talk.turn.events[-1].attributes == {"after_ms": 700.0}


# ----- in any order -----


def holds(turn: Turn) -> None:
    assert Turn.from_json(turn.to_json()) == turn
    assert turn.verdict is None
    if turn.v2v_ms is None:
        assert turn.segments == ()
        return
    cursor = 0.0
    for segment in turn.segments:
        assert segment.start_ms == pytest.approx(cursor, abs=0.01)
        assert segment.ms > 0
        assert segment.cause
        cursor = segment.start_ms + segment.ms
    assert cursor == pytest.approx(turn.v2v_ms, abs=0.05)
    for span in turn.spans:
        assert span.end_ms >= span.start_ms


_services = st.lists(
    st.tuples(
        st.sampled_from(["began", "token", "ended", "clause", "audio", "synthesized", "tool"]),
        st.integers(0, 2),
    ),
    max_size=4,
)
_played = st.sampled_from([None, FirstSound, WordsPlayed, PlayedOut, Underrun])


def serve(talk: Talk, what: str, tag: Tag) -> None:
    trace, now = talk.assembly, talk.now
    match what:
        case "began":
            trace.work.llm_began(tag, now)
        case "token":
            trace.work.llm_token(tag, now, "word ")
        case "ended":
            trace.work.llm_ended(tag, now)
        case "clause":
            trace.work.clause(tag, now)
        case "audio":
            trace.work.audio(tag, now, 20.0)
        case "synthesized":
            trace.work.synthesized(tag, now)
        case _:
            trace.work.tool_began(tag, "c", "tool", now, read_only=False)
            trace.work.tool_ended(tag, "c", now + 3)


@settings(max_examples=300, deadline=None)
@given(drawn_happenings(), st.lists(st.tuples(_services, _played), max_size=40))
def test_segments_add_up_in_any_conversation(happenings: Any, beside: Any) -> None:
    """Whatever the machine, the services and the caller do, and in which order."""
    talk = Talk()
    talk.record = []  # type: ignore[attr-defined]
    for number, (pause, kind) in enumerate(happenings):
        talk.at(talk.now + pause, drawn_event(kind, talk))  # type: ignore[arg-type]
        services, played = beside[number] if number < len(beside) else ((), None)
        answers = [a.tag for a in talk.actions if isinstance(a, Speculate | Greet)][-3:]
        for what, which in services:
            if answers:
                serve(talk, what, answers[which % len(answers)])
        if played is not None and talk.state.answer is not None:
            arguments = {FirstSound: (0.0,), WordsPlayed: ("so",), PlayedOut: ("so",)}
            event = played(talk.state.answer, *arguments.get(played, (80,)))
            talk.played(talk.now, event)
    talk.tell(talk.assembly.end(talk.now, failed=False))
    for turn in talk.told:
        holds(turn)


_tag = st.tuples(st.integers(0, 2), st.integers(0, 3)).map(lambda pair: Tag(*pair))
_time = st.floats(0, 5000)
_any_event = st.one_of(
    st.builds(VoiceStarted, _time),
    st.builds(VoiceStopped, _time),
    st.builds(Heard, st.sampled_from(["", "a b"]), st.booleans(), st.none() | st.floats(0, 1)),
    st.builds(SoundScore, _time, st.floats(0, 1)),
    st.builds(Typed, st.just("hi")),
    st.just(Greeting()),
    st.just(Tick()),
    st.just(turn_events.Committed()),
    st.just(turn_events.Cleared()),
    st.just(turn_events.Silenced()),
    st.builds(turn_events.Failed, _tag),
    st.builds(FirstSound, _tag, st.floats(0, 100)),
    st.builds(OwnSound, _tag),
    st.builds(WordsPlayed, _tag, st.just("so")),
    st.builds(PlayedOut, _tag, st.just("so")),
    st.builds(Underrun, _tag, st.integers(0, 100)),
)
_any_action = st.one_of(
    st.builds(AskSound, _time),
    st.just(Finalize()),
    st.builds(Greet, _tag),
    st.builds(Speculate, _tag, st.just("hi")),
    st.builds(Drop, _tag),
    st.builds(Release, _tag, st.just("hi"), _time),
    st.builds(Retract, _tag),
    st.builds(Correct, st.integers(0, 2), st.just("ho")),
    st.just(Duck()),
    st.just(Hush()),
    st.builds(Unduck, st.just("mm")),
    st.builds(Stop, _tag),
    st.builds(Resume, _tag),
    st.just(NoTurn()),
    st.builds(turn_events.Remember, st.integers(0, 2), st.just("hi"), _time),
    st.builds(turn_events.Apologise, _tag),
    st.builds(turn_events.Fill, _tag, st.just(0)),
    st.builds(turn_events.Carry, _tag, _tag),
    st.builds(turn_events.Revoice, _tag),
)
_any_state = st.builds(
    State,
    st.just(TurnSettings()),
    user=st.sampled_from(User),
    agent=st.sampled_from(Agent),
    quiet_at=_time,
    closing_at=_time,
    voice_at=_time,
    words_p=st.none() | st.floats(0, 1),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(_time, _any_event, st.lists(_any_action, max_size=3), _any_state, _services),
        max_size=30,
    )
)
def test_nothing_raises_and_everything_adds_up_whatever_it_is_told(steps: Any) -> None:
    """Even what no machine would ever decide, at times that run backwards."""
    talk = Talk()
    assembly = talk.assembly = Assembly(ORIGIN)
    for now, event, actions, state, services in steps:
        talk.now = now
        talk.tell(assembly.event(now, event, actions, state))
        for what, which in services:
            serve(talk, what, Tag(1, which))
        talk.tell(assembly.note("filler", now))
    talk.tell(assembly.end(6000, failed=True))
    for turn in talk.told:
        holds(turn)
