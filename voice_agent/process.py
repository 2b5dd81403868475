"""Figures of processes that the operating system keeps, and the end of those that were started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

_IMPORTED_AT = time.monotonic()


def seconds_since_start() -> float:
    """Return the age of this process, seconds, interpreter start and imports included.

    Where the system does not tell (anything but Linux), counted from the import of this module.
    """
    if sys.platform == "linux":
        # proc(5): the 22nd field of stat, the 20th behind the name in brackets, is the start
        # time since boot in clock ticks.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
    return time.monotonic() - _IMPORTED_AT


def rss_mb(pid: int | None = None) -> float:
    """Return the memory a process holds, MiB: this one's, or on Linux another's.

    On anything but Linux it is the most this process ever held.

    Raises:
        OSError: There is no such process.
    """
    if sys.platform == "linux":
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def threads() -> int:
    """Return how many threads this process has (on anything but Linux: those of Python)."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/task"))
    return threading.active_count()


def descendants() -> int:
    """Return how many processes this one has started, and they in turn; 0 where nobody tells."""
    if sys.platform != "linux":
        return 0
    found, waiting = 0, [os.getpid()]
    while waiting:
        try:
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = (task / "children").read_text().split()
                found += len(children)
                waiting += map(int, children)
        except OSError:
            continue  # it has just ended
    return found


def cpu_ms(pid: int) -> float | None:
    """Return the CPU time a process has used with all its threads, ms; None where nobody tells."""
    if sys.platform != "linux":
        return None
    # What clock_getcpuclockid(3) returns for a process: its id, complemented, and the kind of
    # clock (2: as the scheduler counts, to the nanosecond) in the three bits below.
    return time.clock_gettime((~pid << 3) | 2) * 1000.0


def free_memory_bytes() -> int | None:
    """Return the memory that can be had without swapping, within a container's limit too.

    None where the system does not tell (anything but Linux).
    """
    try:
        table = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return None
    group = Path("/sys/fs/cgroup")  # version 2, as this process's container sees it
    try:
        limit, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
        return free if limit.strip() == "max" else min(free, max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        return free


async def wait_or_kill(process: asyncio.subprocess.Process, patience_s: float) -> int:
    """Wait for the end of a process that was asked to end; kill it if it does not come in time.

    Returns:
        Its exit status.
    """
    try:
        async with asyncio.timeout(patience_s):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop of the fastest kind this system has."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
