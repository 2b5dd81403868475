"""A server that has traces and no conversations: the real app over a real file, in a thread."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from tests.test_server import StandIn, a_pipeline
from voice_agent.ports import bind
from voice_agent.server import create_app
from voice_agent.trace.model import Turn
from voice_agent.trace.settings import TraceSettings
from voice_agent.trace.tracing import Tracing


class Conversations(StandIn):
    """Nobody talks; what is traced is told by the test."""

    def __init__(self, tracing: Tracing) -> None:
        super().__init__()
        self.tracing = tracing

    def routes(self) -> list[Any]:
        return list(self.tracing.routes())


class TracedServer:
    """Serves the pages and the traces in ``file``; ``settings`` are more of ``[trace]``."""

    def __init__(self, file: Path, **settings: Any) -> None:
        self.file = file
        self.url = ""
        self._port = 0
        self._settings = TraceSettings(path=str(file), **settings)

    def start(self) -> None:
        """Serve; at the same address if it was one before."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(20)

    def publish(self, turn: Turn) -> None:
        """Let a turn happen."""
        self._loop.call_soon_threadsafe(self._tracing.turn, turn)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        pipeline = replace(a_pipeline(), trace=self._settings)
        self._tracing = Tracing(pipeline)
        await self._tracing.start()
        with bind("127.0.0.1", self._port) as sock:
            self._port = sock.getsockname()[1]
            self.url = f"http://localhost:{self._port}/traces/"
            app = create_app(pipeline, Conversations(self._tracing))
            self._server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
            sock.listen(128)
            self._loop.call_soon(ready.set)
            await self._server.serve(sockets=[sock])
        await self._tracing.stop()

    def _end(self) -> None:
        self._tracing.live.end()
        self._server.should_exit = True
