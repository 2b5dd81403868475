"""How late the event loop runs what is due: the proof that nothing computes on it.

A heartbeat asks to be woken every 20 ms, as often as audio arrives, and keeps how late it was for
the last minute. A loop that computes or blocks for 50 ms shows up as one lag of up to 50 ms;
stalls shorter than the distance to the next beat can be missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TypedDict

INTERVAL_S = 0.02
WINDOW_S = 60.0


class LagFigures(TypedDict):
    """Lags of the last minute, ms."""

    p50: float
    p99: float
    max: float


class LoopLag:
    """Lags of the last minute; ``run`` feeds it for as long as it is not cancelled."""

    def __init__(self) -> None:
        self._lags_ms: deque[float] = deque(maxlen=round(WINDOW_S / INTERVAL_S))

    async def run(
        self,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Beat until cancelled; ``clock`` (seconds) is the event loop's own unless given."""
        clock = clock or asyncio.get_running_loop().time
        while True:
            due = clock() + INTERVAL_S
            await sleep(INTERVAL_S)
            self.observe((clock() - due) * 1000)

    def observe(self, lag_ms: float) -> None:
        """Keep one lag; being early (timers are coarse) counts as 0."""
        self._lags_ms.append(max(0.0, lag_ms))

    def worst(self, ms: float) -> float:
        """Return the longest lag of the last ``ms``, ms; 0.0 before the first beat."""
        beats = int(ms / (INTERVAL_S * 1000.0)) + 1
        recent = islice(reversed(self._lags_ms), beats)
        return round(max(recent, default=0.0), 1)

    def figures(self) -> LagFigures:
        """Return p50, p99 and max; zeros before the first beat."""
        lags = sorted(self._lags_ms)
        if not lags:
            return {"p50": 0.0, "p99": 0.0, "max": 0.0}

        def at(share: float) -> float:
            return round(lags[min(len(lags) - 1, int(share * len(lags)))], 1)

        return {"p50": at(0.5), "p99": at(0.99), "max": round(lags[-1], 1)}
