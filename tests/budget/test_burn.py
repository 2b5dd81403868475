"""The burn rate: how fast turns are missed, over sliding windows, on a clock of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.budget.test_verdict import a_turn
from voice_agent.budget.burn import BurnRate
from voice_agent.budget.objective import Objective
from voice_agent.budget.settings import BudgetSettings, Window
from voice_agent.trace.model import Verdict

FAST = Window(long_s=300, short_s=30, burn_rate=6)
OK, MISSED = Verdict("ok"), Verdict("missed", "llm_first_token")


def burn(target: float = 0.95, *, min_turns: int = 10) -> BurnRate:
    return BurnRate(target, [FAST], min_turns)


def turns(rate: BurnRate, start: float, count: int, *, missed: bool) -> float:
    """One turn a second from ``start`` on; returns when the last one was."""
    for second in range(count):
        rate.note(start + second, missed=missed)
    return start + count - 1


def test_a_burn_rate_of_one_spends_the_budget_exactly() -> None:
    """One turn in twenty at a target of 95 %."""
    rate = burn()
    for second in range(100):
        rate.note(float(second), missed=second % 20 == 0)
    assert rate.rates(99)[-1].burn_rate == pytest.approx(1.0)
    assert not rate.burning(99)


def test_every_turn_missed_burns() -> None:
    """Twenty times as fast as allowed, in both windows."""
    rate = burn()
    now = turns(rate, 0, 20, missed=True)
    assert rate.burning(now)
    assert [each.burn_rate for each in rate.rates(now)] == pytest.approx([20.0, 20.0])


def test_a_few_missed_turns_of_a_quiet_hour_are_no_trend() -> None:
    """Three turns, all missed, say nothing yet."""
    rate = burn()
    assert not rate.burning(turns(rate, 0, 3, missed=True))


def test_a_moment_of_trouble_in_a_good_hour_does_not_burn() -> None:
    """The short window burns, the long one does not: it does not matter yet."""
    rate = burn()
    now = turns(rate, 0, 250, missed=False)
    now = turns(rate, now + 1, 20, missed=True)
    short, long = rate.rates(now)
    assert short.burn_rate > 6 > long.burn_rate
    assert not rate.burning(now)


def test_trouble_that_is_over_stops_burning_within_the_short_window() -> None:
    """The long window still remembers it, the short one says that it is over."""
    rate = burn()
    now = turns(rate, 0, 120, missed=True)
    assert rate.burning(now)
    now = turns(rate, now + 1, 30, missed=False)
    assert rate.rates(now)[-1].burn_rate > 6
    assert not rate.burning(now)


def test_silence_stops_burning_too() -> None:
    """Whoever refuses every caller hears of no turn, and must not refuse for ever."""
    rate = burn()
    now = turns(rate, 0, 60, missed=True)
    assert rate.burning(now)
    assert not rate.burning(now + FAST.short_s)


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=120))
def test_windows_hold_exactly_the_turns_in_them(notes: list[tuple[float, bool]]) -> None:
    """Counting by sliding is counting."""
    rate = burn()
    now = 0.0
    noted: list[tuple[float, bool]] = []
    for pause, missed in notes:
        now += pause
        noted.append((now, missed))
        rate.note(now, missed=missed)
        for each in rate.rates(now):
            inside = [bad for at, bad in noted if at > now - each.window_s]
            assert (each.turns, each.missed) == (len(inside), sum(inside))


def test_a_short_window_must_be_shorter() -> None:
    """Said where it is written."""
    with pytest.raises(ValidationError, match="short_s"):
        Window(long_s=30, short_s=30, burn_rate=1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def objective(*on_miss: str) -> tuple[Objective, Clock]:
    clock = Clock()
    settings = BudgetSettings.model_validate({"on_miss": on_miss, "windows": [FAST.model_dump()]})
    return Objective(settings, clock), clock


def spend(made: Objective, clock: Clock, count: int, verdict: Verdict | None) -> None:
    for number in range(count):
        clock.now += 1.0
        made.finished(replace(a_turn({}), turn=number).judged(verdict))


def test_while_it_burns_answers_begin_shorter_and_new_callers_are_refused() -> None:
    """And when it is over neither."""
    made, clock = objective("shorten", "shed")
    assert (made.first_clause_max_words, made.refuse_for_s) == (None, None)
    spend(made, clock, 20, MISSED)
    assert made.first_clause_max_words == made.settings.shorten.first_clause_max_words
    assert made.refuse_for_s == made.settings.shed.retry_after_s
    spend(made, clock, 30, OK)
    assert (made.first_clause_max_words, made.refuse_for_s) == (None, None)


def test_only_what_the_pipeline_says_is_done() -> None:
    """Budgets that do not act still say that they burn."""
    made, clock = objective()
    spend(made, clock, 20, MISSED)
    assert made.burning
    assert (made.first_clause_max_words, made.refuse_for_s) == (None, None)
    assert made.figures()["burning"] is True


def test_turns_without_a_verdict_do_not_count() -> None:
    """A greeting neither helps nor harms."""
    made, clock = objective()
    spend(made, clock, 50, None)
    assert made.figures()["windows"][-1]["turns"] == 0
