"""A telephone line's audio: samples as carriers write them, and the caller's voice in order.

One resampler stays with the line from its first packet to its last. It delays by 2 ms and gives a
packet for a packet, where soxr's block-wise stages hold 58 ms (LQ) to 108 ms (HQ) of 8 kHz speech
back. Packets that come late, twice, in the wrong order or not at all become one
unbroken stream: a gap is silence. Pure but for the resampler; time is an argument.
"""

from __future__ import annotations

import audioop
from dataclasses import dataclass
from math import log10

import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from voice_agent.media import HEARD_HZ, HeardAudio, Pcm
from voice_agent.transports.jitter import MediaClock, VoiceJitterBuffer
from voice_agent.transports.telephony.wire import Encoding, Format, Media

LONGEST_GAP_MS = 500.0
"""Audio lost on the way is replaced by silence up to this long, so that time stays time."""
WHOLE_PACKET = 0.9
"""A gap shorter than this share of a packet is a stamp that is not exact."""
HELD_UP_MS = 40.0
"""A packet this late is missed: silence takes its place from then on."""
CLIPPED = 32_000
"""A sample this loud is at the end of the scale: G.711 ends at 32124 and 32256."""
MEDIA_HZ = 48_000
"""Rate of ``MediaClock``."""
_PRIMING = 16
"""Samples at the lower rate that fill the resampler's filter: written as silence first, so that
the first packet comes out whole."""


