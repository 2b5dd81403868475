"""How many sessions hold the SLO, found with few steps: doubling until one fails, then halving the
distance. Pure. A step that did not hold is tried a second time before it counts: on a shared
machine one bad minute is not a capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tried:
    """A load that was held for a while, and whether the SLO held."""

    sessions: int
    held: bool


def next_level(tried: Sequence[Tried], most: int) -> int | None:
    """Return the sessions to try next; None when the capacity is known."""
    if not tried:
        return 1
    held, failed = capacity(tried), lowest_failure(tried)
    doubtful = [each.sessions for each in tried if not each.held]
    again = next((n for n in doubtful if _times(tried, n) == 1), None)
    if again is not None:
        return again
    if failed is None:
        return None if held >= most else min(most, held * 2)
    return None if failed - held <= 1 else (held + failed) // 2


def capacity(tried: Sequence[Tried]) -> int:
    """Return the largest load below every failure at which the SLO held; 0 when none did."""
    failed = lowest_failure(tried)
    return max(
        (t.sessions for t in tried if t.held and (failed is None or t.sessions < failed)), default=0
    )


def lowest_failure(tried: Sequence[Tried]) -> int | None:
    """Return the smallest load at which the SLO never held."""
    held = {each.sessions for each in tried if each.held}
    return min((t.sessions for t in tried if t.sessions not in held), default=None)


def _times(tried: Sequence[Tried], sessions: int) -> int:
    return sum(each.sessions == sessions for each in tried)
