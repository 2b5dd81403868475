"""Which runtime plans a wish; and draft lengths by load, from what was measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voice_agent.llm_server.config import sglang, trtllm, vllm
from voice_agent.llm_server.config.wish import Plan, Runtime, Wish

__all__ = ["draft_schedule", "plan"]

_PLANS: Mapping[Runtime, Callable[[Wish], Plan]] = {
    "trtllm": trtllm.plan,
    "vllm": vllm.plan,
    "sglang": sglang.plan,
}


def plan(wish: Wish) -> Plan:
    """Return how the wish is run.

    Raises:
        PlanError: It cannot be.
    """
    return _PLANS[wish.runtime](wish)


def draft_schedule(
    measured: Mapping[int, Mapping[int, float]], worth: float = 0.05
) -> dict[int, int]:
    """Return the draft length for each load, from measured times to the first clause.

    A longer draft is taken only where it saves a caller time worth having; with more answers at
    once drafts never get longer again, as checking them costs ever more.

    Args:
        measured: By answers at once, then by draft length (0: none): ms to the first clause, p50.
        worth: Share of the time a longer draft has to save.

    Returns:
        From so many answers at once on, so many tokens; begins at 1. Empty if nothing was measured.
    """
    schedule: dict[int, int] = {}
    longest: int | None = None
    for load in sorted(measured):
        best: int | None = None
        for draft, ms in sorted(measured[load].items()):
            if longest is not None and draft > longest:
                continue
            if best is None or ms < measured[load][best] * (1.0 - worth):
                best = draft
        if best is None:
            continue
        if best != longest:
            schedule[load if schedule else 1] = best
        longest = best
    return schedule
