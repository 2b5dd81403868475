"""The caller's microphone: a packet of sound every 20 ms on an absolute clock.

Packets are encoded before they are due, so that nothing stands between the clock and the socket,
and a faint noise floor never stops, as from a real microphone. How late each packet left is kept:
a caller that lags measures itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from voice_agent.load.wav import HZ, Samples, Speech

PACKET = HZ // 50
PACKET_S = 0.02
BITS_PER_SECOND = 32_000
"""Opus, mono: what a browser sends for a voice."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Where a piece of speech lies in the stream of packets, by packet number."""

    speech: Speech
    first: int
    """The packet with its first voice."""
    last: int
    """The packet whose last sample is the last of its voice."""
    end: int
    """The packet its sound ends in."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How late packets left the caller, ms: trust no latency much smaller than this."""

    p99_ms: float
    max_ms: float


def noise_floor(dbfs: float, seconds: float = 2.0) -> Samples:
    """Return a loop of white noise; the same one every time."""
    noise = np.random.default_rng(7).normal(0.0, 10 ** (dbfs / 20) * 32768, int(HZ * seconds))
    return np.round(noise[: len(noise) // PACKET * PACKET]).astype(np.int16)


class Stream:
    """What is sent, packet by packet: speech over the noise floor. Pure.

    Args:
        floor_dbfs: RMS of the noise that is always there.
        held_back: Samples that a resampler behind this holds back at the end of a packet.
    """

    def __init__(self, floor_dbfs: float, held_back: int = 0) -> None:
        self._floor = noise_floor(floor_dbfs)
        self._held_back = held_back
        self._pending: list[tuple[int, Samples]] = []
        self.next = 0
        """Number of the packet that is made next."""

    def put(self, speech: Speech) -> Utterance:
        """Mix speech in from the next packet on.

        It is shifted by less than a packet, so that its voice ends with a packet's last sample:
        then "the packet that held the last sample" says when the voice ended to the sample.
        """
        voice_end = round(speech.end_ms * HZ / 1000)
        lead = -(voice_end + self._held_back) % PACKET
        start = self.next * PACKET + lead
        self._pending.append((start, speech.samples))
        return Utterance(
            speech,
            first=(start + round(speech.start_ms * HZ / 1000)) // PACKET,
            last=(start + voice_end + self._held_back) // PACKET - 1,
            end=(start + len(speech.samples) - 1) // PACKET,
        )

    def packet(self) -> Samples:
        """Return the next 20 ms, 48 kHz mono."""
        start = self.next * PACKET
        self.next += 1
        offset = start % len(self._floor)
        mixed = self._floor[offset : offset + PACKET].astype(np.int32)
        for begin, samples in self._pending:
            part = samples[max(0, start - begin) : max(0, start + PACKET - begin)]
            at = max(0, begin - start)
            mixed[at : at + len(part)] += part
        self._pending = [
            (at, each) for at, each in self._pending if at + len(each) > start + PACKET
        ]
        return np.clip(mixed, -32768, 32767).astype(np.int16)


class Mouth(MediaStreamTrack):
    """The track of a :class:`Stream`; aiortc pulls it."""

    kind = "audio"

    def __init__(self, stream: Stream, on_sent: Callable[[], None]) -> None:
        super().__init__()
        self.sent_s: list[float] = []
        """When each packet left, by packet number; monotonic seconds."""
        self.due_s: list[float] = []
        """When each packet had to leave."""
        self._stream = stream
        self._on_sent = on_sent
        self._origin_s = 0.0
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.sample_rate = HZ
        self._encoder.format = "s16"
        self._encoder.layout = "mono"
        self._encoder.bit_rate = BITS_PER_SECOND
        self._encoder.options = {"application": "voip"}
        self._encoder.time_base = Fraction(1, HZ)

    async def recv(self) -> av.Packet[av.AudioStream]:
        """Return the next packet when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        number = self._stream.next
        frame = av.AudioFrame.from_ndarray(self._stream.packet()[None, :], "s16", "mono")
        frame.sample_rate = HZ
        frame.pts = number * PACKET
        frame.time_base = Fraction(1, HZ)
        [packet] = self._encoder.encode(frame)
        packet.pts = number * PACKET
        packet.time_base = Fraction(1, HZ)
        if not self.sent_s:
            self._origin_s = time.monotonic()
        due_s = self._origin_s + number * PACKET_S
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        self.due_s.append(due_s)
        self.sent_s.append(time.monotonic())
        self._on_sent()
        return packet

    def lag(self) -> Lag:
        """Return how late the packets so far were."""
        if not self.sent_s:
            return Lag(0.0, 0.0)
        late_ms = (np.array(self.sent_s) - np.array(self.due_s)) * 1000
        return Lag(float(np.percentile(late_ms, 99)), float(late_ms.max()))
