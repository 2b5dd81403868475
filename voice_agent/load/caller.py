"""A caller without a browser or a sound card: one real WebRTC call, spoken and measured.

It knows the wire only (an offer to ``/api/offer``, Opus both ways, RTVI on the data channel), so it
measures any SmallWebRTC agent; what is measured says :mod:`voice_agent.load.speaking`. aiortc's
receiving jitter buffer, fixed at 80 ms, is bypassed: packets are stamped as they arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs import get_capabilities

from voice_agent.load import wire
from voice_agent.load.errors import Busy, Unreachable
from voice_agent.load.mouth import Lag, Mouth, Stream
from voice_agent.load.speaking import FLOOR_DBFS, Speaking
from voice_agent.load.wav import HZ


class _Tap:
    """Stands where aiortc's receiver has its jitter buffer, and takes every packet at once."""

    def __init__(self, on_packet: Callable[[int, int, bytes], None]) -> None:
        self._on_packet = on_packet

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet; nothing is passed on to aiortc's decoder."""
        self._on_packet(packet.sequence_number, packet.timestamp, packet._data)
        return False, None


class Caller(Speaking):
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
        super().__init__(url, Stream(floor_dbfs), timeout_s)
        self._request_data = request_data
        self._mouth = Mouth(self._stream, self._pulse.set)
        self._decoder = av.CodecContext.create("libopus", "r")
        self._decoder.sample_rate = HZ
        self._decoder.format = "s16"
        self._decoder.layout = "mono"
        self._pinging: asyncio.Task[None] | None = None
        self._pc: RTCPeerConnection | None = None

    async def _dial(self) -> None:
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._pc.createDataChannel("rtvi-ai", ordered=True)
        self._wire_up(self._pc)
        await self._connect(self._pc)
        await self.until(lambda: self._channel.readyState == "open", "open the data channel")
        self._pinging = asyncio.create_task(self._ping())
        self._channel.send(wire.client_ready())
        await self.until(lambda: self.log.first("bot-ready") is not None, "say bot-ready")

    @property
    def _sent_s(self) -> Sequence[float]:
        return self._mouth.sent_s

    def lag(self) -> Lag:
        """Return how late the caller's own packets left so far."""
        return self._mouth.lag()

    def send(self, text: str) -> None:
        """Send a message of :mod:`voice_agent.load.wire` on the data channel."""
        self._channel.send(text)

    def _wire_up(self, connection: RTCPeerConnection) -> None:
        transceiver = connection.addTransceiver(self._mouth, direction="sendrecv")
        codecs = get_capabilities("audio").codecs
        transceiver.setCodecPreferences([each for each in codecs if each.mimeType == "audio/opus"])
        # aiortc has no setting for its jitter buffer; Pipecat replaces it the same way.
        vars(transceiver.receiver)["_RTCRtpReceiver__jitter_buffer"] = _Tap(self._on_packet)
        self._channel.on("message", self._told)
        self._channel.on("open", self._pulse.set)
        connection.on("connectionstatechange", lambda: self._on_state(connection))

    async def _connect(self, connection: RTCPeerConnection) -> None:
        await connection.setLocalDescription(await connection.createOffer())
        local = connection.localDescription
        offer: dict[str, Any] = {"sdp": local.sdp, "type": local.type}
        if self._request_data is not None:
            offer["requestData"] = dict(self._request_data)
        answer = await self._post(offer)
        try:
            await connection.setRemoteDescription(
                RTCSessionDescription(sdp=answer["sdp"], type=answer["type"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{self.url}/api/offer: no WebRTC answer came back") from error
        await self.until(lambda: connection.connectionState == "connected", "connect")

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

    def _on_state(self, connection: RTCPeerConnection) -> None:
        if connection.connectionState in ("failed", "closed", "disconnected"):
            self._lost = self._lost or f"the connection is {connection.connectionState}"
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
        if self._pc is not None:
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
