"""A caller who says nothing: for warming up before the first real one.

The first conversation of a process imports, allocates and compiles; whoever called first would
wait for it, and everybody else with them. So a conversation is held with nobody, up to the first
sound of the greeting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from voice_agent.media import AudioSource, HeardAudio

_LONGEST_S = 5.0


class Rehearsal:
    """A transport that is ready, and gone at the first sound.

    Args:
        greeted: Whether there will be a first sound without saying anything.
    """

    name = "rehearsal"
    audio_out_hz = 48_000

    def __init__(self, *, greeted: bool) -> None:
        self.ids: Mapping[str, str] = {}
        self._greeted = greeted
        self._over = asyncio.Event()
        self._source: asyncio.Future[AudioSource] = asyncio.get_running_loop().create_future()

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield nothing; end when the greeting has begun."""
        source = await self._source
        if self._greeted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_S):
                    await source.wait_audible()
                    source.pull(self.audio_out_hz // 50)
        self._over.set()
        return
        yield

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Say that the client is ready."""
        yield {"label": "rtvi-ai", "type": "client-ready", "id": "rehearsal", "data": {}}
        await self._over.wait()

    def play(self, source: AudioSource) -> None:
        """Listen to this."""
        self._source.set_result(source)

    def figures(self) -> dict[str, float]:
        """Return nothing: there is no line to know of."""
        return {}

    def send(self, message: dict[str, Any]) -> None:
        """Hear what a client would be told."""

    async def close(self) -> None:
        """Be gone."""
        self._over.set()
