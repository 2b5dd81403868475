"""``voice-agent bench tts``: what a voice makes a caller wait for, and how many it can speak to.

Every voice says the same replies, one after the other, through its own Pipecat service, as in a
call. Then it says one to several listeners at once, twice as many at every step, until somebody
would have heard a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voice_agent.bench.voice import Said, say, speaking
from voice_agent.engines import Engine
from voice_agent.load.score import spread
from voice_agent.load.table import aligned
from voice_agent.tts.loudness import integrated_lufs

__all__ = ["REPLIES", "Measured", "figures", "lines", "measure"]

REPLIES = (
    "Of course, I have a table for four people tomorrow at seven. What name should I put it under?",
    "We are open every day from noon until eleven in the evening, and on Sunday until ten.",
    "Yes. There is a garden behind the house, and you may bring your dog.",
    "The lasagna is thirteen euros, and the pizza with mushrooms is eleven euros and fifty cents.",
    "Thank you very much, goodbye.",
)
GAP_MS = 20.0
"""A listener hears a gap of one packet; a shorter one the transport's own buffer hides."""
LATE_MS = 400.0
"""A first sound later than this is not real time, whatever comes after."""


@dataclass(slots=True)
class Measured:
    """What one voice did."""

    said: list[Said] = field(default_factory=list)
    streams: dict[int, tuple[float, float]] = field(default_factory=dict)
    """At once: the latest first audio and the longest gap of any of them, ms."""

    @property
    def in_real_time(self) -> int:
        """The most streams at once that nobody heard anything of."""
        kept = [n for n, (first, gap) in self.streams.items() if first < LATE_MS and gap < GAP_MS]
        return max(kept, default=0)


async def measure(
    engine: Engine[Any], rounds: int, most: int, told: Callable[[str], object]
) -> Measured:
    """Let a started engine speak.

    Args:
        engine: See above.
        rounds: How often every reply is said.
        most: Streams at once, at most.
        told: What is being done is said here.

    Raises:
        EngineError: The voice failed.
    """
    made = Measured()
    async with speaking(engine) as pipe:
        for number in range(rounds):
            told(f"round {number + 1} of {rounds} ...")
            made.said += [await say(pipe, reply) for reply in REPLIES]
    count = 1
    while count <= most:
        told(f"{count} at once ...")
        made.streams[count] = await _at_once(engine, count)
        if made.in_real_time < count:
            break
        count *= 2
    return made


async def _at_once(engine: Engine[Any], count: int) -> tuple[float, float]:
    async with AsyncExitStack() as stack:
        pipes = [await stack.enter_async_context(speaking(engine)) for _ in range(count)]
        said = await asyncio.gather(*(say(pipe, REPLIES[0]) for pipe in pipes))
    return max(each.ttfb_ms for each in said), max(each.gap_ms for each in said)


def figures(made: Measured) -> dict[str, Any]:
    """Return the figures of one voice."""
    whole = np.concatenate([each.audio for each in made.said])
    return {
        "ttfb_ms": spread(each.ttfb_ms for each in made.said),
        "rtf": _thousandths(made.said),
        "gap_ms": spread(each.gap_ms for each in made.said),
        "loudness_lufs": round(integrated_lufs(whole, made.said[0].hz), 1),
        "streams_in_real_time": made.in_real_time,
        "streams": {
            str(count): {"ttfb_ms": round(first, 1), "gap_ms": round(gap, 1)}
            for count, (first, gap) in made.streams.items()
        },
    }


def _thousandths(said: Sequence[Said]) -> dict[str, float]:
    values = [each.rtf for each in said]
    return {
        "p50": round(float(np.percentile(values, 50)), 4),
        "p95": round(float(np.percentile(values, 95)), 4),
        "max": round(max(values), 4),
    }


_ROWS = {
    "ttfb_ms": "first audio, ms p50 / p95 / max",
    "rtf": "share of real time (RTF)",
    "gap_ms": "longest gap of a reply, ms",
    "loudness_lufs": "loudness, LUFS",
    "streams_in_real_time": "streams at once without a gap",
}


def lines(voices: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table: one column a voice, and the ratios of the others to the first."""
    names = list(voices)
    rows: list[tuple[str, ...]] = [("", *names, *(f"{name} : {names[0]}" for name in names[1:]))]
    for key, label in _ROWS.items():
        values = [voices[name][key] for name in names]
        ratios = [_ratio(values[0], value) for value in values[1:]]
        rows.append((label, *map(_cell, values), *ratios))
    return aligned(rows)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " / ".join(f"{value[key]:g}" for key in ("p50", "p95", "max"))
    return f"{value:g}"


def _ratio(first: Any, other: Any) -> str:
    if isinstance(first, dict) and first["p50"]:
        return f"{other['p50'] / first['p50']:.2f}"
    return "-"
