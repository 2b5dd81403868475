"""What the tests of the Riva engine share: an engine that is up, and a stream of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voice_agent.asr.riva import RivaASREngine, RivaASRSettings
from voice_agent.asr.riva_stream import RivaStream
from voice_agent.engines import EngineContext
from voice_agent.paths import models_dir
from voice_agent.riva.words import Word


@asynccontextmanager
async def started(**settings: object) -> AsyncIterator[RivaASREngine]:
    engine = RivaASREngine(RivaASRSettings.model_validate(settings), EngineContext([models_dir()]))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


class Listener:
    """A stream of an engine, and what came of it."""

    def __init__(self, engine: RivaASREngine) -> None:
        self.partials: list[str] = []
        self.finals: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self.failures: asyncio.Queue[str] = asyncio.Queue()
        self.stream: RivaStream = engine.open(
            lambda words: self.partials.append(_text(words)),
            lambda words, asked: self.finals.put_nowait((_text(words), asked)),
            lambda why, permanent: self.failures.put_nowait(why),
        )

    async def end(self) -> tuple[str, bool]:
        self.stream.end()
        return await self.final()

    async def final(self) -> tuple[str, bool]:
        async with asyncio.timeout(30):
            return await self.finals.get()

    async def until(self, begins: str) -> None:
        """Wait for a partial transcript that begins so."""
        async with asyncio.timeout(30):
            while not self.partials or not self.partials[-1].startswith(begins):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _text(words: list[Word]) -> str:
    return " ".join(word.text for word in words)
