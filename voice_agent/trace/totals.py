"""What the turns of a process have cost so far, for the health check."""

from __future__ import annotations

from collections import deque
from typing import Any

from voice_agent.trace.model import Turn

REMEMBERED = 1000
"""Latencies kept for the percentiles."""
GUESSES = ("hits", "misses", "wasted_tokens", "wasted_audio_ms")
"""Figures that say how often speculation was right and what it cost otherwise."""


class Totals:
    """Counts of finished turns, and the latencies of the last thousand that were answered."""

    def __init__(self) -> None:
        self._v2v_ms: deque[float] = deque(maxlen=REMEMBERED)
        self._kinds: dict[str, int] = {}
        self._guesses = dict.fromkeys(GUESSES, 0.0)

    def add(self, turn: Turn) -> None:
        """Count a turn that is over."""
        self._kinds[turn.kind] = self._kinds.get(turn.kind, 0) + 1
        if turn.kind == "answered" and turn.v2v_ms is not None:
            self._v2v_ms.append(turn.v2v_ms)
        for name in GUESSES:
            self._guesses[name] += turn.figures.get(name, 0.0)

    def figures(self) -> dict[str, Any]:
        """Return the counts, and voice-to-voice percentiles in ms (None before any turn)."""
        v2v = sorted(self._v2v_ms)
        return {
            "turns": dict(self._kinds),
            "v2v_ms": {
                "p50": v2v[len(v2v) // 2] if v2v else None,
                "p95": v2v[min(len(v2v) - 1, int(len(v2v) * 0.95))] if v2v else None,
            },
            "speculation": {name: round(value, 1) for name, value in self._guesses.items()},
        }
