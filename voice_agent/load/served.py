"""A server in a process of its own, for as long as a measurement lasts.

In the measuring process it would share the interpreter lock with the caller, and each would be
measured waiting for the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from voice_agent.load.errors import CallError
from voice_agent.process import wait_or_kill

READY_S = 90.0
STOP_S = 15.0
_URL = re.compile(r"https?://[^\s]+")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    url: str
    pid: int


@asynccontextmanager
async def served(
    arguments: Sequence[str], name: str, *, core: int | None = None, data: Path | None = None
) -> AsyncIterator[Server]:
    """Run ``python arguments`` until the block ends; it is ready when it prints its URL.

    Args:
        arguments: Of the interpreter.
        name: What an error calls it.
        data: Where it keeps its bookings and whatever else has no place of its own.
        core: Keep it on this core (Linux), before what else runs there where that is allowed.

    Raises:
        CallError: It ended, or printed no URL in 90 s; the message has its last words.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=core is not None,
        env=None if data is None else {**os.environ, "VOICE_AGENT_DATA": str(data)},
    )
    if core is not None:
        _keep_on(process.pid, core)
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
            yield Server(url, process.pid)
        finally:
            draining.cancel()
            await asyncio.wait([draining])
    finally:
        await _stop(process)
        await reading


def _keep_on(pid: int, core: int) -> None:
    os.sched_setaffinity(pid, {core})
    # sched(7): with autogrouping a nice value means something only within its session, and the
    # session's own is this file's.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("-15")


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
    await wait_or_kill(process, STOP_S)
