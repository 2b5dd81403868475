"""A turn's verdict: missed or not, and which stage is to blame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.budget.settings import BudgetSettings
from voice_agent.budget.verdict import ANSWER_MS, blame, judge
from voice_agent.config import load_pipeline, shipped_pipelines
from voice_agent.trace.model import STAGES, TOTAL, BudgetKey, Event, Segment, Stage, Turn

BUDGETS: dict[BudgetKey, float] = {
    "endpoint": 200,
    "llm_first_token": 120,
    "tts_first_audio": 80,
    "voice_to_voice": 500,
}


def a_turn(waited: dict[Stage, float], **changes: Any) -> Turn:
    segments = []
    start = 0.0
    for stage, ms in waited.items():
        segments.append(Segment(stage, stage, ms, start, ""))
        start += ms
    fields = {"kind": "answered", "v2v_ms": start} | changes
    names = {"id": "s-1", "session": "s", "run": "r", "pipeline": "p", "transport": "webrtc"}
    return Turn(turn=1, revision=1, started_at=0.0, segments=tuple(segments), **names, **fields)


@pytest.mark.parametrize(
    ("waited", "verdict", "guilty", "overrun"),
    [
        ({"endpoint": 130, "asr_final": 20}, "ok", None, 0),
        # in time all the same: nobody was harmed
        ({"endpoint": 130, "llm_first_token": 200}, "ok", None, 0),
        ({"endpoint": 130, "llm_first_token": 900}, "missed", "llm_first_token", 780),
        # the most over its own budget, not the longest
        (
            {"endpoint": 390, "llm_first_token": 300, "tts_first_audio": 280},
            "missed",
            "tts_first_audio",
            200,
        ),
        # of two alike the earlier
        ({"endpoint": 300, "llm_first_token": 220}, "missed", "endpoint", 100),
        # no stage is over its own, their sum is
        ({"endpoint": 200, "asr_final": 310}, "missed", "voice_to_voice", 10),
    ],
)
def test_the_guilty_stage_is_the_most_over_its_own_budget_in_a_turn_that_came_late(
    waited: dict[Stage, float], verdict: str, guilty: str | None, overrun: float
) -> None:
    """Situation and verdict."""
    found = judge(a_turn(waited), BUDGETS)
    assert found is not None
    assert (found.verdict, found.guilty, found.overrun_ms) == (verdict, guilty, overrun)


def test_several_segments_of_a_stage_count_together() -> None:
    """A stage waited for twice has one budget."""
    parts = (
        Segment("llm_first_token", "tool", 300, 0, ""),
        Segment("llm_first_token", "llm", 300, 300, ""),
    )
    found = judge(replace(a_turn({}), segments=parts, v2v_ms=600.0), BUDGETS)
    assert found is not None
    assert (found.guilty, found.overrun_ms) == ("llm_first_token", 480)


def test_without_a_total_any_stage_over_its_budget_misses_the_turn() -> None:
    """A pipeline may budget stages alone."""
    budgets: dict[BudgetKey, float] = {"endpoint": 200}
    late = judge(a_turn({"endpoint": 201}), budgets)
    fine = judge(a_turn({"endpoint": 199, "llm_first_token": 5000}), budgets)
    assert late is not None
    assert fine is not None
    assert (late.verdict, late.guilty, fine.verdict) == ("missed", "endpoint", "ok")


def test_a_filler_is_no_answer() -> None:
    """The turn is judged by when the answer was heard; its stage answers for the wait."""
    turn = a_turn({"endpoint": 130, "llm_first_token": 100}, figures={ANSWER_MS: 2000.0})
    found = judge(turn, BUDGETS)
    assert found is not None
    assert (found.verdict, found.guilty) == ("missed", "llm_first_token")
    assert found.overrun_ms == 100 + (2000 - 230) - 120


def test_a_turn_is_not_judged_while_only_its_filler_was_heard() -> None:
    """It may still be late; whoever gave up waiting waited until then."""
    waited: dict[Stage, float] = {"endpoint": 130, "llm_first_token": 100}
    filler = (Event("filler", 230.0),)
    assert judge(a_turn(waited, kind="open", events=filler), BUDGETS) is None
    gone = judge(a_turn(waited, kind="interrupted", events=filler, ended_ms=900.0), BUDGETS)
    assert gone is not None
    assert (gone.verdict, gone.guilty) == ("missed", "llm_first_token")


def test_a_missed_budget_is_an_event_of_the_turn() -> None:
    """At the moment it was used up, with the stage to blame."""
    turn = a_turn({"endpoint": 130, "llm_first_token": 900}, events=(Event("first_sound", 1030.0),))
    judged = turn.judged(judge(turn, BUDGETS))
    assert [(event.name, event.at_ms) for event in judged.events] == [
        ("budget.miss", 500),
        ("first_sound", 1030.0),
    ]
    assert judged.events[0].attributes == {"stage": "llm_first_token", "overrun_ms": 780}
    assert turn.judged(judge(turn, {"endpoint": 200})).events == turn.events


def test_what_cannot_be_judged_has_no_verdict() -> None:
    """A greeting answers nobody, an open turn has no answer yet; a failed one is missed."""
    assert judge(a_turn({}, kind="greeting", v2v_ms=None), BUDGETS) is None
    assert judge(a_turn({}, kind="open", v2v_ms=None), BUDGETS) is None
    assert judge(a_turn({"endpoint": 9000}), {}) is None
    failed = judge(a_turn({}, kind="failed", v2v_ms=None), BUDGETS)
    assert failed is not None
    assert (failed.verdict, failed.guilty) == ("missed", TOTAL)


_ms = st.floats(0, 5000)


@given(st.dictionaries(st.sampled_from(STAGES), _ms), st.dictionaries(st.sampled_from(STAGES), _ms))
def test_whoever_is_blamed_is_over_budget(
    waited: dict[BudgetKey, float], budgets: dict[BudgetKey, float]
) -> None:
    """No stage is blamed that kept its budget, and none is further over it than the one blamed."""
    waited = waited | {TOTAL: sum(waited.values())}
    budgets = budgets | {TOTAL: 500.0}
    found = blame(waited, budgets)
    assert (found.verdict == "missed") == (waited[TOTAL] > 500.0)
    assert (found.guilty is None) == (found.verdict == "ok")
    if found.guilty is not None:
        over = {key: waited[key] - budgets[key] for key in waited if key in budgets}
        assert over[found.guilty] > 0
        stages = [over[stage] for stage in STAGES if stage in over]
        assert found.guilty == TOTAL or over[found.guilty] == max(stages)
        assert found.guilty != TOTAL or all(ms <= 0 for ms in stages)


@pytest.mark.parametrize("name", shipped_pipelines())
def test_every_shipped_pipeline_has_a_budget_for_every_stage(name: str) -> None:
    """And together the stages may take about what the whole may."""
    limits = load_pipeline(name).budget.limits()
    assert set(limits) == {*STAGES, TOTAL}
    assert sum(limits[stage] for stage in STAGES) <= limits[TOTAL] * 1.2


def test_budgets_that_are_not_set_are_none() -> None:
    """A pipeline of one's own without [budget] judges nothing."""
    assert BudgetSettings().limits() == {}
