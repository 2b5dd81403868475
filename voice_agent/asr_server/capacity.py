"""How many streams a machine carries, measured while it warms up."""

from __future__ import annotations

import time

import numpy as np

from voice_agent.asr_server.mel import RATE_HZ
from voice_agent.asr_server.stream import Recogniser

SHARE = 0.7
"""Of the time: what is left is for finals, and for machines that are not always as fast."""
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def measure(recogniser: Recogniser, max_batch: int, most_s: float = 15.0) -> tuple[int, float]:
    """Return (streams that can be carried, ms for a chunk of one stream); blocks.

    Batches double until they take a good part of a chunk's time, or ``most_s`` is over. What one
    takes is the better of two runs behind a first one, whose kernels may still have to be found.
    """
    began = time.monotonic()
    chunk_ms = recogniser.model.chunk_ms
    fits, alone_ms = 1, 0.0
    sizes = [size for size in _BATCHES if size <= max_batch]
    noise = np.random.default_rng(1).standard_normal(RATE_HZ).astype(np.float32) * 0.01
    for size in sizes:
        streams = [recogniser.open() for _ in range(size)]
        took: list[float] = []
        for _ in range(4):
            for stream in streams:
                while not recogniser.ready(stream):
                    recogniser.hear(stream, noise[: RATE_HZ // 25])
            at = time.monotonic()
            recogniser.advance(streams)
            took.append((time.monotonic() - at) * 1000)
        best_ms = min(took[2:])
        alone_ms = alone_ms or best_ms
        if best_ms <= SHARE * chunk_ms:
            fits = size
        # A batch is one chunk of each; in a chunk's time more than one batch may fit.
        carried = int(size * SHARE * chunk_ms / best_ms)
        if best_ms > SHARE * chunk_ms or time.monotonic() - began > most_s:
            return max(1, fits, min(carried, size * 2)), alone_ms
        if size == sizes[-1]:
            return max(1, carried), alone_ms
    return fits, alone_ms
