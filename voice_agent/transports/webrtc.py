"""A browser over WebRTC: Pipecat's SmallWebRTC connection, with the waiting taken out.

Signalling, data channel and keep-alive are ``SmallWebRTCConnection``'s, so that every SmallWebRTC
client connects. Audio takes its own way: in through a jitter buffer that holds nothing it need not
(aiortc's holds 80 ms), out by pulling from playout one Opus packet at a time, the first one of an
answer at once instead of at the next tick.
"""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler
from loguru import logger
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from voice_agent.errors import BadOffer
from voice_agent.media import HEARD_HZ, AudioSource, HeardAudio, now_ms
from voice_agent.transports.jitter import VoiceJitterBuffer

OUT_HZ = 48_000
PACKET = OUT_HZ // 50
"""Samples of one Opus packet: 20 ms."""
MESSAGES_MAX = 200
"""Client messages waiting to be read; more are dropped."""
LOST_AFTER_MS = 6000.0
"""Neither a keep-alive nor audio for this long: the client is gone."""
LONGEST_GAP_MS = 500.0
"""Audio lost on the way is replaced by silence up to this long, so that time stays time."""


class WebRtcTransport:
    """One client's peer connection, as a conversation sees it."""

    name = "webrtc"
    audio_out_hz = OUT_HZ

    def __init__(self, connection: SmallWebRTCConnection) -> None:
        self._connection: Any = connection  # Pipecat's class is not typed throughout
        self.ids: Mapping[str, str] = {}
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MESSAGES_MAX)
        self._gone = asyncio.Event()
        self._jitter = VoiceJitterBuffer()
        self._voice: VoiceTrack | None = None
        self._last_audio_ms = now_ms()
        self._liveness: asyncio.TimerHandle | None = None
        for state in ("closed", "failed", "disconnected"):
            connection.event_handler(state)(self._on_gone)
        connection.event_handler("app-message")(self._on_message)

    @classmethod
    async def answer(
        cls, sdp: str, *, ice_servers: list[str] | None = None
    ) -> tuple[WebRtcTransport, dict[str, str]]:
        """Answer a client's offer; return the transport and the answer (sdp, type, pc_id).

        Raises:
            BadOffer: The SDP cannot be used.
        """
        connection = SmallWebRTCConnection(ice_servers=ice_servers or [])
        transport = cls(connection)
        await transport._negotiate(sdp)
        await transport._connection.connect()
        answer: dict[str, str] | None = transport._connection.get_answer()
        if answer is None:
            await transport.close()
            raise BadOffer("the offer could not be answered")
        return transport, answer

    async def renegotiate(self, sdp: str) -> dict[str, str]:
        """Answer a later offer of the same client on the same connection.

        Raises:
            BadOffer: The SDP cannot be used.
        """
        try:
            await self._connection.renegotiate(sdp=sdp, type="offer")
        except Exception as error:
            raise BadOffer(f"the offer cannot be used: {_short(error)}") from error
        self._listen_to_the_voice_alone()
        if self._voice is not None:
            self._connection.replace_audio_track(self._voice)
        answer: dict[str, str] | None = self._connection.get_answer()
        if answer is None:
            raise BadOffer("the offer could not be answered")
        return answer

    async def add_candidate(self, candidate: Any) -> None:
        """Take one more ICE candidate of the client; None ends them."""
        await self._connection.add_ice_candidate(candidate)

    async def _negotiate(self, sdp: str) -> None:
        try:
            await self._connection.initialize(sdp=sdp, type="offer")
        except Exception as error:
            # aiortc reports a bad SDP by ValueError, KeyError, AssertionError and more.
            await self.close()
            raise BadOffer(f"the offer cannot be used: {_short(error)}") from error
        if not any(each.kind == "audio" for each in self._connection.pc.getTransceivers()):
            await self.close()
            raise BadOffer("the offer has no audio in it")
        self._install_jitter_buffer()
        # Made now, because Pipecat's wrapper switches its receiver off when it is made, which would
        # be when the browser first says whether it is muted.
        self._connection.audio_input_track()
        self._listen_to_the_voice_alone()

    # ----- audio in -----

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield the user's audio as it is decoded; ends when the client has gone."""
        self._watch_liveness()
        track = self._receiver().track
        resampler = AudioResampler("s16", "mono", HEARD_HZ)
        expected_ms: float | None = None
        while not self._gone.is_set():
            try:
                frame = await track.recv()
            except MediaStreamError:
                break
            if not isinstance(frame, AudioFrame) or frame.pts is None:
                continue
            self._last_audio_ms = arrived_ms = now_ms()
            captured_ms = self._jitter.media_clock.captured_ms(frame.pts)
            if expected_ms is not None and 10.0 < captured_ms - expected_ms < LONGEST_GAP_MS:
                lost = int((captured_ms - expected_ms) * HEARD_HZ / 1000.0)
                yield HeardAudio(bytes(2 * lost), expected_ms, arrived_ms)
            for part in resampler.resample(frame):
                pcm = part.to_ndarray().astype(np.int16).tobytes()
                heard = HeardAudio(pcm, captured_ms, arrived_ms)
                captured_ms += heard.duration_ms
                yield heard
            expected_ms = captured_ms
        # A client may take its microphone away and stay: to listen, or to type.
        await self._gone.wait()

    def _receiver(self) -> Any:
        # aiortc's RTCRtpReceiver; what is set on it are private parts, for want of others.
        return next(
            each.receiver for each in self._connection.pc.getTransceivers() if each.kind == "audio"
        )

    def _listen_to_the_voice_alone(self) -> None:
        """Receive audio; what else a client sends (video) would be decoded and kept for nobody."""
        voice = self._receiver()
        for receiver in self._connection.pc.getReceivers():
            receiver._enabled = receiver is voice

    def _install_jitter_buffer(self) -> None:
        receiver = self._receiver()
        jitter = self._jitter
        # aiortc has no setting for its buffer; Pipecat replaces the video one the same way.
        receiver._RTCRtpReceiver__jitter_buffer = jitter
        handle = receiver._handle_rtp_packet
        decoder = receiver._RTCRtpReceiver__decoder_queue
        codecs = receiver._RTCRtpReceiver__codecs
        media_time = receiver._RTCRtpReceiver__timestamp_mapper

        async def handle_and_catch_up(packet: Any, arrival_time_ms: int) -> None:
            await handle(packet, arrival_time_ms)
            while jitter.backlog:
                frame = jitter.backlog.popleft()
                frame.timestamp = media_time.map(frame.timestamp)
                decoder.put((codecs[packet.payload_type], frame))

        receiver._handle_rtp_packet = handle_and_catch_up

    # ----- audio out -----

    def play(self, source: AudioSource) -> None:
        """Send what ``source`` has to say, silence when nothing, until closed."""
        self._voice = VoiceTrack(source)
        self._connection.replace_audio_track(self._voice)

    def figures(self) -> dict[str, float]:
        """Return what a trace should know of the line so far."""
        figures = {
            "in_lost": float(self._jitter.lost),
            "in_late": float(self._jitter.late),
            "in_jitter_packets": float(self._jitter.depth),
        }
        for sender in self._connection.pc.getSenders():
            # As the far end's RTCP reports say; aiortc tells it only to who awaits its statistics.
            rtt_s = getattr(sender, "_RTCRtpSender__rtt", None)
            if rtt_s is not None:
                figures["rtt_ms"] = round(rtt_s * 1000.0, 1)
        return figures

    # ----- messages -----

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the client's messages; ends when it has gone."""
        while (message := await self._messages.get()) is not None:
            yield message

    def send(self, message: dict[str, Any]) -> None:
        """Send a message over the data channel; queued until it opens, dropped once gone."""
        if not self._gone.is_set():
            self._connection.send_app_message(message)

    async def _on_message(self, connection: SmallWebRTCConnection, message: Any) -> None:
        if isinstance(message, dict):
            try:
                self._messages.put_nowait(message)
            except asyncio.QueueFull:
                logger.warning("a client's messages come faster than they are read: one dropped")

    # ----- the end -----

    async def close(self) -> None:
        """Hang up; idempotent."""
        self._leave()
        if self._voice is not None:
            self._voice.stop()
        await self._connection.disconnect()
        await self._connection.cleanup()

    async def _on_gone(self, connection: SmallWebRTCConnection) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        if self._liveness is not None:
            self._liveness.cancel()
        for receiver in self._connection.pc.getReceivers():
            receiver.track.stop()
            receiver.track._queue.put_nowait(None)  # wakes heard(), which waits on it
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait(None)

    def _watch_liveness(self) -> None:
        pinged = self._connection._last_received_time is not None
        silent_ms = now_ms() - self._last_audio_ms
        if pinged and not self._connection.is_connected() and silent_ms > LOST_AFTER_MS:
            self._leave()
            return
        self._liveness = asyncio.get_running_loop().call_later(2.0, self._watch_liveness)


