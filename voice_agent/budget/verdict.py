"""Whether a turn kept its budgets, and which stage is to blame if not. Pure.

The rule, in three sentences. A turn is missed when its voice-to-voice time is over its budget, or,
where a pipeline sets none, when any stage is over its own: a stage that was slow in a turn that
came in time has harmed nobody. The guilty stage is the one that is over its own budget by the most
ms (of two alike, the earlier). When none is, the sum is: ``voice_to_voice``.

Stages count as far as they were waited for: what ran while the user was still speaking is free.
What the user waited for after a filler belongs to the stage that the filler stood in for.
"""

from __future__ import annotations

from collections.abc import Mapping

from voice_agent.trace.model import STAGES, TOTAL, BudgetKey, Turn, Verdict

ANSWER_MS = "answer_ms"
"""Figure of a turn whose first sound was a filler: when the answer itself was heard, ms."""


def judge(turn: Turn, budgets: Mapping[BudgetKey, float]) -> Verdict | None:
    """Judge a turn by its budgets, ms by stage; None where there is nothing to judge.

    Nothing to judge: no budgets, a greeting, or an answer that is still to come. A turn that
    failed is missed. A filler is no answer: the turn is judged by when the answer was heard.
    """
    if not budgets or turn.kind == "greeting":
        return None
    if turn.kind == "failed":
        return Verdict("missed", TOTAL, budgets)
    if turn.v2v_ms is None:
        return None
    waited = turn.stages()
    answer_ms = turn.figures.get(ANSWER_MS)
    if answer_ms is None and any(event.name == "filler" for event in turn.events):
        if turn.kind == "open":
            return None
        answer_ms = turn.ended_ms  # so long it was waited for in vain
    if answer_ms is not None and answer_ms > turn.v2v_ms and turn.segments:
        waited[turn.segments[-1].stage] += answer_ms - turn.v2v_ms
        waited[TOTAL] = answer_ms
    return blame(waited, budgets)


def blame(waited: Mapping[BudgetKey, float], budgets: Mapping[BudgetKey, float]) -> Verdict:
    """Judge what was waited for, ms by stage and in all; see the module's docstring."""
    overruns = {
        stage: waited[stage] - budgets[stage]
        for stage in STAGES
        if stage in waited and stage in budgets and waited[stage] > budgets[stage]
    }
    total = budgets.get(TOTAL)
    missed = waited.get(TOTAL, 0.0) > total if total is not None else bool(overruns)
    if not missed:
        return Verdict("ok", None, budgets)
    if overruns:
        guilty = max(overruns, key=overruns.__getitem__)
        return Verdict("missed", guilty, budgets, round(overruns[guilty], 1))
    assert total is not None
    return Verdict("missed", TOTAL, budgets, round(waited[TOTAL] - total, 1))
