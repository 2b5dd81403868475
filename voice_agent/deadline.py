"""A timer that is put off fifty times a second and almost never rings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EARLY_S = 0.001
"""A timer may ring this much before its time."""


class Deadline:
    """Calls ``late`` once when it has not been put off for long enough.

    Putting it off is an assignment: the timer underneath looks at the clock only when it rings, and
    goes on sleeping. Cancelling and making one anew for every packet of every caller is felt.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._due_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def put_off(self, by_s: float) -> None:
        """Ring ``by_s`` from now, unless it is put off again."""
        self._due_s = self._loop.time() + by_s
        if self._timer is None or self._timer.when() > self._due_s + _EARLY_S:
            self._sleep(self._due_s)

    def cancel(self) -> None:
        """Do not ring; it can be put off again."""
        self._due_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sleep(self, until_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(until_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due_s is None:
            return
        if self._loop.time() < self._due_s - _EARLY_S:
            self._sleep(self._due_s)
            return
        self._due_s = None
        self._late()
