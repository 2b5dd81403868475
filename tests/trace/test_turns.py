"""A turn's latency: contiguous named segments that add up, and what guesses cost."""

from __future__ import annotations

import pytest

from voice_agent.trace.turns import Guesses, TurnClock, TurnLatency
from voice_agent.turns.events import Drop, Release, Speculate, Tag, Tick
from voice_agent.turns.playout import FirstSound
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import State, User

QUIET = State(TurnSettings())
CLOSING = State(TurnSettings(), user=User.CLOSING)
TAG = Tag(1, 1)


def turn(
    *,
    asked: float,
    closing: float | None,
    released: float,
    token: float,
    audio: float,
    sound: float,
) -> TurnLatency:
    """One turn whose voice ended at 1000."""
    clock = TurnClock(lambda tag: 0.0)
    marks = [
        (asked, lambda: clock.event(asked, Tick(), (Speculate(TAG, "hi"),), QUIET)),
        (token, lambda: clock.token(TAG, token)),
        (audio, lambda: clock.first_audio(TAG, audio)),
        (released, lambda: clock.event(released, Tick(), (Release(TAG, "hi", 1000),), QUIET)),
    ]
    if closing is not None:
        marks.append((closing, lambda: clock.event(closing, Tick(), (), CLOSING)))
    for _, happen in sorted(marks, key=lambda mark: mark[0]):
        happen()
    latency = clock.event(sound, FirstSound(TAG), (), QUIET)
    assert latency is not None
    return latency


def parts(latency: TurnLatency) -> dict[str, float]:
    return {segment.name: segment.ms for segment in latency.segments}


def test_everything_that_was_ready_before_the_decision_costs_nothing() -> None:
    """An answer made on a guess: the user waited for the decision alone."""
    latency = turn(asked=900, closing=1130, released=1150, token=1020, audio=1100, sound=1152)
    assert parts(latency) == {"endpoint": 130, "asr_final": 20, "playout": 2}
    assert latency.guessed


def test_what_comes_after_the_decision_is_waited_for_stage_by_stage() -> None:
    """Each stage holds only what it added."""
    latency = turn(asked=1150, closing=1130, released=1150, token=1270, audio=1400, sound=1403)
    assert parts(latency) == {
        "endpoint": 130,
        "asr_final": 20,
        "llm_first_token": 120,
        "tts_first_audio": 130,
        "playout": 3,
    }
    assert not latency.guessed


@pytest.mark.parametrize("shift", [-400, -150, -60, 0, 80])
def test_segments_always_add_up(shift: float) -> None:
    """Whatever overlapped with what, the sum is the latency."""
    latency = turn(
        asked=1060 + shift,
        closing=1130,
        released=1140,
        token=1180 + shift,
        audio=1280 + shift,
        sound=max(1142, 1282 + shift),
    )
    assert sum(segment.ms for segment in latency.segments) == pytest.approx(latency.v2v_ms)


def test_an_answer_that_was_dropped_is_counted_with_what_it_cost() -> None:
    """Tokens and audio nobody heard."""
    clock = TurnClock(lambda tag: 480.0)
    clock.event(900, Tick(), (Speculate(TAG, "a table"),), QUIET)
    clock.token(TAG, 1000)
    clock.token(TAG, 1010)
    clock.event(1020, Tick(), (Drop(TAG),), QUIET)
    right = Tag(1, 2)
    clock.event(1100, Tick(), (Speculate(right, "a table for two"),), QUIET)
    clock.event(1200, Tick(), (Release(right, "a table for two", 1050),), QUIET)
    latency = clock.event(1300, FirstSound(right), (), QUIET)
    assert latency is not None
    assert latency.guesses == Guesses(1, 1, 2, 480.0)
