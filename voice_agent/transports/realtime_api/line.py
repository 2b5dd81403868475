"""The WebSocket of one client as a conversation sees it: a transport that speaks the API.

One task reads the socket and hands events on in their order; one paces the agent's voice, a little
ahead of time. It knows the frames and the bounds; what an event means is the protocol's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar

from voice_agent.media import AudioSource, HeardAudio, Pcm, now_ms
from voice_agent.transports.realtime_api.audio import API_HZ, Listening
from voice_agent.transports.realtime_api.parsing import load
from voice_agent.transports.realtime_api.refusals import Refused
from voice_agent.transports.telephony.playback import Playback
from voice_agent.transports.telephony.wire import Encoding, Event, Format, Wire
from voice_agent.transports.websocket import NORMAL, Socket

EVENTS_MAX = 200
"""Events waiting to be carried out; until then no more are read."""
WAITING_MAX_MS = 120_000.0
"""Audio waiting to be heard; until then no more events are read."""
LONG_EVENT_BYTES = 64 * 1024
"""A longer event is parsed beside the event loop."""

REFUSED = "refused"
"""Key of a message that stands for an event that could not even be read."""


class _Out(Wire):
    """What ``Playback`` needs of a line: here audio is not a message yet, and nothing is marked."""

    packet_ms: ClassVar[int] = 20
    mark_ms: ClassVar[float] = 20.0
    unmarked_ms: ClassVar[float] = 0.0

    def __init__(self, lead_ms: float) -> None:
        self.lead_ms = round(lead_ms)  # type: ignore[misc]

    def receive(self, message: str | bytes) -> tuple[Event, ...]:
        """Nothing comes this way."""
        return ()

    def audio(self, payload: bytes) -> bytes:
        """Return the samples as they are."""
        return payload


class RealtimeLine:
    """The transport of one client; ``run`` it for as long as the socket is open.

    Args:
        socket: The open socket.
        lead_ms: How far ahead of time the agent's voice is sent.
        ids: What the client calls itself, for traces.
    """

    name = "realtime"
    audio_out_hz = API_HZ

    def __init__(self, socket: Socket, lead_ms: float, ids: Mapping[str, str]) -> None:
        self.ids = ids
        self.listening = Listening()
        self.on_audio: Callable[[bytes, float], None] = lambda pcm, ms: None
        """Told of samples that are sent now, and of their length, ms."""
        self.on_heard: Callable[[float], None] = lambda in_flight_ms: None
        """Told how much of what was sent cannot have been heard yet, before words are told."""
        self._socket = socket
        self._out = _Out(lead_ms)
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(EVENTS_MAX)
        self._marks: list[tuple[float, Callable[[], None]]] = []
        self._held = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._playback: Playback | None = None
        self._playing: asyncio.Task[None] | None = None
        self.events = 0
        """Events the client has sent."""
        self._gone = False

    async def run(self) -> None:
        """Read the socket until either side has hung up."""
        try:
            async for message in self._socket.messages():
                self.events += 1
                await self._events.put(await _read(message))
                while self.listening.waiting_ms > WAITING_MAX_MS and not self._gone:
                    self._room.clear()
                    await self._room.wait()
                if self._gone:
                    break
        finally:
            self._leave()

    # ----- audio in -----

    def hear(self, audio: bytes) -> None:
        """Take in audio of the client's."""
        self.listening.append(audio, now_ms())
        self._news.set()

    def behind_audio(self, act: Callable[[], None]) -> None:
        """Call ``act`` once everything appended so far has been heard."""
        self._marks.append((self.listening.waiting_ms, act))
        self._news.set()

    def forget(self) -> None:
        """Drop the audio that was appended and not heard, and what waited for it."""
        self.listening.clear()
        self._marks.clear()
        self._held = False
        self._news.set()

    def hold(self, held: bool) -> None:
        """Let no audio through: what follows belongs to the next turn."""
        self._held = held
        self._news.set()

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield the client's audio when it is to be heard; ends when the client has gone."""
        while not self._gone:
            self._news.clear()
            if self._marks and self._marks[0][0] <= 0.5 and not self._held:
                self._marks.pop(0)[1]()
                continue
            now = now_ms()
            due = None if self._held else self.listening.due(now)
            if due is not None and due <= now:
                audio = self.listening.next(now)
                passed_ms = audio.duration_ms
                self._marks = [(ms - passed_ms, act) for ms, act in self._marks]
                self._room.set()
                yield audio
                continue
            try:
                async with asyncio.timeout(None if due is None else (due - now) / 1000.0):
                    await self._news.wait()
            except TimeoutError:
                continue

    # ----- audio out -----

    def play(self, source: AudioSource) -> None:
        """Send what ``source`` has to say, until closed."""
        self._playback = Playback(
            self._out,
            Format(Encoding.L16, API_HZ),
            _Counted(source, lambda ms: self.on_heard(ms)),
            self._sent,
        )
        self._playing = asyncio.create_task(self._playback.run(), name="playback realtime")

    def _sent(self, pcm: str | bytes) -> None:
        assert isinstance(pcm, bytes)
        self.on_audio(pcm, len(pcm) / 2 / API_HZ * 1000.0)

    # ----- messages -----

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the client's events."""
        while (event := await self._events.get()) is not None:
            yield event

    def send(self, message: dict[str, Any]) -> None:
        """Messages of other protocols are not for this client."""

    def send_text(self, event: str) -> None:
        """Send a server event."""
        self._socket.send(event)

    # ----- the end -----

    async def close(self) -> None:
        """Hang up; idempotent."""
        self._leave()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing})
        self._socket.close(NORMAL)

    def figures(self) -> dict[str, float]:
        """Return what a trace should know of the line: counts, ms, dBFS."""
        out = self._playback.figures() if self._playback is not None else {}
        waiting_ms = round(self.listening.waiting_ms, 1)
        return {"in_waiting_ms": waiting_ms, "in_events": self.events, **out}

    def _leave(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._news.set()
        self._room.set()
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)


class _Counted:
    """A voice pulled ahead, and how much of it is on its way."""

    def __init__(self, source: AudioSource, tell: Callable[[float], None]) -> None:
        self._source = source
        self._tell = tell
        self._in_flight = 0

    def pull(self, samples: int) -> Pcm:
        return self._source.pull(samples)

    def pull_ahead(self, samples: int) -> Pcm:
        block = self._source.pull_ahead(samples)
        self._in_flight += samples
        return block

    def played(self, samples: int) -> None:
        self._in_flight = max(0, self._in_flight - samples)
        self._tell(self._in_flight / API_HZ * 1000.0)
        self._source.played(samples)

    def on_recall(self, recall: Callable[[], None]) -> None:
        def forget() -> None:
            recall()
            self._in_flight = 0

        self._source.on_recall(forget)

    def ready(self) -> int:
        return self._source.ready()

    async def wait_audible(self) -> None:
        await self._source.wait_audible()


async def _read(message: str | bytes) -> dict[str, Any]:
    """Return an event, or a message that says why it is none."""
    try:
        if len(message) > LONG_EVENT_BYTES:
            return await asyncio.to_thread(load, message)
        return load(message)
    except Refused as refused:
        return {REFUSED: refused}
