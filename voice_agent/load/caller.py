"""A caller without a browser or a sound card: one real WebRTC call, spoken and measured.

It knows the wire only (an offer to ``/api/offer``, Opus both ways, RTVI on the data channel), so it
measures any SmallWebRTC agent. The two ends of every latency, on one monotonic clock:

- *stop*: when the packet left whose last sample was the last of the caller's voice;
- *sound*: when the packet arrived that held the agent's first sample above -45 dBFS.

aiortc's receiving jitter buffer, fixed at 80 ms, is bypassed: packets are stamped and decoded as
they arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_capabilities

from voice_agent.load import wire
from voice_agent.load.errors import Busy, CallError, Lost, NoAnswer, Unreachable
from voice_agent.load.heard import Heard
from voice_agent.load.mouth import Lag, Mouth, Stream, Utterance
from voice_agent.load.wav import HZ, Samples, Speech

FLOOR_DBFS = -66.0
QUIET_S = 0.3
"""An answer the server says has ended is over after this much silence."""
LONG_QUIET_S = 2.0
"""An answer is over after this much silence, whatever the server says."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something the caller said, and when it left."""

    utterance: Utterance
    asked_s: float
    """When the caller began to send it."""
    start_s: float
    """When the packet with its first voice left."""
    stop_s: float
    """When the packet with its last voice left."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the caller and the agent's answer."""

    user: str
    """What the server took the caller to have said."""
    agent: str
    """What the agent is said to have been heard saying."""
    v2v_ms: float | None
    """From the caller's last voice to the agent's first sound after it; None when the agent spoke
    before the end and went on through it."""
    cut_in_ms: float | None
    """How long before the caller's end the agent began to speak; None as it should be."""
    said: Said
    sound_s: float
    """Arrival of the answer's first sound."""
    end_s: float
    """Arrival of the answer's last sound."""
    audio: Samples
    """The answer, 48 kHz mono, from ``said.asked_s`` on: on the caller's line of time."""


class _Tap:
    """Stands where aiortc's receiver has its jitter buffer, and takes every packet at once."""

    def __init__(self, on_packet: Callable[[int, int, bytes], None]) -> None:
        self._on_packet = on_packet

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet; nothing is passed on to aiortc's decoder."""
        self._on_packet(packet.sequence_number, packet.timestamp, packet._data)
        return False, None


