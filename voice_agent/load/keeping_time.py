"""A caller comes first: it needs a few per cent of a core, and waiting for one would be measured as
the agent's latency."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def keeping_time() -> Iterator[None]:
    """Put this process before everything else on the machine, where that is allowed.

    Processes started from it are not put first. Garbage is not collected: do that between calls.
    """
    gc.disable()
    before = None
    if sys.platform == "linux":
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        gc.enable()
        if before is not None:
            with suppress(PermissionError):
                os.sched_setscheduler(0, *before)
