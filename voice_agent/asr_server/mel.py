"""The acoustic model's features, exact and incremental.

NeMo's log-mel, computed once for every sample and never again: a stream's features come out equal
to those of the whole recording, whatever pieces it arrives in, and their cost does not grow. (In
NeMo's own streaming pipelines the frames at the edges of chunks are wrong, and a wrapper that
recomputes everything is slower with every chunk.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RATE_HZ = 16_000
HOP = 160
_REACH = 200
"""Samples a frame sees on either side of its centre, ``HOP`` times its number."""
_N_FFT = 512
_GUARD = 2.0**-24


def mel_filters(bands: int, rate_hz: int = RATE_HZ, n_fft: int = _N_FFT) -> Floats:
    """Return Slaney's mel filters as librosa makes them, shape (bands, n_fft / 2 + 1)."""
    linear_hz, log_from_hz, per_mel = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0
    log_from_mel = log_from_hz / linear_hz

    def to_mel(hz: float) -> float:
        if hz < log_from_hz:
            return hz / linear_hz
        return float(log_from_mel + np.log(hz / log_from_hz) / per_mel)

    mels = np.linspace(0.0, to_mel(rate_hz / 2), bands + 2)
    hz = np.where(
        mels < log_from_mel,
        mels * linear_hz,
        log_from_hz * np.exp(per_mel * (mels - log_from_mel)),
    )
    bins = np.linspace(0.0, rate_hz / 2, n_fft // 2 + 1)
    slopes = hz[:, None] - bins[None, :]
    widths = np.diff(hz)
    rising, falling = -slopes[:-2] / widths[:-1, None], slopes[2:] / widths[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    return (filters * (2.0 / (hz[2:] - hz[:-2]))[:, None]).astype(np.float32)


@dataclass(slots=True)
class MelState:
    """What a stream's features still need of its audio; copied by copying."""

    pcm: Floats
    """Samples that later frames see, from ``start`` on."""
    start: int = -_REACH - 1
    """Number of the first sample of ``pcm``; those before the first are silence."""
    frames: int = 0
    """Frames that have come out."""

    @property
    def samples(self) -> int:
        """Samples taken in so far."""
        return self.start + len(self.pcm)


class Mel:
    """Turns samples into log-mel frames.

    Args:
        bands: Mel bands of a frame.
        preemphasis: NeMo's default unless the model's configuration says otherwise.
    """

    def __init__(self, bands: int = 128, preemphasis: float = 0.97) -> None:
        self.bands = bands
        self._preemphasis = np.float32(preemphasis)
        self._filters = mel_filters(bands).T.astype(np.float32)
        self._window = np.hanning(2 * _REACH).astype(np.float32)

    def new(self) -> MelState:
        """Return the state of a stream that begins."""
        return MelState(np.zeros(_REACH + 1, np.float32))

    def take(self, state: MelState, pcm: Floats) -> Floats:
        """Take in samples (n,) and return the frames they complete, shape (frames, bands).

        A frame is complete when the last sample it sees is there: 12.5 ms after its centre.
        """
        state.pcm = np.concatenate([state.pcm, pcm])
        count = max(0, (state.samples - _REACH) // HOP + 1 - state.frames)
        first = state.frames * HOP - _REACH  # the first sample the next frame sees
        if not count:
            return np.zeros((0, self.bands), np.float32)
        at = first - 1 - state.start
        raw = state.pcm[at : at + (count - 1) * HOP + 2 * _REACH + 1]
        sound = raw[1:] - self._preemphasis * raw[:-1]
        seen = np.lib.stride_tricks.sliding_window_view(sound, 2 * _REACH)[::HOP]
        spectrum = np.fft.rfft(seen * self._window, _N_FFT)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        state.frames += count
        keep = state.frames * HOP - _REACH - 1 - state.start
        state.pcm = state.pcm[keep:]
        state.start += keep
        mel: Floats = np.log(power @ self._filters + np.float32(_GUARD))
        return mel

    def samples_for(self, state: MelState, frames: int) -> int:
        """Return how many samples the stream has when so many more frames are complete."""
        return max(0, (state.frames + frames - 1) * HOP + _REACH)