class Caller:
    """One call, from ``async with`` to its end; see the module's docstring.

    Args:
        url: The agent's address, for example ``http://127.0.0.1:7860``.
        floor_dbfs: RMS of the noise that is always on the line.
        timeout_s: How long connecting and every wait may take unless told otherwise.
        request_data: Sent with the offer, for example ``{"conversation": "<id>"}``.

    Raises (on entering):
        Unreachable, Busy, NoAnswer: There is no call; the message says why.
    """

    def __init__(
        self,
        url: str,
        *,
        floor_dbfs: float = FLOOR_DBFS,
        timeout_s: float = 20.0,
        request_data: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.heard = Heard()
        self.log = wire.Log()
        self._timeout_s = timeout_s
        self._request_data = request_data
        self._pulse = asyncio.Event()
        self._stream = Stream(floor_dbfs)
        self._mouth = Mouth(self._stream, self._pulse.set)
        self._decoder = av.CodecContext.create("libopus", "r")
        self._decoder.sample_rate = HZ
        self._decoder.format = "s16"
        self._decoder.layout = "mono"
        self._lost: str | None = None
        self._pinging: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Call: offer, connect, and wait until the agent says it is ready."""
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._pc.createDataChannel("rtvi-ai", ordered=True)
        try:
            self._wire_up()
            await self._connect()
            await self.until(lambda: self._channel.readyState == "open", "open the data channel")
            self._pinging = asyncio.create_task(self._ping())
            self._channel.send(wire.client_ready())
            await self.until(lambda: self.log.first("bot-ready") is not None, "say bot-ready")
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        await self._close()

    @staticmethod
    def now() -> float:
        """Return the clock that everything here is stamped with, monotonic seconds."""
        return time.monotonic()

    def lag(self) -> Lag:
        """Return how late the caller's own packets left so far."""
        return self._mouth.lag()

    def send(self, text: str) -> None:
        """Send a message of :mod:`voice_agent.load.wire` on the data channel."""
        self._channel.send(text)

    async def play(self, speech: Speech) -> Said:
        """Speak, over whatever the agent does; return when all of it has left."""
        asked_s = time.monotonic()
        utterance = self._stream.put(speech)
        sent = self._mouth.sent_s
        late_s = speech.duration_s + self._timeout_s
        await self.until(lambda: len(sent) > utterance.end, "take the caller's audio", late_s)
        return Said(utterance, asked_s, sent[utterance.first], sent[utterance.last])

    async def say(self, speech: Speech, *, timeout_s: float | None = None) -> Turn:
        """Speak while the agent is silent, and hear its answer out.

        Raises:
            NoAnswer: No sound came within ``timeout_s`` of the caller's last voice, or the answer
                does not end within a minute.
            Lost: The call broke.
        """
        return await self.answer(await self.play(speech), timeout_s=timeout_s)

    async def answer(self, said: Said, *, timeout_s: float | None = None) -> Turn:
        """Hear out the answer to what was said; the agent was silent when the caller began."""
        first_s = await self.sound(said.asked_s, "answer", timeout_s=timeout_s)
        sound_s: float | None = first_s
        if first_s >= said.stop_s:
            end_s = await self.end_of_answer(first_s)
        elif self.heard.is_silent_at(said.stop_s):  # it gave way
            sound_s = await self.sound(said.stop_s, "answer", timeout_s=timeout_s)
            end_s = await self.end_of_answer(sound_s)
        else:  # it talked on; what it says next may still be an answer to the whole
            end_s = await self.quiet(said.stop_s)
            sound_s = self.heard.onset_after(said.stop_s)
        return Turn(
            user=self.log.user_words(said.asked_s),
            agent=self.log.agent_words(said.asked_s),
            v2v_ms=None if sound_s is None else (sound_s - said.stop_s) * 1000,
            cut_in_ms=(said.stop_s - first_s) * 1000 if first_s < said.stop_s else None,
            said=said,
            sound_s=first_s if sound_s is None else sound_s,
            end_s=end_s,
            audio=self.heard.audio_between(said.asked_s, end_s + QUIET_S),
        )

    async def sound(self, since_s: float, doing: str, *, timeout_s: float | None = None) -> float:
        """Wait for the agent's first sound after ``since_s``; return when it arrived."""
        await self.until(lambda: self.heard.last_sound_s >= since_s, doing, timeout_s)
        sound_s = self.heard.sound_after(since_s)
        assert sound_s is not None
        return sound_s

    async def end_of_answer(self, since_s: float, *, timeout_s: float = 60.0) -> float:
        """Wait until the agent, which spoke at ``since_s``, is done; return when it was."""

        def over() -> bool:
            quiet_s = time.monotonic() - max(self.heard.last_sound_s, since_s)
            return quiet_s > LONG_QUIET_S or (quiet_s > QUIET_S and self.log.answer_ended(since_s))

        await self.until(over, "finish its answer", timeout_s)
        return max(self.heard.last_sound_s, since_s)

    async def quiet(self, since_s: float, *, timeout_s: float = 60.0) -> float:
        """Wait for two seconds of silence after ``since_s``; return when they began."""

        def over() -> bool:
            return time.monotonic() - max(self.heard.last_sound_s, since_s) > LONG_QUIET_S

        await self.until(over, "fall silent", timeout_s)
        return max(self.heard.last_sound_s, since_s)

    async def greeting(self, *, within_s: float = 3.0) -> str | None:
        """Hear the agent's greeting out; return its words, or None when there is none."""
        since_s = self.heard.started_s or time.monotonic()
        try:
            await self.sound(since_s, "greet", timeout_s=within_s)
        except NoAnswer:
            return None
        await self.end_of_answer(self.heard.sound_after(since_s) or since_s)
        return self.log.agent_words(0.0)

    async def wait(self, until_s: float) -> None:
        """Let the call go on until a moment of the monotonic clock."""
        await self.until(
            lambda: time.monotonic() >= until_s, "stay", until_s - time.monotonic() + 5.0
        )

    async def until(
        self, true: Callable[[], bool], doing: str, timeout_s: float | None = None
    ) -> None:
        """Wait for something to become true; asked at every packet and message, 20 ms at most.

        Raises:
            NoAnswer: The agent did not do ``doing`` in time.
            Lost: The call is over.
        """
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while not true():
                    if self._lost is not None:
                        raise Lost(f"{self.url}: {self._lost}")
                    self._pulse.clear()
                    await self._pulse.wait()
        except TimeoutError:
            raise NoAnswer(
                f"{self.url}: the agent did not {doing} within {timeout_s:g} s"
            ) from None

    def _wire_up(self) -> None:
        transceiver = self._pc.addTransceiver(self._mouth, direction="sendrecv")
        codecs = get_capabilities("audio").codecs
        transceiver.setCodecPreferences([each for each in codecs if each.mimeType == "audio/opus"])
        # aiortc has no setting for its jitter buffer; Pipecat replaces it the same way.
        vars(transceiver.receiver)["_RTCRtpReceiver__jitter_buffer"] = _Tap(self._on_packet)
        self._channel.on("message", self._on_message)
        self._channel.on("open", self._pulse.set)
        self._pc.on("connectionstatechange", self._on_state)

    async def _connect(self) -> None:
        await self._pc.setLocalDescription(await self._pc.createOffer())
        local = self._pc.localDescription
        offer: dict[str, Any] = {"sdp": local.sdp, "type": local.type}
        if self._request_data is not None:
            offer["requestData"] = dict(self._request_data)
        answer = await self._post(offer)
        try:
            await self._pc.setRemoteDescription(
                RTCSessionDescription(sdp=answer["sdp"], type=answer["type"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self.url}/api/offer: no WebRTC answer came back") from error
        await self.until(lambda: self._pc.connectionState == "connected", "connect")

    async def _post(self, offer: dict[str, Any]) -> Any:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(f"{self.url}/api/offer", json=offer) as response,
            ):
                body = await _json(response)
                if response.status == 503:
                    after = response.headers.get("Retry-After", "")
                    why = body.get("error", "no room") if isinstance(body, dict) else "no room"
                    hint = f"; try again in {after} s" if after else "; try again later"
                    raise Busy(f"{self.url}: busy: {why}{hint}", _seconds(after))
                if response.status != 200:
                    why = body.get("error") if isinstance(body, dict) else None
                    raise Unreachable(
                        f"{self.url}/api/offer: HTTP {response.status}: {why or response.reason}"
                    )
                return body
        except (aiohttp.ClientError, aiohttp.InvalidURL, TimeoutError, OSError) as error:
            why = str(error) or "no answer"
            raise Unreachable(
                f"{self.url}: no voice agent there ({why}); start one with `voice-agent serve`"
            ) from error

    def _on_packet(self, sequence: int, timestamp: int, payload: bytes) -> None:
        arrived_s = time.monotonic()
        if payload and not self.heard.is_late(sequence):
            try:
                frames = self._decoder.decode(av.Packet(payload))
            except av.FFmpegError:
                frames = []  # garbage from the network is a lost packet
            for frame in frames:
                self.heard.add(arrived_s, sequence, timestamp, frame.to_ndarray()[0])
        self._pulse.set()

    def _on_message(self, text: str | bytes) -> None:
        received = self.log.add(time.monotonic(), text)
        if received is not None and received.kind == "goodbye":
            reason = received.data.get("text") or received.data.get("reason") or "no reason given"
            self._lost = f"the server hung up: {reason}"
        if received is not None and received.kind == "error" and received.data.get("fatal"):
            self._lost = f"the agent failed: {received.data.get('error')}"
        self._pulse.set()

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed", "disconnected"):
            self._lost = self._lost or f"the connection is {self._pc.connectionState}"
        self._pulse.set()

    async def _ping(self) -> None:
        while self._channel.readyState == "open":
            self._channel.send(f"{wire.PING}: {int(time.time() * 1000)}")
            await asyncio.sleep(1.0)

    async def _close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)
        self._mouth.stop()
        await self._pc.close()


async def _json(response: aiohttp.ClientResponse) -> Any:
    try:
        return await response.json(content_type=None)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


__all__ = ["Busy", "CallError", "Caller", "Lost", "NoAnswer", "Said", "Turn", "Unreachable"]
