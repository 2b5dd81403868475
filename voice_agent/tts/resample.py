"""The audio of one reply at the rate and the loudness the transport sends, without seams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.int16]
# From 2.5 dB below full scale on, samples are bent instead of cut off. Without memory, so that no
# piece depends on how the audio was cut.
_KNEE = 24_576.0


def amplified(samples: Samples, gain: float) -> Samples:
    """Return ``samples`` times ``gain``, peaks rounded off below full scale."""
    if gain == 1.0:
        return samples
    scaled = samples.astype(np.float32) * np.float32(gain)
    over = np.abs(scaled) > _KNEE
    if over.any():
        room = 32_767.0 - _KNEE
        excess = np.abs(scaled[over]) - _KNEE
        scaled[over] = np.sign(scaled[over]) * (_KNEE + room * np.tanh(excess / room))
    rounded: Samples = np.rint(scaled).astype(np.int16)
    return rounded


class ReplyAudio:
    """One stream through one resampler from the first clause of a reply to its last.

    Clauses of a reply are written one after the other, so there is no click between them and
    nothing is lost at their ends. Used by one thread at a time; only ``cancelled`` is set from
    another.
    """

    def __init__(self, in_hz: int, out_hz: int, gain: float = 1.0) -> None:
        self.in_hz = in_hz
        self.out_hz = out_hz
        self.gain = gain
        """What brings the voice to its loudness; for the reply's whole length."""
        self.position = 0
        """Samples written so far, at ``in_hz``."""
        self.pause_ms = 0.0
        """Silence owed before the next clause; a reply that ends here never pays it."""
        self.cancelled = False
        """Nobody will hear the rest: stop synthesizing."""
        # LQ delays by 1 ms where HQ holds back 33 ms, which would be the end of every clause
        # until the next one comes. What it costs is a roll-off from 80 % of the band on.
        self._stream = (
            soxr.ResampleStream(in_hz, out_hz, 1, dtype="int16", quality="LQ")
            if in_hz != out_hz
            else None
        )

    def write(self, samples: Samples) -> bytes:
        """Return the audio that is ready after ``samples`` (int16 mono at ``in_hz``)."""
        self.position += len(samples)
        samples = amplified(samples, self.gain)
        if self._stream is None:
            return samples.tobytes()
        resampled: Samples = self._stream.resample_chunk(samples)
        return resampled.tobytes()

    def write_silence(self, ms: float) -> bytes:
        """Write ``ms`` of silence; see ``write``."""
        return self.write(np.zeros(round(ms * self.in_hz / 1000), np.int16))

    def finish(self) -> bytes:
        """Return what the resampler still holds; nothing can be written after this."""
        if self._stream is None or not self.position:
            return b""
        tail: Samples = self._stream.resample_chunk(np.zeros(0, np.int16), last=True)
        return tail.tobytes()

    def place(self, position: int) -> int:
        """Return the sample at ``out_hz`` that the sample ``position`` at ``in_hz`` becomes."""
        return round(position * self.out_hz / self.in_hz)


class Onset:
    """Leaves out the silence ahead of a reply: waiting that nobody asked for.

    Args:
        hz: Of the audio.
    """

    SILENCE = 100
    """Quieter samples are silence, int16."""
    MARGIN_MS = 10
    MOST_MS = 1_000
    """A voice that is silent for longer means it."""

    def __init__(self, hz: int) -> None:
        self.cut = 0
        """Samples left out."""
        self._hz = hz
        self._begun = False

    def __call__(self, samples: Samples) -> Samples:
        """Return what is to be heard of the next samples."""
        if self._begun:
            return samples
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > self.SILENCE)
        skip = len(samples)
        if len(loud):
            self._begun = True
            skip = max(0, int(loud[0]) - self._hz * self.MARGIN_MS // 1000)
        self.cut += skip
        self._begun |= self.cut > self._hz * self.MOST_MS // 1000
        return samples[skip:]
