"""One server process: started with its configuration, watched, warmed up, ended with all of its
children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from voice_agent.llm_server.config.wish import Plan
from voice_agent.llm_server.proof.client import Endpoint, ServerFault
from voice_agent.llm_server.running.log import cause_of_death, phase_of
from voice_agent.ports import PortError, bind

__all__ = ["Server", "ServerError"]

_POLL_S = 0.2
_STILL_S = 30.0
_STOP_S = 20.0
_KEPT_LINES = 400
_LINE_BYTES = 1 << 20


class ServerError(RuntimeError):
    """The server cannot be started, or has died; the message says what to do."""


class Server:
    """A server as planned.

    Args:
        plan: How it is run.
        log: Takes everything the server writes.
        said: Is told how the start goes on, a line at a time.
        start_within_s: The first start compiles kernels, which takes minutes.
    """

    def __init__(
        self,
        plan: Plan,
        log: Path,
        said: Callable[[str], object] = lambda line: None,
        start_within_s: float = 3600.0,
    ) -> None:
        self.plan = plan
        self._log = log
        self._said = said
        self._start_within_s = start_within_s
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._folder = ""
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._phase = ""

    @property
    def pid(self) -> int | None:
        """The server's process id; None while there is none."""
        return self._process.pid if self._process else None

    async def start(self, opening: Mapping[str, Any] | None = None) -> None:
        """Start it and return when it answers at full speed.

        Args:
            opening: ``messages`` and ``tools`` that conversations begin with, to be read once.

        Raises:
            ServerError: It does not start; nothing of it is left.
        """
        program = self.plan.command[0]
        if shutil.which(program) is None:
            raise ServerError(
                f"{program} is not installed here; run the server in its container "
                "(docs/nemotron.md), or install it; --print-config shows what it would be given"
            )
        self._check_port()
        began = time.monotonic()
        try:
            await self._spawn()
            async with asyncio.timeout(self._start_within_s):
                await self._healthy(began)
                await self._warm_up(opening or {})
        except TimeoutError:
            await self.stop()
            raise ServerError(
                f"{program} was not ready after {self._start_within_s:.0f} s, while "
                f"{self._phase or 'starting'}; its log: {self._log}"
            ) from None
        except BaseException:
            await self.stop()
            raise
        self._said(f"ready after {time.monotonic() - began:.1f} s at {self.plan.url}")

    async def died(self) -> str:
        """Return why, once it has died by itself."""
        assert self._process is not None
        status = await self._process.wait()
        if self._reader is not None:
            await self._reader
        return f"{cause_of_death(self._lines, status)}; its log: {self._log}"

    async def stop(self) -> None:
        """End it and every process it has started; wait until they are gone."""
        process, self._process = self._process, None
        if process is not None:
            self._signal(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                pass
            self._signal(process, signal.SIGKILL)  # what is left of its group, if anything is
            await process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = ""

    # ----- within -----

    def _check_port(self) -> None:
        host, _, port = self.plan.url.removeprefix("http://").removesuffix("/v1").rpartition(":")
        try:
            bind(host, int(port)).close()
        except PortError as error:
            raise ServerError(str(error)) from error

    async def _spawn(self) -> None:
        command = list(self.plan.command)
        if self.plan.file:
            self._folder = tempfile.mkdtemp(prefix="llm-server-")
            path = Path(self._folder, self.plan.file)
            await asyncio.to_thread(path.write_text, self.plan.yaml())
            command = [str(path) if word == self.plan.file else word for word in command]
        self._said(f"starting {command[0]} with {command[-1] if self.plan.file else 'its flags'}")
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **self.plan.environment},
            start_new_session=True,  # its workers are ended with it
            limit=_LINE_BYTES,
        )
        file = await asyncio.to_thread(self._log.open, "w")
        self._reader = asyncio.create_task(self._read(file), name=f"log of {self._process.pid}")

    async def _read(self, file: TextIO) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with file:
            while True:
                try:
                    line = await self._process.stdout.readline()
                except ValueError:  # a line longer than anybody reads
                    continue
                if not line:
                    return
                text = line.decode(errors="replace").rstrip()
                self._lines.append(text)
                file.write(text + "\n")
                file.flush()
                phase = phase_of(text)
                if phase is not None and phase != self._phase:
                    self._phase = phase
                    self._said(phase)

    async def _healthy(self, began: float) -> None:
        """Wait until it answers ``/health``, saying now and then that it is still at it."""
        assert self._process is not None
        still = time.monotonic() + _STILL_S
        dying = asyncio.create_task(self._process.wait())
        try:
            while not dying.done():
                if await _answers(self.plan.url.removesuffix("/v1") + "/health"):
                    return
                if time.monotonic() >= still:
                    still += _STILL_S
                    doing = self._phase or "starting"
                    self._said(f"still {doing}, {time.monotonic() - began:.0f} s so far")
                await asyncio.wait({dying}, timeout=_POLL_S)
        finally:
            dying.cancel()
            await asyncio.gather(dying, return_exceptions=True)
        raise ServerError(f"{self.plan.command[0]} ended before it was ready: {await self.died()}")

    async def _warm_up(self, opening: Mapping[str, Any]) -> None:
        """Have it read how conversations begin and answer once: the first caller pays nothing."""
        self._said("warming up with the agent's prompt")
        messages: Sequence[Any] = [*opening.get("messages", ()), {"role": "user", "content": "Hi."}]
        fields: dict[str, Any] = {"max_tokens": 16, "temperature": 0}
        if opening.get("tools"):
            fields["tools"] = opening["tools"]
        asking = asyncio.create_task(self._ask_twice(messages, fields))
        dying = asyncio.create_task(self.died())
        try:
            await asyncio.wait({asking, dying}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ServerError(
                    f"{self.plan.command[0]} died at its first answer: {dying.result()}"
                )
            asking.result()
        except ServerFault as fault:
            raise ServerError(f"its first answer failed: {fault}; its log: {self._log}") from fault
        finally:
            for task in (asking, dying):
                task.cancel()
            await asyncio.gather(asking, dying, return_exceptions=True)

    async def _ask_twice(self, messages: Sequence[Any], fields: Mapping[str, Any]) -> None:
        """Ask cold and warm: reading a known prompt is a path of its own, compiled on first use."""
        async with Endpoint(
            self.plan.url, model=self.plan.model, timeout_s=self._start_within_s
        ) as endpoint:
            for _ in range(2):
                await endpoint.stream(messages, **fields)

    def _signal(self, process: Process, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


async def _answers(url: str) -> bool:
    import aiohttp

    try:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
            return response.status < 300
    except (aiohttp.ClientError, TimeoutError):
        return False