def decoded(payload: bytes, encoding: Encoding) -> Pcm:
    """Return the samples of a packet; an odd byte at its end is dropped."""
    if encoding is Encoding.L16:
        return np.frombuffer(payload[: len(payload) // 2 * 2], dtype="<i2").astype(np.int16)
    decode = audioop.ulaw2lin if encoding is Encoding.PCMU else audioop.alaw2lin
    return np.frombuffer(decode(payload, 2), dtype=np.int16)


def encoded(pcm: Pcm, encoding: Encoding) -> bytes:
    """Return samples as a carrier wants them."""
    data = pcm.astype("<i2").tobytes()
    if encoding is Encoding.L16:
        return data
    return audioop.lin2ulaw(data, 2) if encoding is Encoding.PCMU else audioop.lin2alaw(data, 2)


def _between() -> NDArray[np.float32]:
    """Return the taps of the samples half way between those of a line at half the rate."""
    offsets = np.arange(2 * _PRIMING) - _PRIMING + 0.5
    taps = np.sinc(offsets) * np.kaiser(2 * _PRIMING, 8.0)
    made: NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return made


_BETWEEN = _between()


class Doubler:
    """Twice the rate: the samples there are, and one computed between each two of them.

    What telephones need, at an eighth of what libswresample takes for packets of 20 ms.
    """

    def __init__(self) -> None:
        self._past = np.zeros(2 * _PRIMING - 1, dtype=np.int16)

    def write(self, pcm: Pcm) -> Pcm:
        """Return twice as many samples as came in, ``_PRIMING`` of the slower ones later."""
        known = np.concatenate((self._past, pcm))
        self._past = known[pcm.size :]
        out = np.empty(2 * pcm.size, dtype=np.int16)
        out[0::2] = known[_PRIMING - 1 : _PRIMING - 1 + pcm.size]
        between = np.convolve(known.astype(np.float32), _BETWEEN, "valid")
        np.minimum(np.rint(between, out=between), 32767, out=between)  # half of what np.clip takes
        out[1::2] = np.maximum(between, -32768, out=between)
        return out


class Resampler:
    """One direction of a line, one stream from its first sample to its last.

    ``delay_ms`` is how much later a sample comes out than it went in.
    """

    def __init__(self, in_hz: int, out_hz: int) -> None:
        self._in_hz = in_hz
        self._doubler = Doubler() if out_hz == 2 * in_hz else None
        self._resampler: AudioResampler | None = None
        self.delay_ms = _PRIMING / in_hz * 1000.0 if self._doubler is not None else 0.0
        if in_hz != out_hz and self._doubler is None:
            self._resampler = AudioResampler("s16", "mono", out_hz)
            priming = _PRIMING * max(in_hz, out_hz) // out_hz
            self.delay_ms = priming / in_hz * 1000.0
            self._put(np.zeros(priming, dtype=np.int16))

    def write(self, pcm: Pcm) -> Pcm:
        """Return as much audio as came in."""
        if self._doubler is not None:
            return self._doubler.write(pcm)
        return pcm if self._resampler is None or not pcm.size else self._put(pcm)

    def _put(self, pcm: Pcm) -> Pcm:
        assert self._resampler is not None
        frame = AudioFrame.from_ndarray(pcm[np.newaxis, :], "s16", "mono")
        frame.sample_rate = self._in_hz
        parts = [part.to_ndarray()[0] for part in self._resampler.resample(frame)]
        out: Pcm = np.concatenate(parts).astype(np.int16) if parts else pcm[:0]
        return out


@dataclass(slots=True)
class Level:
    """How loud one direction of a line is, and what was cut off at the end of the scale."""

    samples: int = 0
    clipped: int = 0
    peak: int = 0
    _energy: float = 0.0
    _loud: int = 0

    def take(self, pcm: Pcm) -> None:
        """Count a packet; silence is left out of the level."""
        if not pcm.size:
            return
        data = pcm.tobytes()
        peak = audioop.max(data, 2)
        self.samples += pcm.size
        self.peak = max(self.peak, peak)
        if peak >= CLIPPED:
            self.clipped += int(np.count_nonzero(np.abs(pcm.astype(np.int32)) >= CLIPPED))
        if peak > 100:  # -50 dBFS
            self._energy += float(audioop.rms(data, 2)) ** 2 * pcm.size
            self._loud += pcm.size

    @property
    def dbfs(self) -> float:
        """Level of what was not silence, dB relative to full scale; -120 for nothing."""
        if not self._loud or not self._energy:
            return -120.0
        return 10.0 * log10(self._energy / self._loud / 32768.0**2)

    @property
    def peak_dbfs(self) -> float:
        """Level of the loudest sample."""
        return 20.0 * log10(self.peak / 32768.0) if self.peak else -120.0


@dataclass(slots=True)
class _Packet:
    """A packet as the jitter buffer sorts it."""

    sequence_number: int
    timestamp: int
    _data: bytes


class Inbound:
    """The caller's side of a line; see the module's docstring.

    Media time is counted in samples of 48 kHz from the first packet's first on, as ``MediaClock``
    counts it. A packet that does not come is silence twice over: while nothing comes, once
    ``patience_ms`` is over (it may only be held up, so no more than what time has passed since),
    and by its place in the stream, when the next one shows the gap; the second takes the first into
    account. Packets that were only held up are heard late, not dropped.

    Args:
        format: What the carrier sends.
    """

    def __init__(self, format: Format) -> None:
        self._format = format
        self._resampler = Resampler(format.hz, HEARD_HZ)
        self._now = 0.0
        self._jitter = VoiceJitterBuffer(lambda: self._now)
        self._counted = 0
        """Packets so far that had no number of their own."""
        self._first: Media | None = None
        self._paused = 0
        """How long the sender has paused so far, where only the clock can tell, media time."""
        self._expected: int | None = None
        """Media time of the sample that should come next."""
        self._filled = 0
        """Silence put in since the last packet, media time."""
        self._arrived = 0.0
        """When the last packet arrived."""
        self.patience_ms = HELD_UP_MS
        """How long after a packet the next one is missed: its length, and ``HELD_UP_MS``."""
        self.level = Level()
        self.packets = 0
        self.silence_ms = 0.0
        """Silence put in for what was lost or did not come."""

    def media(self, media: Media, now: float) -> list[HeardAudio]:
        """Take a packet that arrived at ``now`` (ms); return what can be heard because of it."""
        samples = len(media.payload) // self._format.encoding.sample_bytes
        if not samples:
            return []
        self.packets += 1
        since, self._now, self._arrived = now - self._arrived, now, now
        length = self._media_time(samples)
        self.patience_ms = length / MEDIA_HZ * 1000.0 + HELD_UP_MS
        if self._first is None:
            self._first = media
            self._jitter.media_clock = MediaClock(length / MEDIA_HZ * 1000.0)
        number = self._counted if media.number is None else media.number
        self._counted += 1
        heard = self._resumed(since, length) if media.at_ms is None else []
        packet = _Packet(number & 0xFFFF, self._timestamp(media, number, length), media.payload)
        _, frame = self._jitter.add(packet)
        while frame is not None:
            heard += self._frame(frame.data, frame.timestamp, now)
            frame = self._jitter.backlog.popleft() if self._jitter.backlog else None
        return heard

    def stalled(self, ms: float, now: float) -> list[HeardAudio]:
        """Return ``ms`` of silence in place of packets that did not come; nothing at the start."""
        return self._silence(round(ms * MEDIA_HZ / 1000.0), now)

    def figures(self) -> dict[str, float]:
        """Return what a trace should know of the line."""
        return {
            "in_packets": self.packets,
            "in_lost": self._jitter.lost,
            "in_late": self._jitter.late,
            "in_silence_ms": round(self.silence_ms, 1),
            "in_dbfs": round(self.level.dbfs, 1),
            "in_peak_dbfs": round(self.level.peak_dbfs, 1),
            "in_clipped": self.level.clipped,
        }

    def _media_time(self, samples: int) -> int:
        return samples * MEDIA_HZ // self._format.hz

    def _timestamp(self, media: Media, number: int, length: int) -> int:
        assert self._first is not None
        if media.at_ms is not None and self._first.at_ms is not None:
            return round((media.at_ms - self._first.at_ms) * MEDIA_HZ / 1000.0)
        # Nobody says when it was recorded: packets are taken to be of one length.
        return (number - (self._first.number or 0)) * length + self._paused

    def _resumed(self, since_ms: float, length: int) -> list[HeardAudio]:
        """Return the rest of a stall's silence: without media times, the sender had paused."""
        if not self._filled or self._expected is None:
            return []
        stalled = round(since_ms * MEDIA_HZ / 1000.0) - length
        heard = self._silence(stalled - self._filled, self._now)
        self._paused += self._filled
        self._expected += self._filled
        self._filled = 0
        return heard

    def _frame(self, data: bytes, timestamp: int, now: float) -> list[HeardAudio]:
        pcm = decoded(data, self._format.encoding)
        self.level.take(pcm)
        length = self._media_time(pcm.size)
        heard: list[HeardAudio] = []
        if self._expected is None:
            self._expected = timestamp
        elif (gap := timestamp - self._expected) > length * WHOLE_PACKET:
            longest = round(LONGEST_GAP_MS * MEDIA_HZ / 1000.0)
            heard += self._silence(min(gap - self._filled, longest), now)
            self._expected = timestamp
        self._filled = 0
        heard.append(self._heard(self._resampler.write(pcm), timestamp, now))
        self._expected += length
        return heard

    def _silence(self, length: int, now: float) -> list[HeardAudio]:
        samples = length * self._format.hz // MEDIA_HZ
        if samples <= 0 or self._expected is None:
            return []
        self.silence_ms += samples / self._format.hz * 1000.0
        silence = self._resampler.write(np.zeros(samples, dtype=np.int16))
        heard = self._heard(silence, self._expected + self._filled, now)
        self._filled += length
        return [heard]

    def _heard(self, pcm: Pcm, timestamp: int, now: float) -> HeardAudio:
        captured_ms = self._jitter.media_clock.captured_ms(timestamp) - self._resampler.delay_ms
        return HeardAudio(pcm.tobytes(), captured_ms, now)
