"""A `voice-agent serve` in a process of its own, as anybody runs it, with bookings of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FIXTURES = Path(__file__).parent / "fixtures"
STOP_S = 30
PATTERNS = (
    "llm.engine=scripted",
    "llm.script=agents/bella-notte.script.toml",
    "llm.ttft_ms=20",
    "llm.tokens_per_s=200",
)
"""Overrides for the restaurant's host without a language model: the same words every time."""


class Server:
    """A server that is started, killed and started again at the same address.

    Args:
        folder: Where its log and its bookings go.
        arguments: More of the command line.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.url = ""
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start it, at the port it had before if any, and return when it says it is ready."""
        port = self.url.rpartition(":")[2] or "0"
        ours = {k: v for k, v in os.environ.items() if not k.startswith("VOICE_AGENT__")}
        with (self.folder / "serve.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "voice_agent", "serve", "--port", port, *self._arguments],
                env=ours | {"VOICE_AGENT_DATA": str(self.folder)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.search(r"https?://\S+", said)
        assert found, f"no server: {said}{self.log()}"
        self.url = found.group()

    def stop(self) -> int:
        """Ask it to end, as a service manager does; return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None
        process, self._process = self._process, None
        code = process.wait(STOP_S)
        assert process.stdout is not None
        process.stdout.close()
        return code

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Let it stand still, as if the network were gone: packets and requests get no answer."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/api/health", timeout=10) as answer:
            health: dict[str, Any] = json.load(answer)
        return health

    def active(self) -> int:
        """Calls now, as the server counts them."""
        return int(self.health()["sessions"]["active"])

    def wait_until_idle(self) -> None:
        """Return when no call is left."""
        deadline = time.monotonic() + STOP_S
        while self.active():
            assert time.monotonic() < deadline, f"calls are left: {self.log()}"

    def bookings(self) -> list[tuple[int, str, str]]:
        """Return (people, date, time) of every booking in the database, oldest first."""
        with closing(sqlite3.connect(self.folder / "bella-notte.sqlite")) as database:
            return database.execute(
                "SELECT party_size, date, time FROM bookings WHERE status = 'booked' ORDER BY id"
            ).fetchall()

    def log(self) -> str:
        return (self.folder / "serve.log").read_text()
