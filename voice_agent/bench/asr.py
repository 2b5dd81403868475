"""``voice-agent bench asr``: how many live callers a Riva server keeps up with.

Callers speak in real time, each with pauses, and ask for a final at each end of their voice, as the
turn engine does. Twice as many at every step, until the server falls behind. Two figures count:
how long a final takes, and how far behind real time the words are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voice_agent.asr.riva import RivaASREngine
from voice_agent.asr.riva_stream import RivaStream
from voice_agent.engines import EngineError
from voice_agent.load.score import spread
from voice_agent.load.table import aligned
from voice_agent.riva.words import Word

__all__ = ["Step", "figures", "held", "lines", "measure"]

Pcm = npt.NDArray[np.int16]

HZ = 16_000
PACKET_MS = 20
PAUSE_MS = 1_200
ASK_MS = 60
"""Silence behind the voice at which the final is asked for."""
NOISE_RMS = 8.0
LATE_FINAL_MS = 500.0
"""Finals later than this at p95 are not held."""
FINAL_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Step:
    """What so many callers at once met with."""

    callers: int
    lags_ms: list[float] = field(default_factory=list)
    """Audio whose words were not known, four times a second for each caller."""
    late_lags_ms: list[float] = field(default_factory=list)
    """Of those, the ones of the last third."""
    finals_ms: list[float] = field(default_factory=list)
    missing: int = 0
    """Finals that did not come."""
    failures: list[str] = field(default_factory=list)


def held(step: Step) -> bool:
    """Whether the server kept up: finals came and came soon, and it did not fall behind further."""
    if step.failures or step.missing or not step.finals_ms or not step.lags_ms:
        return False
    late = float(np.percentile(step.finals_ms, 95)) > LATE_FINAL_MS
    drifts = float(np.mean(step.late_lags_ms)) > 2 * float(np.median(step.lags_ms)) + 200
    return not late and not drifts


async def measure(
    engine: RivaASREngine,
    speech: Sequence[Pcm],
    *,
    counts: Sequence[int],
    seconds: float,
    told: Callable[[str], object],
) -> list[Step]:
    """Let callers speak to a started engine, as many as ``counts`` says, one step after the other.

    Ends behind the first step that was not held.

    Args:
        engine: See above.
        speech: What they say in turn, 16 kHz.
        counts: Callers at once.
        seconds: How long each step is held.
        told: What is being done is said here.
    """
    steps: list[Step] = []
    for count in counts:
        told(f"{count} at once for {seconds:.0f} s ...")
        step = Step(count)
        callers = [
            _Caller(engine, step, speech, number, seconds).speak() for number in range(count)
        ]
        await asyncio.gather(*callers)
        steps.append(step)
        if not held(step):
            break
    return steps


class _Caller:
    def __init__(
        self,
        engine: RivaASREngine,
        step: Step,
        speech: Sequence[Pcm],
        number: int,
        seconds: float,
    ) -> None:
        self._step = step
        self._speech = speech
        self._number = number
        self._seconds = seconds
        self._rng = np.random.default_rng(number)
        self._asked_s = 0.0
        self._finals: asyncio.Queue[float] = asyncio.Queue()
        self._stream: RivaStream = engine.open(
            lambda words: None, self._on_final, lambda why, _: step.failures.append(why)
        )

    def _on_final(self, words: Sequence[Word], asked: bool) -> None:
        if asked:
            self._finals.put_nowait(asyncio.get_running_loop().time())

    async def speak(self) -> None:
        """Speak in real time, and note what comes of it."""
        loop = asyncio.get_running_loop()
        # Not all in the same rhythm.
        began = loop.time() + self._number % 10 * 0.1
        packet, samples = 0, HZ * PACKET_MS // 1000
        turn = self._number
        try:
            while packet * PACKET_MS / 1000 < self._seconds and not self._step.failures:
                voice = self._speech[turn % len(self._speech)]
                turn += 1
                silence = np.zeros(HZ * PAUSE_MS // 1000, np.int16)
                sound = np.concatenate([voice, silence])
                sound = sound[: len(sound) // samples * samples]
                ask_at = (len(voice) + HZ * ASK_MS // 1000) // samples
                for number, pcm in enumerate(sound.reshape(-1, samples)):
                    await asyncio.sleep(max(0.0, began + packet * PACKET_MS / 1000 - loop.time()))
                    packet += 1
                    noise = self._rng.normal(0.0, NOISE_RMS, samples)
                    heard = np.clip(pcm + noise, -32_768, 32_767).astype(np.int16)
                    self._stream.hear(heard.tobytes())
                    if packet % 12 == 0:
                        self._note_lag(packet)
                    if number == ask_at:
                        self._asked_s = loop.time()
                        self._stream.end()
                await self._take_final()
        finally:
            await self._stream.close()

    def _note_lag(self, packet: int) -> None:
        lag_ms = self._stream.lag_ms
        self._step.lags_ms.append(lag_ms)
        if packet * PACKET_MS / 1000 > self._seconds * 2 / 3:
            self._step.late_lags_ms.append(lag_ms)

    async def _take_final(self) -> None:
        try:
            async with asyncio.timeout(FINAL_TIMEOUT_S):
                self._step.finals_ms.append((await self._finals.get() - self._asked_s) * 1000)
        except TimeoutError:
            self._step.missing += 1


def figures(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the figures of one server.

    Raises:
        EngineError: It did not work at all; the message is the server's own.
    """
    if steps[0].failures:
        raise EngineError(f"speech recognition failed: {steps[0].failures[0]}")
    return {
        "streams_in_real_time": max((step.callers for step in steps if held(step)), default=0),
        "steps": {
            str(step.callers): {
                "held": held(step),
                "final_ms": spread(step.finals_ms),
                "lag_ms": spread(step.lags_ms),
                "finals_missing": step.missing,
                "failures": step.failures[:3],
            }
            for step in steps
        },
    }


def lines(servers: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table: a row for each server and number of callers."""
    rows: list[tuple[str, ...]] = [
        ("server", "callers", "final ms p50", "p95", "lag ms p50", "p99", "held")
    ]
    for name, made in servers.items():
        for callers, step in made["steps"].items():
            final, lag = step["final_ms"] or {}, step["lag_ms"] or {}
            cells = [f"{part.get(key, '-')}" for part, key in (
                (final, "p50"), (final, "p95"), (lag, "p50"), (lag, "p99")
            )]  # fmt: skip
            rows.append((name, callers, *cells, "yes" if step["held"] else "no"))
    return aligned(rows)
