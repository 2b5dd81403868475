"""Which cores a measurement's servers and its callers stand on. Linux."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from voice_agent.load.errors import WavError


def other_cores(core: int) -> set[int]:
    """Return the cores of this process without ``core``.

    Raises:
        WavError: Processes cannot be kept on cores here, or there is none left.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise WavError("a server can be kept on one core on Linux only")
    cores = os.sched_getaffinity(0)
    if core not in cores or len(cores) < 2:
        raise WavError(f"core {core} and another one are needed; there are {sorted(cores)}")
    return cores - {core}


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Keep this process, and what it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
