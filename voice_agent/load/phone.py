"""A caller on a telephone: one real call through a carrier's own protocol, spoken and measured.

The webhook rings as the carrier would ring, and the media socket is fed and played out as the
carrier would: packets on an absolute clock, a player that plays in real time, marks when they are
reached, silence when it is cleared. *Sound* is when the player plays it, not when it arrived.
Instruments may speak RTVI on the same socket (``instrument``), which no carrier does.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import aiohttp
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from voice_agent.load import wire
from voice_agent.load.errors import Busy, Unreachable
from voice_agent.load.handsets.handset import (
    Clear,
    Handset,
    HungUp,
    Keys,
    Mark,
    Play,
    Told,
)
from voice_agent.load.impairment import Network, Path
from voice_agent.load.mouth import PACKET, PACKET_S, Lag, Stream
from voice_agent.load.speaking import FLOOR_DBFS, Speaking
from voice_agent.load.wav import HZ, Samples
from voice_agent.transports.telephony.audio import Resampler, decoded, encoded

HELD_BACK = HZ // 8000 * 16 + 32
"""What the resampler to 8 kHz holds back at the end of a packet, and a margin, samples."""
DIAL_S = 10.0
PAUSE_S = 0.4
"""What comes later than this begins anew, and was not missing from what was before."""


class Phone(Speaking):
    """One call, from ``async with`` to its end; see the module's docstring.

    Args:
        url: The agent's address, for example ``http://127.0.0.1:7860``.
        handset: The carrier's side of the call.
        floor_dbfs: RMS of the noise that is always on the line.
        timeout_s: How long connecting and every wait may take unless told otherwise.
        instrument: Speak RTVI beside the audio: the agent tells what it hears and says.
        network: What lies between.

    Raises (on entering):
        Unreachable, Busy, NoAnswer: There is no call; the message says why.
    """

    def __init__(
        self,
        url: str,
        handset: Handset,
        *,
        floor_dbfs: float = FLOOR_DBFS,
        timeout_s: float = 20.0,
        instrument: bool = True,
        network: Network | None = None,
    ) -> None:
        super().__init__(url, Stream(floor_dbfs, HELD_BACK), timeout_s)
        self.handset = handset
        self.keys_received = ""
        """Keys that the agent has sent."""
        self.marks: list[str] = []
        """Marks that the agent has set."""
        self.clears = 0
        self.received = 0
        """Audio messages that have come."""
        network = network or Network()
        # What is lost on the way to the carrier is lost for good; what comes back stands still.
        self._up: Path[str | bytes] = Path(network)
        self._down: Path[str | bytes] = Path(replace(network, seed=network.seed + 1))
        self._instrument = instrument
        self._sent: list[float] = []
        self._due: list[float] = []
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue()
        self._inbox: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue()
        self._buffer: deque[Samples | str] = deque()
        self._buffered = asyncio.Event()
        self._to_line = Resampler(HZ, handset.hz)
        self._from_line = Resampler(handset.hz, HZ)
        self._played = 0
        self._dry: list[float] = []
        self._origin_s: float | None = None

    @property
    def _sent_s(self) -> Sequence[float]:
        return self._sent

    def lag(self) -> Lag:
        """Return how late the caller's own packets left so far."""
        if not self._sent:
            return Lag(0.0, 0.0)
        late_ms = (np.array(self._sent) - np.array(self._due)) * 1000
        return Lag(float(np.percentile(late_ms, 99)), float(late_ms.max()))

    def gaps(self, longer_s: float) -> list[float]:
        """Return how long the player had nothing to play in the middle of the agent's voice,
        seconds, each time it was longer than ``longer_s``."""
        return [gap for gap in self._dry if gap > longer_s]

    def send(self, text: str) -> None:
        """Send an RTVI message on the media socket, as instruments may; nobody else does."""
        if self._instrument:
            self._put(text)

    def press(self, keys: str) -> None:
        """Press keys."""
        for key in keys:
            for message in self.handset.key(key):
                self._put(message)

    # ----- calling -----

    async def _dial(self) -> None:
        media_url = await self._ring()
        self._socket = await self._open(media_url)
        for message in self.handset.opening():
            await self._socket.send(message)
        socket = self._socket
        works = (self._hear(), self._write(socket), self._talk(), self._listen())
        self._tasks = [asyncio.create_task(work) for work in (self._read(socket), *works)]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        if self._instrument:
            self.send(wire.client_ready())
            await self.until(lambda: self.log.first("bot-ready") is not None, "say bot-ready")

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lost = f"the phone itself failed: {error!r}"
            self._pulse.set()

    async def _ring(self) -> str:
        ring = self.handset.ring(self.url)
        if ring is None:
            return self.handset.media_url(self.url, "")
        url = self.url + ring.path
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DIAL_S)) as http,
                http.request(
                    ring.method,
                    url,
                    headers=dict(ring.headers),
                    data=ring.body or dict(ring.form) or None,
                ) as response,
            ):
                answer = await response.text()
                if response.status != 200:
                    raise Unreachable(f"{url}: HTTP {response.status}: {answer[:200]}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{url}: nobody answers the call ({error})") from error
        try:
            return self.handset.media_url(self.url, answer)
        except (ValueError, SyntaxError) as error:
            raise Busy(f"{url}: the call was not taken: {error}", None) from error

    async def _open(self, media_url: str) -> ClientConnection:
        try:
            return await connect(
                media_url,
                additional_headers=dict(self.handset.media_headers(media_url)),
                subprotocols=list(self.handset.subprotocols) or None,  # type: ignore[arg-type]
                compression=None,
                open_timeout=DIAL_S,
                close_timeout=1.0,
            )
        except InvalidStatus as error:
            response = error.response
            said = (response.body or b"").decode(errors="replace")[:200]
            if response.status_code == 503:
                raise Busy(f"{media_url}: busy: {said}", None) from error
            raise Unreachable(f"{media_url}: HTTP {response.status_code}: {said}") from error
        except (InvalidHandshake, TimeoutError, OSError) as error:
            raise Unreachable(f"{media_url}: no media socket there ({error})") from error

    async def _close(self) -> None:
        if self._socket is None:
            return
        try:
            for message in self.handset.closing():
                await self._socket.send(message)
        except ConnectionClosed:
            pass
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        await self._socket.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ----- the caller's voice -----

    async def _talk(self) -> None:
        origin_s = time.monotonic()
        in_one = self.handset.packet_ms // 20
        number = 0
        while True:
            parts = [self._to_line.write(self._stream.packet()) for _ in range(in_one)]
            payload = encoded(np.concatenate(parts), self.handset.encoding)
            message = self.handset.media(payload, number, number * self.handset.packet_ms)
            number += 1
            due_s = origin_s + number * self.handset.packet_ms / 1000.0
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            for packet in self._up.packets(message):
                self._put(packet)
            self._due += [due_s] * in_one
            self._sent += [time.monotonic()] * in_one
            self._pulse.set()

    def _put(self, message: str | bytes) -> None:
        self._outbox.put_nowait((self._up.arrives_s(time.monotonic()), message))

    async def _write(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await _arrived(self._outbox))

    # ----- the agent's -----

    async def _read(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                self._inbox.put_nowait((self._down.arrives_s(time.monotonic()), message))
        self._lost = self._lost or f"the line was closed ({socket.close_code})"
        self._pulse.set()

    async def _hear(self) -> None:
        try:
            while True:
                for said in self.handset.hear(await _arrived(self._inbox)):
                    self._take(said)
        except (ValueError, KeyError, TypeError) as error:
            self._lost = f"the carrier does not understand the server: {error!r}"
            self._pulse.set()

    def _take(self, said: object) -> None:
        match said:
            case Play(payload):
                self.received += 1
                samples = self._from_line.write(decoded(payload, self.handset.encoding))
                for start in range(0, len(samples), PACKET):
                    self._buffer.append(samples[start : start + PACKET])
            case Mark(name):
                self.marks.append(name)
                self._buffer.append(name)
            case Clear():
                self.clears += 1
                marks = [each for each in self._buffer if isinstance(each, str)]
                self._buffer.clear()
                # Marks of what was cleared come back at once, as Twilio's do.
                self._answer([m for name in marks for m in self.handset.marked(name)])
                self._answer(self.handset.cleared())
            case Keys(keys):
                self.keys_received += keys
            case Told(text):
                self._told(text)
            case HungUp(reason):
                self._lost = self._lost or f"the agent hung up: {reason}"
                self._answer(self.handset.closing())
        self._buffered.set()
        self._pulse.set()

    def _answer(self, messages: Sequence[str | bytes]) -> None:
        for message in messages:
            self._put(message)

    async def _listen(self) -> None:
        """Play what is in the buffer in real time, as a carrier's player does; silence between."""
        until_s = time.monotonic()
        played_s = -math.inf
        playing = ran_dry = False
        while True:
            if not self._buffer:
                ran_dry = True
                if playing:
                    playing = False
                    self._answer(self.handset.drained())
                until_s = await self._silence(until_s)
                continue
            item = self._buffer.popleft()
            if isinstance(item, str):
                self._answer(self.handset.marked(item))
                continue
            if not playing:
                playing = True
                self._answer(self.handset.playing())
            start_s = max(time.monotonic(), until_s)
            if ran_dry and start_s < played_s + PAUSE_S:
                self._dry.append(start_s - played_s)
            ran_dry = False
            until_s = played_s = start_s + len(item) / HZ
            self._play_now(start_s, item)
            if (wait_s := until_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)

    async def _silence(self, since_s: float) -> float:
        """Wait for something to play, 20 ms at most, and hear that silence; return its end."""
        self._buffered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PACKET_S):
                await self._buffered.wait()
                return since_s
        self._play_now(since_s, np.zeros(PACKET, dtype=np.int16))
        return max(since_s + PACKET_S, time.monotonic() - PACKET_S)

    def _play_now(self, start_s: float, samples: Samples) -> None:
        self._origin_s = start_s if self._origin_s is None else self._origin_s
        timestamp = round((start_s - self._origin_s) * HZ) & 0xFFFFFFFF
        self._played += 1
        self.heard.add(start_s, self._played & 0xFFFF, timestamp, samples)
        self._pulse.set()


async def _arrived(queue: asyncio.Queue[tuple[float, str | bytes]]) -> str | bytes:
    """Return the next message of a network when it arrives."""
    arrives_s, message = await queue.get()
    if (wait_s := arrives_s - time.monotonic()) > 0:
        await asyncio.sleep(wait_s)
    return message
