"""A server in a process of its own, for as long as a measurement lasts.

In the measuring process it would share the interpreter lock with the caller, and each would be
measured waiting for the other.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from voice_agent.load.errors import CallError

READY_S = 90.0
STOP_S = 15.0
_URL = re.compile(r"https?://[^\s]+")


@asynccontextmanager
async def served(arguments: Sequence[str], name: str) -> AsyncIterator[str]:
    """Run ``python arguments`` until the block ends; yield the first URL it prints.

    Raises:
        CallError: It ended, or printed no URL in 90 s; the message has its last words.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors: deque[str] = deque(maxlen=20)
    reading = asyncio.create_task(_drain(process.stderr, errors))
    try:
        url = await _url(process.stdout)
        if url is None:
            await asyncio.wait([reading], timeout=1.0)
            words = "\n".join(errors) or "it said nothing"
            raise CallError(f"{name} did not start:\n{words}")
        draining = asyncio.create_task(_drain(process.stdout, deque(maxlen=1)))
        try:
            yield url
        finally:
            draining.cancel()
            await asyncio.wait([draining])
    finally:
        await _stop(process)
        await reading


async def _url(stdout: asyncio.StreamReader) -> str | None:
    try:
        async with asyncio.timeout(READY_S):
            while line := await stdout.readline():
                if found := _URL.search(line.decode(errors="replace")):
                    return found.group()
    except TimeoutError:
        pass
    return None


async def _drain(stream: asyncio.StreamReader, last: deque[str]) -> None:
    while line := await stream.readline():
        last.append(line.decode(errors="replace").rstrip())


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
