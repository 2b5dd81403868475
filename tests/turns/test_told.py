"""What a client may decide for itself: the end of a turn, whether it is answered, and silence."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.turns.talking import Talk, answering, said
from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Audible,
    Cleared,
    Committed,
    Configured,
    Correct,
    Drop,
    Ended,
    Event,
    Finalize,
    Heard,
    NoTurn,
    Release,
    Remember,
    Resume,
    Silenced,
    Speculate,
    Stop,
    Typed,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, User

MANUAL = Configured(
    TurnSettings(barge_in=False, final_wait_ms=30_000), decides=False, answers=False
)
SILENT = Configured(TurnSettings(), answers=False)


# ----- the client says when a turn ends -----


def test_a_turn_that_the_client_ends_waits_for_no_silence() -> None:
    """Commit in mid-voice: the final is asked for, and the turn is decided with it."""
    talk = Talk().at(60, VoiceStarted(0)).at(900, Heard("my name is", False, 0.05))
    talk.at(1000, Committed()).at(1030, Heard("my name is ann", True, 0.9))
    assert talk.when(Release) == 1030
    assert talk.actions(Release)[0].text == "my name is ann"


def test_without_deciding_no_silence_ends_a_turn() -> None:
    """Push to talk: however long the pause, the turn goes on until the client says so."""
    talk = Talk().at(0, MANUAL).at(60, VoiceStarted(0)).at(500, Heard("a table for", False, 0.9))
    talk.at(1064, VoiceStopped(1000)).until(70_000)
    assert talk.actions(Finalize) == talk.actions(Speculate) == talk.actions(Remember) == []
    talk.at(70_000, Committed()).at(71_000, Heard("a table for two", True, 0.9))
    assert talk.actions(Remember) == [Remember(1, "a table for two", 1000)]
    assert talk.state.user is User.QUIET


def test_audio_sent_at_once_is_waited_for_until_it_is_recognised() -> None:
    """A recording committed as a whole: recognition may take its time."""
    talk = Talk().at(0, MANUAL).at(10, Committed()).until(9000)
    assert talk.actions(NoTurn) == []
    talk.at(9000, Heard("what time do you open", True, 0.9))
    assert [r.text for r in talk.actions(Remember)] == ["what time do you open"]


def test_a_commit_without_words_is_no_turn() -> None:
    """Silence was committed: nothing is remembered."""
    talk = Talk().at(0, MANUAL).at(10, Committed()).at(40, Heard("", True))
    assert talk.actions(NoTurn) == [NoTurn()]
    assert talk.state.turn == 0


def test_a_turn_can_be_committed_while_the_agent_speaks() -> None:
    """Half-duplex clients send their audio whenever they like; it interrupts nothing."""
    talk = Talk().at(0, MANUAL).at(100, Typed("hello"))
    talk.at(400, Audible(talk.answer)).at(500, VoiceStarted(450))
    talk.at(900, Committed()).at(950, Heard("and tomorrow", True, 0.9))
    assert [r.text for r in talk.actions(Remember)] == ["and tomorrow"]
    assert talk.state.agent is Agent.SPEAKING
    assert talk.actions(Stop) == []


def test_cleared_audio_leaves_nothing_behind() -> None:
    """What was said before the clear is forgotten, its late final included."""
    talk = Talk().at(60, VoiceStarted(0)).at(700, Heard("what time do you open", False, 0.95))
    talk.until(1000).at(1000, Cleared()).at(1040, Heard("what time do you open", True, 0.95))
    talk.until(5000)
    assert talk.actions(Release) == []
    assert talk.actions(Drop) == [Drop(talk.actions(Speculate)[0].tag)]
    talk.at(6060, VoiceStarted(6000)).at(6500, Heard("never mind", False, 0.9))
    talk.at(6664, VoiceStopped(6600)).at(6730, Heard("never mind", True, 0.9)).until(9000)
    assert [r.text for r in talk.actions(Release)] == ["never mind"]


# ----- the client says what is answered -----


def test_a_turn_nobody_is_to_answer_is_remembered() -> None:
    """Decided as ever, by evidence; no answer is started, not even on a guess."""
    talk = said("what time do you open", 0.97)
    quiet = Talk().at(0, SILENT).at(60, VoiceStarted(0))
    quiet.at(900, Heard("what time do you open", False, 0.97)).at(1064, VoiceStopped(1000))
    quiet.at(1130, Heard("what time do you open", True, 0.97)).until(5000)
    assert quiet.actions(Speculate) == []
    assert quiet.actions(Remember) == [Remember(1, "what time do you open", 1000)]
    assert quiet.when(Remember) == talk.until(5000).when(Release)


def test_what_is_remembered_is_answered_when_asked_for() -> None:
    """An empty typed turn is an answer to what is known."""
    talk = Talk().at(0, SILENT).at(60, VoiceStarted(0)).at(900, Heard("hello there", False, 0.97))
    talk.at(1064, VoiceStopped(1000)).at(1130, Heard("hello there", True, 0.97)).until(3000)
    talk.at(3000, Typed(""))
    assert talk.actions(Release) == [Release(talk.answer, "", 3000)]
    assert talk.answer.turn == 2


def test_a_late_final_corrects_what_was_remembered() -> None:
    """The words of a decided turn get better without becoming another turn."""
    talk = Talk().at(0, SILENT).at(60, VoiceStarted(0)).at(900, Heard("hello then", False, 0.97))
    talk.at(1064, VoiceStopped(1000)).until(2000)
    talk.at(2010, Heard("hello there", True, 0.97)).until(4000)
    assert talk.actions(Remember) == [Remember(1, "hello then", 1000)]
    assert talk.actions(Correct) == [Correct(1, "hello there")]


def test_an_interruption_ends_the_answer_even_if_it_is_not_answered() -> None:
    """Yielding and answering are two things."""
    talk = answering().at(1900, replace(SILENT))
    talk.at(2060, VoiceStarted(2000)).at(2300, Heard("no wait on monday", False, 0.95))
    talk.at(3064, VoiceStopped(3000)).at(3130, Heard("no wait on monday", True, 0.95)).until(5000)
    assert len(talk.actions(Stop)) == 1
    assert [r.text for r in talk.actions(Remember)] == ["no wait on monday"]
    assert talk.state.agent is Agent.IDLE


# ----- the client wants silence -----


def test_an_answer_that_is_heard_is_stopped_and_nothing_takes_its_place() -> None:
    """Cancelled: what was heard stays, the agent is idle, and the answer is never resumed."""
    talk = answering()
    answer = talk.answer
    talk.at(2000, Silenced()).until(9000)
    assert talk.actions(Stop) == [Stop(answer)]
    assert talk.actions(Resume) == []
    assert talk.state.agent is Agent.IDLE


def test_an_answer_that_is_not_heard_yet_is_dropped() -> None:
    """Cancelled before the first sound: the turn stays, its answer does not come."""
    talk = said("what time do you open", 0.97).until(1250)
    answer = talk.answer
    talk.at(1260, Silenced()).until(20_000)
    assert talk.actions(Drop) == [Drop(answer)]
    assert talk.state.agent is Agent.IDLE
    assert len(talk.actions(Release)) == 1


def test_a_user_who_speaks_meanwhile_is_not_silenced() -> None:
    """The turn that was opened over the answer goes on."""
    talk = answering().at(2060, VoiceStarted(2000)).at(2100, Silenced())
    talk.at(2500, Heard("what about monday", False, 0.95)).at(2864, VoiceStopped(2800))
    talk.at(2930, Heard("what about monday", True, 0.95)).until(5000)
    assert talk.actions(Release)[-1].text == "what about monday"


# ----- after any order of events -----

_EVENTS = st.sampled_from(
    [
        "started",
        "stopped",
        "audible",
        "ended",
        Committed(),
        Cleared(),
        Silenced(),
        MANUAL,
        SILENT,
        Configured(TurnSettings()),
        Typed(""),
        Heard("yes", False, 0.9),
        Heard("what time do you open", True, 0.9),
        Heard("", True),
    ]
)


def _event(kind: str | Event, talk: Talk) -> Event:
    answer = talk.state.answer
    match kind:
        case "started":
            return VoiceStarted(talk.now - 60)
        case "stopped":
            return VoiceStopped(talk.now - 64)
        case "audible" if answer is not None:
            return Audible(answer)
        case "ended" if answer is not None:
            return Ended(answer)
        case str():
            return Silenced()
        case _:
            return kind


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 900), _EVENTS), max_size=40))
def test_whatever_the_client_says_nothing_is_left_waiting(
    happenings: list[tuple[float, str | Event]],
) -> None:
    """A commit is always settled, an idle agent has no answer, and nothing cancelled is heard."""
    talk = Talk()
    for pause, kind in happenings:
        talk.at(talk.now + pause, _event(kind, talk))
        state = talk.state
        assert (state.answer is None) == (state.agent is Agent.IDLE)
        if state.user is User.CLOSING and state.agent in (Agent.IDLE, Agent.STOPPED):
            assert wake_at(state, talk.now) is not None
        if state.agent is Agent.DUCKED:
            assert state.settings.barge_in
    gone = set()
    for _, action in talk.record:
        match action:
            case Drop(tag) | Stop(tag):
                gone.add(tag)
            case Release(tag, _, _):
                assert tag not in gone
            case Remember(turn, text, _):
                assert text
                assert turn > 0
            case _:
                pass
    talk.until(talk.now + 40_000)
    assert talk.state.user is not User.CLOSING or talk.state.agent is Agent.SPEAKING
