"""A voice server of ours in this process, on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voice_agent.riva.server import SpeechServer
from voice_agent.tts_server.backend import Backend
from voice_agent.tts_server.espeak import EspeakBackend
from voice_agent.tts_server.service import add_service


@asynccontextmanager
async def served(backend: Backend) -> AsyncIterator[SpeechServer]:
    """Serve ``backend`` for the time of the block."""
    server = SpeechServer("127.0.0.1", 0)
    add_service(server, backend)
    ready = asyncio.Event()
    serving = asyncio.create_task(server.serve(backend.warm, ready.set, drain_s=1.0))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        yield server
    finally:
        waiting.cancel()
        server.stop()
        await serving
        await backend.close()


@asynccontextmanager
async def tts_server() -> AsyncIterator[str]:
    """Serve eSpeak; the address."""
    async with served(EspeakBackend()) as server:
        yield server.address
