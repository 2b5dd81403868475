"""Whether processes are there."""

from __future__ import annotations

import asyncio
import os


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(20):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)
