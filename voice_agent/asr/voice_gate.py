"""Which audio is worth recognising: from half a second before a voice to the end of its utterance.

Pure: no clock but the audio's own, no I/O.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from voice_agent.asr.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ

_BYTES_PER_MS = SAMPLE_RATE_HZ * SAMPLE_BYTES // 1000
_ONSET_MS = 60
"""Loud for this long is a voice (``by="energy"``)."""
_ABOVE_NOISE = 4.0
"""A voice is this many times the noise floor, 12 dB."""
_FAINTEST_RMS = 150.0
"""Nothing fainter than this is a voice: -47 dBFS."""
_RESUMED = 0.1
"""After an end asked for in mid-voice, the voice goes on with a frame of at least this share of the
loudest one."""


class VoiceGate:
    """Holds audio back until there is a voice, then lets all of it through until the end.

    ``by`` says who finds the voice: "vad", the pipeline's VAD frames; or "energy", the level of the
    audio, for bots that have no VAD.
    """

    def __init__(self, by: Literal["vad", "energy"], preroll_ms: float, silence_ms: float) -> None:
        """Keep ``preroll_ms`` before a voice; by energy, end after ``silence_ms`` without one."""
        self._by_energy = by == "energy"
        self._preroll_bytes = int(preroll_ms) * _BYTES_PER_MS
        self._silence_ms = silence_ms
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._voice = False
        """The VAD says that somebody speaks."""
        self._open = False
        """An utterance is under way: audio goes through."""
        self._noise = 50.0
        self._loudest = 0.0
        self._loud_ms = 0.0
        self._quiet_ms = 0.0

    @property
    def ended_by_silence(self) -> bool:
        """The utterance should be ended; never so when a VAD says it."""
        return self._by_energy and self._open and self._quiet_ms >= self._silence_ms

    def audio(self, pcm: bytes) -> bytes:
        """Take in audio and return what is to be recognised now: b"" while nobody speaks."""
        if not pcm:
            return b""
        self._measure(pcm)
        if self._open:
            return pcm
        self._hold(pcm)
        if self._by_energy:
            return self._release() if self._loud_ms >= _ONSET_MS else b""
        # The voice was already there when the last utterance was ended: does it go on?
        resumed = self._voice and self._level >= max(_FAINTEST_RMS, _RESUMED * self._loudest)
        return self._release() if resumed else b""

    def voice_started(self) -> bytes:
        """A VAD has found a voice; return the audio from before it."""
        self._voice = True
        self._loudest = 0.0
        return b"" if self._open else self._release()

    def voice_stopped(self) -> None:
        """A VAD has found silence; an utterance under way stays so."""
        self._voice = False

    def utterance_ended(self) -> None:
        """What comes now belongs to the next utterance."""
        self._open = False
        self._loud_ms = self._quiet_ms = 0.0

    def _hold(self, pcm: bytes) -> None:
        self._held.append(pcm)
        self._held_bytes += len(pcm)
        while self._held and self._held_bytes - len(self._held[0]) >= self._preroll_bytes:
            self._held_bytes -= len(self._held.popleft())

    def _release(self) -> bytes:
        self._open = True
        self._quiet_ms = 0.0
        pcm = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return pcm

    def _measure(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        self._level = float(np.sqrt(np.mean(samples * samples)))
        self._loudest = max(self._loudest, self._level)
        if not self._by_energy:
            return
        ms = len(pcm) / _BYTES_PER_MS
        # Falls with the level at once, rises over some seconds.
        rise = self._noise * (1 + 0.0002 * ms)
        self._noise = max(1.0, min(self._level, rise))
        if self._level >= max(_FAINTEST_RMS, _ABOVE_NOISE * self._noise):
            self._loud_ms += ms
            self._quiet_ms = 0.0
        else:
            self._loud_ms = 0.0
            self._quiet_ms += ms
