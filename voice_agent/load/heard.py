"""What a caller heard: an agent's packets on one line of time, and what can be measured on it.

Pure: no sockets, no asyncio, no clock. Times are seconds of whatever monotonic clock stamped the
packets. A moment in the sound is the *arrival of the packet that held it*, as if the caller had no
play-out buffer: buffers differ between browsers, the network's part does not.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from voice_agent.load.wav import FRAME, HZ, Samples, frame_dbfs

AUDIBLE_DBFS = -45.0
"""A sample louder than this is sound; frames quieter than this are silence."""

SILENCE_FRAMES = 10
"""This many quiet 10 ms frames in a row are silence."""

DUCK_DB = 6.0
SILENT_DBFS = -120.0
_AUDIBLE = 10 ** (AUDIBLE_DBFS / 20) * 32768
_CLOCK_JUMP = HZ // 2
"""A sender's timestamps may drift this far from the arrivals before they are set right, samples."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """How an agent's sound changed after a moment; None for what did not happen."""

    ducked_ms: float | None
    """Until its level had fallen by 6 dB for 100 ms."""
    silent_ms: float | None
    """Until it was below -45 dBFS for 100 ms."""


class Heard:
    """The agent's sound so far, in 10 ms frames; see the module's docstring.

    Packets must be decoded and added in the order they arrive. Gaps (lost packets, or a sender
    that sends nothing in silence) are silence.
    """

    def __init__(self) -> None:
        self.lost = 0
        """Packets that never came, or came after a later one."""
        self.packets = 0
        self.last_sound_s = -math.inf
        """Arrival of the latest packet with sound in it."""
        self._arrivals: list[float] = []
        self._levels: list[float] = []
        self._peaks: list[float] = []
        self._audio: list[Samples] = []
        self._origin: tuple[float, int] | None = None
        self._shift = 0
        self._last_sequence = 0

    @property
    def started_s(self) -> float | None:
        """Arrival of the first packet."""
        return self._origin[0] if self._origin else None

    def is_late(self, sequence: int) -> bool:
        """Whether a packet of this 16-bit number comes twice, or after a later one."""
        return (
            self._origin is not None and not 0 < (sequence - self._last_sequence) & 0xFFFF < 0x8000
        )

    def add(self, arrived_s: float, sequence: int, timestamp: int, samples: Samples) -> None:
        """Append one decoded packet; ``timestamp`` counts samples, modulo 2**32."""
        if self._origin is None:
            self._origin = (arrived_s, timestamp)
        else:
            self.lost += ((sequence - self._last_sequence) & 0xFFFF) - 1
        self._last_sequence = sequence
        self.packets += 1
        position = self._position(arrived_s, timestamp)
        while len(self._levels) < position:
            last = self._arrivals[-1] if self._arrivals else arrived_s
            self._append(min(last + 0.01, arrived_s), SILENT_DBFS, 0.0, np.zeros(FRAME, np.int16))
        levels = frame_dbfs(samples)
        for index, level in enumerate(levels):
            frame = samples[index * FRAME : (index + 1) * FRAME]
            peak = float(np.abs(frame.astype(np.int32)).max())
            if peak > _AUDIBLE:
                self.last_sound_s = arrived_s
            self._append(arrived_s, float(level), peak, frame)

    def _append(self, arrived_s: float, level: float, peak: float, frame: Samples) -> None:
        self._arrivals.append(arrived_s)
        self._levels.append(level)
        self._peaks.append(peak)
        self._audio.append(frame)

    def _position(self, arrived_s: float, timestamp: int) -> int:
        """Return the 10 ms frame a packet belongs at, at or after the end of what there is.

        A sender may stand still in silence without its timestamps knowing; then arrivals decide.
        """
        assert self._origin is not None
        since = (timestamp - self._origin[1]) & 0xFFFFFFFF
        expected = round((arrived_s - self._origin[0]) * HZ)
        # An hour and more of call: the 32 bits wrap, arrivals say how often.
        since += round((expected - self._shift - since) / 2**32) * 2**32
        if abs(since + self._shift - expected) > _CLOCK_JUMP:
            self._shift = expected - since
        return max(round((since + self._shift) / FRAME), len(self._levels))

    def sound_after(self, since_s: float) -> float | None:
        """Return when the first packet with sound in it arrived at or after ``since_s``."""
        for index in range(bisect_left(self._arrivals, since_s), len(self._peaks)):
            if self._peaks[index] > _AUDIBLE:
                return self._arrivals[index]
        return None

    def silence_after(self, since_s: float) -> float | None:
        """Return when 100 ms of silence began, at or after ``since_s``."""
        return self._below(since_s, AUDIBLE_DBFS)

    def onset_after(self, since_s: float) -> float | None:
        """Return when sound began anew: the first sound behind 100 ms of silence."""
        silent_s = self.silence_after(since_s)
        return None if silent_s is None else self.sound_after(silent_s)

    def is_silent_at(self, at_s: float) -> bool:
        """Whether there was no sound in the 100 ms before ``at_s``."""
        end = bisect_left(self._arrivals, at_s)
        return all(peak <= _AUDIBLE for peak in self._peaks[max(0, end - SILENCE_FRAMES) : end])

    def loudness_before(self, at_s: float, window_s: float = 0.5) -> float:
        """Return the level that one frame in ten exceeded in the ``window_s`` before, dBFS."""
        start = bisect_left(self._arrivals, at_s - window_s)
        end = bisect_left(self._arrivals, at_s)
        return float(np.percentile(self._levels[start:end], 90)) if end > start else SILENT_DBFS

    def reaction(self, since_s: float, until_s: float = math.inf) -> Reaction:
        """Return how long after ``since_s`` the sound that was playing was ducked and silent."""
        ducked_s = self._below(since_s, self.loudness_before(since_s) - DUCK_DB)
        silent_s = self.silence_after(since_s)
        return Reaction(
            *(
                None if at_s is None or at_s > until_s else (at_s - since_s) * 1000
                for at_s in (ducked_s, silent_s)
            )
        )

    def spans(self, since_s: float, gap_s: float) -> list[tuple[float, float]]:
        """Return when sound began and ended since, by arrival; gaps up to ``gap_s`` are bridged."""
        spans: list[tuple[float, float]] = []
        for index in range(bisect_left(self._arrivals, since_s), len(self._levels)):
            if self._levels[index] < AUDIBLE_DBFS:
                continue
            at_s = self._arrivals[index]
            if spans and at_s - spans[-1][1] <= gap_s:
                spans[-1] = (spans[-1][0], at_s)
            else:
                spans.append((at_s, at_s))
        return spans

    def stalls(self, longer_s: float) -> list[float]:
        """Return how long nothing arrived, seconds, each time it was longer than ``longer_s`` in
        the middle of sound."""
        return [
            late
            for index in range(1, len(self._arrivals))
            if (late := self._arrivals[index] - self._arrivals[index - 1]) > longer_s
            and min(self._levels[index], self._levels[index - 1]) >= AUDIBLE_DBFS
        ]

    def _below(self, since_s: float, dbfs: float) -> float | None:
        run = 0
        for index in range(bisect_left(self._arrivals, since_s), len(self._levels)):
            run = run + 1 if self._levels[index] < dbfs else 0
            if run == SILENCE_FRAMES:
                return self._arrivals[index - SILENCE_FRAMES + 1]
        return None

    def audio(self) -> Samples:
        """Return everything heard with its real timing, 48 kHz mono from the first packet on."""
        return np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)

    def audio_between(self, start_s: float, end_s: float) -> Samples:
        """Return what arrived in between, 48 kHz mono."""
        start, end = (bisect_left(self._arrivals, at_s) for at_s in (start_s, end_s))
        return np.concatenate([np.zeros(0, np.int16), *self._audio[start:end]])
