"""What a long run of calls left behind in the server, once they were all over. Pure.

Before: idle, after a first round of calls, by which everything is loaded that is loaded at first
use. After: idle again. Tasks and processes must be as many as before; threads may be some more,
as pools fill up by being used (asyncio's has four threads and one a core), but not one a call.
"""

from __future__ import annotations

from typing import Any

from voice_agent.load.fleet.records import ServerSample
from voice_agent.load.fleet.slo import Check, Slo

MORE = {"tasks": 0, "threads": 12, "open_files": 3, "processes": 0}
"""So many more may be there afterwards: threads of pools; connections of the instruments, which are
open or not in the moment of the sample."""


def left(before: ServerSample, after: ServerSample) -> dict[str, Any]:
    """Return both moments side by side."""
    names = {
        "MB": "rss_mb",
        "tasks": "tasks",
        "threads": "threads",
        "open files": "open_files",
        "processes": "processes",
    }
    return {
        name: {"before": getattr(before, field), "after": getattr(after, field)}
        for name, field in names.items()
    }


def left_checks(before: ServerSample, after: ServerSample, slo: Slo) -> list[Check]:
    """Hold what was left against what was there; what the server does not tell is not held."""
    grown = round(after.rss_mb - before.rss_mb, 1)
    checks = [Check("left_mb", slo.left_mb, grown)]
    for name, more in MORE.items():
        was = getattr(before, name)
        if was is not None:
            checks.append(Check(f"left_{name}", was + more, getattr(after, name)))
    return checks
