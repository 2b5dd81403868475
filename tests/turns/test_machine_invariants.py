"""The turn machine: what holds after any order of events."""

from __future__ import annotations

from hypothesis import given, settings

from tests.turns.happenings import event
from tests.turns.happenings import happenings as drawn_happenings
from tests.turns.happenings import remedies as drawn_remedies
from tests.turns.talking import Talk
from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Apologise,
    Audible,
    Carry,
    Drop,
    Ended,
    Fill,
    Finalize,
    Greet,
    Heard,
    Release,
    Resume,
    Retract,
    Revoice,
    Speculate,
    Stop,
    Tag,
    VoiceStopped,
)
from voice_agent.turns.late import waiting
from voice_agent.turns.state import Agent, Remedies, User


@settings(max_examples=400, deadline=None)
@given(drawn_happenings(), drawn_remedies)
def test_invariants_hold_after_any_order_of_events(
    happenings: list[tuple[float, object]], remedies: Remedies
) -> None:
    """One audible answer a turn, nothing unconfirmed heard, nobody left waiting."""
    talk = Talk(remedies=remedies)
    for pause, kind in happenings:
        talk.until(talk.now + pause)
        before = len(talk.record)
        talk.at(talk.now, event(kind, talk))
        state = talk.state
        # No dead air: whatever is owed has a timer.
        open_turn = state.user in (User.PAUSING, User.CLOSING)
        judged = state.agent in (Agent.IDLE, Agent.STOPPED, Agent.DUCKED)
        if waiting(state) or (open_turn and judged) or state.user is User.SPEAKING:
            assert wake_at(state, talk.now) is not None, state
        # What speaks, is owed or was cut off has a name; what is idle has none.
        assert (state.answer is None) == (state.agent is Agent.IDLE)
        assert len(talk.record) - before < 12

    started: set[Tag] = set()
    released: dict[int, Tag] = {}
    gone: set[Tag] = set()
    filled: dict[int, Tag] = {}
    fillers = 0
    for _, action in talk.record:
        match action:
            case Fill(tag, number):
                assert released[tag.turn] == tag
                # Never twice in a row, and one a turn at most.
                assert tag.turn not in filled
                assert tag.turn - 1 not in filled
                assert number == fillers
                filled[tag.turn] = tag
                fillers += 1
            case Carry(tag, again):
                assert released[tag.turn] == tag == filled[tag.turn]
                assert again.turn == tag.turn
                filled[tag.turn] = again
                gone.add(tag)
            case Revoice(tag):
                assert released[tag.turn] == tag
            case Speculate(tag, text, _):
                assert text
                assert tag not in started
                started.add(tag)
            case Greet(tag) | Apologise(tag):
                started.add(tag)
            case Release(tag, text, _):
                assert text
                assert tag in started
                assert tag not in gone
                assert released.get(tag.turn) in (None, tag) or released[tag.turn] in gone
                released[tag.turn] = tag
            case Retract(tag):
                assert released.pop(tag.turn) == tag
                if filled.get(tag.turn) == tag:
                    del filled[tag.turn]  # nothing of it was heard
            case Drop(tag):
                assert tag in started
                gone.add(tag)
                if filled.get(tag.turn) == tag:
                    del filled[tag.turn]
            case Stop(tag) | Resume(tag):
                assert tag in started
            case _:
                pass


@settings(max_examples=150, deadline=None)
@given(drawn_happenings())
def test_left_alone_everything_comes_to_rest(happenings: list[tuple[float, object]]) -> None:
    """Once the user is silent and engines answer, both sides are quiet within bounded time."""
    talk = Talk()
    for pause, kind in happenings:
        talk.at(talk.now + pause, event(kind, talk))
    talk.at(talk.now + 10, VoiceStopped(talk.now))
    for _ in range(40):
        talk.until(talk.now + 500)
        if talk.actions(Finalize) and talk.state.finals_owed:
            talk.at(talk.now, Heard("", True))
        if talk.state.agent is Agent.OWING:
            talk.at(talk.now, Audible(talk.answer))
        elif talk.state.agent is Agent.SPEAKING:
            talk.at(talk.now, Ended(talk.answer))
    assert talk.state.user is User.QUIET
    assert talk.state.agent is Agent.IDLE
