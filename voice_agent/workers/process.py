"""A worker process as the server sees it: started, spoken to, ended."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque

from loguru import logger

from voice_agent.process import wait_or_kill
from voice_agent.workers.wire import HEADER, Message

_STOP_TIMEOUT_S = 2.0
_KEPT_LINES = 200


class WorkerProcess:
    """``python -m module arguments``, spoken to over its stdin and stdout.

    Args:
        process: With pipes for stdin and stdout, and for stderr where its lines are to be kept.
    """

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._process = process
        self.complaints: deque[str] = deque(maxlen=_KEPT_LINES)
        """What it wrote to stderr, line by line, where that is kept."""
        self._listening = asyncio.create_task(self._listen(), name=f"stderr of {process.pid}")

    @classmethod
    async def spawn(
        cls,
        module: str,
        *arguments: str,
        keep_stderr: bool = False,
        env: dict[str, str] | None = None,
        python: str = sys.executable,
    ) -> WorkerProcess:
        """Start a worker; whether it can work it says itself.

        Args:
            module: What ``python -m`` runs.
            arguments: Its command line.
            keep_stderr: Keep what it complains of instead of passing it on.
            env: Its environment; None is ours.
            python: The interpreter, where it is not ours.

        Raises:
            OSError: No process can be started.
        """
        inherited = DEVNULL if not sys.stderr else None
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", module, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE if keep_stderr else inherited,
            env=env,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def say(self, message: Message) -> None:
        """Write without waiting: what may be in flight is bounded by whoever speaks."""
        if not self._stdin.is_closing():
            self._stdin.write(message.pack())

    async def receive(self) -> Message:
        """Return the worker's next message; asyncio.IncompleteReadError when it has gone."""
        header = await self._stdout.readexactly(HEADER.size)
        kind, stream, number, length = HEADER.unpack(header)
        return Message(kind, stream, number, await self._stdout.readexactly(length))

    async def end(self, patience_s: float = _STOP_TIMEOUT_S) -> int:
        """Close its pipe, wait for its end, kill it if it does not come; return its status."""
        self._stdin.close()
        status = await wait_or_kill(self._process, patience_s)
        await self._listening
        return status

    async def _listen(self) -> None:
        if self._process.stderr is None:
            return
        async for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            self.complaints.append(text)
            logger.debug("worker {}: {}", self._process.pid, text)
