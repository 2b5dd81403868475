"""A person at the official SDK: speaks recordings in real time and keeps what the server says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import soxr
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from tests.running import FIXTURES
from voice_agent.load.wav import HZ, read_wav

API_HZ = 24_000
PACKET = API_HZ // 50
PATIENCE_S = 30.0


def recording(name: str) -> bytes:
    """A fixture as the API wants audio: 24 kHz, 16 bits, mono."""
    samples = read_wav(FIXTURES / f"{name}.wav").samples
    return soxr.resample(samples, HZ, API_HZ).astype("<i2").tobytes()


def narrow_recording(name: str) -> bytes:
    """The same at 8 kHz."""
    samples = read_wav(FIXTURES / f"{name}.wav").samples
    return soxr.resample(samples, HZ, 8000).astype("<i2").tobytes()


def base64_of(audio: bytes) -> str:
    return base64.b64encode(audio).decode("ascii")


def client_of(url: str, key: str = "sk-test") -> AsyncOpenAI:
    """The SDK pointed at a server."""
    ws = url.replace("http", "ws", 1)
    return AsyncOpenAI(
        api_key=key, base_url=f"{url}/v1", websocket_base_url=f"{ws}/v1", max_retries=0
    )


class Talker:
    """One connection, with a microphone that is never switched off."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.api = connection
        self.events: list[RealtimeServerEvent] = []
        self.audio = bytearray()
        """Everything the agent said."""
        self._news = asyncio.Condition()
        self._to_say = bytearray()
        self._said = asyncio.Event()
        self.lost: BaseException | None = None

    # ----- speaking -----

    async def say(self, name: str) -> None:
        """Speak a recording; returns when it is out."""
        self._said.clear()
        self._to_say += recording(name)
        await self._said.wait()

    async def _microphone(self) -> None:
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while True:
            await asyncio.sleep(max(0.0, began + sent / API_HZ - loop.time()))
            packet = bytes(self._to_say[: 2 * PACKET]).ljust(2 * PACKET, b"\0")
            del self._to_say[: 2 * PACKET]
            if not self._to_say:
                self._said.set()
            await self.api.input_audio_buffer.append(audio=base64_of(packet))
            sent += PACKET

    # ----- listening -----

    async def _listen(self) -> None:
        try:
            async for event in self.api:
                if event.type == "response.output_audio.delta":
                    self.audio += base64.b64decode(event.delta)
                async with self._news:
                    self.events.append(event)
                    self._news.notify_all()
        except BaseException as error:
            async with self._news:
                self.lost = error
                self._news.notify_all()
            raise

    async def until(
        self, kind: str, fits: Callable[[Any], bool] = lambda event: True, since: int = 0
    ) -> Any:
        """Return the first event of a kind, from event ``since`` on, when it is there."""

        def found() -> Any:
            return next((e for e in self.events[since:] if e.type == kind and fits(e)), None)

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: found() is not None or self.lost is not None)
        event = found()
        assert event is not None, f"no {kind}: {self.kinds()} {self.lost!r}"
        return event

    def kinds(self, since: int = 0) -> list[str]:
        """What was told, one after the other, repetitions left out."""
        kinds = [event.type for event in self.events[since:]]
        return [kind for index, kind in enumerate(kinds) if not index or kinds[index - 1] != kind]

    @staticmethod
    def of_item(item_id: str) -> Callable[[Any], bool]:
        """Fits the events of one item."""
        return lambda event: bool(event.item_id == item_id)

    async def answer(self, since: int = 0, status: str = "") -> tuple[Any, str]:
        """Return the next finished response, of ``status`` if given, and what it said.

        A turn that was decided and taken back has a cancelled one.
        """
        done = await self.until(
            "response.done", lambda event: status in ("", event.response.status), since
        )
        said = [
            part.transcript or part.text
            for item in done.response.output or []
            for part in getattr(item, "content", None) or []
        ]
        return done.response, " ".join(said)


@asynccontextmanager
async def talking(
    url: str, *, microphone: bool = False, session: dict[str, Any] | None = None
) -> AsyncIterator[Talker]:
    """A session at ``url``, set up with ``session`` and ready."""
    async with client_of(url).realtime.connect(model="gpt-realtime") as connection:
        talker = Talker(connection)
        listening = asyncio.create_task(talker._listen())
        speaking = asyncio.create_task(talker._microphone()) if microphone else None
        try:
            await talker.until("session.created")
            if session is not None:
                await connection.session.update(session={"type": "realtime", **session})  # type: ignore[typeddict-item]
                await talker.until("session.updated")
            yield talker
        finally:
            for task in (speaking, listening):
                if task is not None:
                    task.cancel()
                    await asyncio.wait({task})
