"""How fast the error budget is spent: the burn rate over sliding windows.

A target of 95 % allows one turn in twenty to be missed. The burn rate is the share that was missed
over the share that may be: 1 spends the budget exactly, 20 is every turn missed. After the
multi-window, multi-burn-rate alerts of Google's SRE Workbook, chapter 5. No clock: ``now`` (s) is
an argument and may not go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from voice_agent.budget.settings import Window


@dataclass(frozen=True, slots=True)
class Rate:
    """What happened in one window that ends now."""

    window_s: float
    turns: int
    missed: int
    burn_rate: float
    """0 where there was no turn."""


class _Sliding:
    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._turns: deque[tuple[float, bool]] = deque()
        self._missed = 0

    def add(self, now: float, missed: bool) -> None:
        self._turns.append((now, missed))
        self._missed += missed

    def rate(self, now: float, allowed: float) -> Rate:
        while self._turns and self._turns[0][0] <= now - self._window_s:
            self._missed -= self._turns.popleft()[1]
        turns = len(self._turns)
        share = self._missed / turns if turns else 0.0
        return Rate(self._window_s, turns, self._missed, share / allowed)


class BurnRate:
    """The turns of the last minutes.

    Args:
        target: Share of turns that must not be missed, below 1.
        windows: Which windows burn at what rate.
        min_turns: Fewer turns in a long window say nothing about it.
    """

    def __init__(self, target: float, windows: Sequence[Window], min_turns: int) -> None:
        self._allowed = 1.0 - target
        self._windows = tuple(windows)
        self._min_turns = min_turns
        lengths = {length for w in windows for length in (w.long_s, w.short_s)}
        self._sliding = {length: _Sliding(length) for length in sorted(lengths)}

    def note(self, now: float, *, missed: bool) -> None:
        """Count one turn."""
        for sliding in self._sliding.values():
            sliding.add(now, missed)
            sliding.rate(now, self._allowed)  # forgets what is too old, so that memory is bounded

    def rates(self, now: float) -> list[Rate]:
        """Return the rate in every window, the shortest first."""
        return [sliding.rate(now, self._allowed) for sliding in self._sliding.values()]

    def burning(self, now: float) -> bool:
        """Whether some pair of windows both burn at their rate or faster.

        The long one ends it slowly, the short one at once: when turns are kept again, or when
        there are none, it is over within ``short_s``.
        """
        rates = {rate.window_s: rate for rate in self.rates(now)}
        return any(
            rates[window.long_s].turns >= self._min_turns
            and rates[window.long_s].burn_rate >= window.burn_rate
            and rates[window.short_s].burn_rate >= window.burn_rate
            for window in self._windows
        )
