"""One conversation with real engines and no network, and somebody who says things to it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pipecat.frames.frames import InterimTranscriptionFrame, TranscriptionFrame

from tests.running import PATTERNS
from voice_agent.config import load_pipeline
from voice_agent.conversation import Conversation
from voice_agent.media import AudioSource, HeardAudio, now_ms
from voice_agent.resources import Resources
from voice_agent.trace.model import Session, Turn
from voice_agent.trace.tracing import Tracing
from voice_agent.turns.events import Typed, VoiceStarted, VoiceStopped


class Line:
    """A transport without a network: pulls in real time, hears nothing, keeps what it was told."""

    name = "line"
    ids: Mapping[str, str] = {}
    audio_out_hz = 16_000

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.loud_blocks = 0
        self._gone = asyncio.Event()
        self._pulling: asyncio.Task[None] | None = None

    async def heard(self) -> AsyncIterator[HeardAudio]:
        await self._gone.wait()
        return
        yield

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        yield {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": {"version": "2.0.0"}}
        await self._gone.wait()

    def play(self, source: AudioSource) -> None:
        self._pulling = asyncio.create_task(self._pull(source))

    async def _pull(self, source: AudioSource) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.loud_blocks += bool(source.pull(320).any())
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def figures(self) -> dict[str, float]:
        return {}

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    async def close(self) -> None:
        self._gone.set()
        if self._pulling is not None:
            self._pulling.cancel()


class Traced:
    """Keeps the turns that are over."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def turn(self, turn: Turn) -> None:
        pass

    def finished(self, turn: Turn) -> None:
        self.turns.append(turn)

    def session(self, session: Session) -> None:
        pass


class Caller:
    """Says things to a conversation by telling it what ears and recognition would."""

    def __init__(
        self, conversation: Conversation, line: Line, database: Path, traced: Traced
    ) -> None:
        self.conversation = conversation
        self.line = line
        self._traced = traced
        self._database = database
        self._seen: list[object] = []
        self._news = asyncio.Event()
        conversation._taking.observe(self._note)

    def _note(self, now: float, event: object, actions: Any, state: object) -> None:
        self._seen += [event, *actions]
        self._news.set()

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for a condition; looks again whenever something happens, or a moment later."""
        async with asyncio.timeout(15):
            while not happened():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.02)

    def seen(self, kind: type) -> list[Any]:
        return [each for each in self._seen if isinstance(each, kind)]

    def starts(self) -> None:
        self.conversation._taking.post(VoiceStarted(now_ms()))

    def stops(self) -> None:
        self.conversation._taking.post(VoiceStopped(now_ms()))

    async def partial(self, text: str) -> None:
        await self._hear(InterimTranscriptionFrame(text, "user", ""))

    async def final(self, text: str) -> None:
        await self._hear(TranscriptionFrame(text, "user", "", finalized=True))

    async def _hear(self, frame: InterimTranscriptionFrame | TranscriptionFrame) -> None:
        # As the ASR service pushes it: to the processor behind it.
        await self.conversation._taking.queue_frame(frame)

    def types(self, text: str) -> None:
        self.conversation._taking.post(Typed(text))

    def bookings(self) -> int:
        with sqlite3.connect(self._database) as database:
            return int(database.execute("select count(*) from bookings").fetchone()[0])

    def traced(self) -> list[Turn]:
        """Return the turns that are over."""
        return self._traced.turns

    def told(self, kind: str) -> list[dict[str, Any]]:
        data = [m["data"] for m in self.line.told if m.get("type") == "server-message"]
        return [each for each in data if each.get("type") == kind]


@asynccontextmanager
async def call(folder: Path, *overrides: str, pipeline: str = "embedded") -> AsyncIterator[Caller]:
    """Hold a conversation with the shipped agent, whose bookings are in ``folder``.

    Patterns answer, where ``overrides`` do not say otherwise: the same words every time.
    """
    fixed = ["asr.engine=scripted", "greeting=false", "turns.sound_model=false"]
    if not any(override.startswith("llm.engine=") for override in overrides):
        fixed += PATTERNS
    loaded = load_pipeline(pipeline, [*fixed, *overrides])
    resources, tracing, traced = Resources(loaded), Tracing(loaded), Traced()
    tracing.add(traced)
    tracing.add(resources.objective)
    await resources.start()
    line = Line()
    conversation = Conversation(resources, line, tracing=tracing)
    caller = Caller(conversation, line, folder / "bella-notte.sqlite", traced)
    task = asyncio.create_task(conversation.run())
    try:
        await caller.until(lambda: caller.told("session"))
        yield caller
    finally:
        conversation.hang_up("gone")
        await task
        await resources.stop()