class VoiceTrack(MediaStreamTrack):
    """The agent's voice as aiortc's sender reads it: a packet every 20 ms, on an absolute grid.

    While the agent is silent the next packet waits for the grid or for something to say, whichever
    comes first: an answer's first packet leaves at once, at most one packet ahead of the grid.
    """

    kind = "audio"

    def __init__(self, source: AudioSource) -> None:
        super().__init__()
        self._source = source
        self._sent = 0
        self._began: float | None = None
        self._silent = True

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms, 48 kHz mono int16, when they are due."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        due = self._began + self._sent * 0.02
        if loop.time() - due > 0.5:  # the process stood still: do not send what is long past
            self._began += loop.time() - due
        elif loop.time() < due:
            await self._wait(due)
        samples = self._source.pull(PACKET)
        self._silent = not samples.any()
        frame = AudioFrame.from_ndarray(samples[np.newaxis, :], layout="mono")
        frame.sample_rate = OUT_HZ
        frame.pts = self._sent * PACKET
        frame.time_base = fractions.Fraction(1, OUT_HZ)
        self._sent += 1
        return frame

    async def _wait(self, due: float) -> None:
        if not self._silent:
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            return
        # Whatever the source says, never more than one packet ahead of the grid.
        await asyncio.sleep(max(0.0, due - 0.02 - asyncio.get_running_loop().time()))
        try:
            async with asyncio.timeout_at(due):
                await self._source.wait_audible()
        except TimeoutError:
            return


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
