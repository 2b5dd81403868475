"""A server of an engine's own, kept alive as long as the engine."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from loguru import logger

from voice_agent.engines import EngineError
from voice_agent.launch.leash import PATIENCE_S
from voice_agent.ports import bind
from voice_agent.process import wait_or_kill

_LEASH = "voice_agent.launch.leash"
_ASK_AGAIN_S = 0.1
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waited before the restarts of a server that dies young, the last one again and again."""
_OLD_S = 30.0
"""A server that has lived so long did not die of how it was started."""
_TOLD_LINES = 12


class LaunchedServer:
    """Starts a server, and again when it dies, until it is stopped.

    Args:
        name: What people call it, for messages.
        command: Its command line.
        well: Whether it can work now; asked again and again while it starts. Must not raise.
        env: Its environment; None is ours.
        patience_s: How long it may take from its start until it is well; the first start downloads
            nothing, but may load gigabytes.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        well: Callable[[], Awaitable[bool]],
        *,
        env: Mapping[str, str] | None = None,
        patience_s: float = 120.0,
    ) -> None:
        self.name = name
        self.restarts = 0
        """How often it had to be started again."""
        self._command = list(command)
        self._well = well
        self._env = dict(env) if env is not None else None
        self._patience_s = patience_s
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=200)
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that holds it; None while there is none."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it and return when it is well.

        Raises:
            EngineError: It ended, or is not well in time; with the last of what it said.
        """
        began = time.monotonic()
        process = await self._spawn()
        try:
            await self._until_well(process)
        except BaseException:
            await self._end()
            raise
        logger.info("{} is ready after {:.1f} s", self.name, time.monotonic() - began)
        self._keeper = asyncio.create_task(self._keep(process), name=self.name)

    async def stop(self) -> None:
        """End it and wait until it is gone."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await self._end()

    async def _spawn(self) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _LEASH, *self._command),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=PIPE,
            env=self._env,
        )
        self._reading = asyncio.create_task(
            self._read(self._process), name=f"output of {self.name}"
        )
        return self._process

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            logger.debug("{}: {}", self.name, text)

    async def _until_well(self, process: Process) -> None:
        ended = asyncio.ensure_future(process.wait())
        try:
            async with asyncio.timeout(self._patience_s):
                while not await self._well():
                    await asyncio.wait((ended,), timeout=_ASK_AGAIN_S)
                    if ended.done():
                        raise EngineError(f"{self.name} ended at its start:\n{self._said()}")
        except TimeoutError as error:
            raise EngineError(
                f"{self.name} is not ready after {self._patience_s:.0f} s:\n{self._said()}"
            ) from error
        finally:
            ended.cancel()

    def _said(self) -> str:
        lines = list(self._lines)[-_TOLD_LINES:]
        return "\n".join(lines) or f"(it said nothing; run it by hand: {' '.join(self._command)})"

    async def _keep(self, process: Process) -> None:
        """Start it again whenever it dies."""
        deaths = 0
        while True:
            born = time.monotonic()
            status = await process.wait()
            deaths = 0 if time.monotonic() - born > _OLD_S else deaths
            pause_s = _BACKOFF_S[min(deaths, len(_BACKOFF_S) - 1)]
            deaths += 1
            self.restarts += 1
            logger.error("{} ended ({}) and is started again", self.name, status)
            await asyncio.sleep(pause_s)
            process = await self._spawn()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        await wait_or_kill(process, PATIENCE_S + 2.0)
        if self._reading is not None:
            await self._reading


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at the moment."""
    sock = bind(host, 0)
    try:
        port: int = sock.getsockname()[1]
        return port
    finally:
        sock.close()
