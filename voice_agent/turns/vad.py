"""Voice activity: Silero, loaded once per process, with the state of each caller kept apart.

Stock Pipecat loads the model for every session on the event loop (30 ms each) and gates it by
loudness, which reports the start of speech 60-160 ms late on a quiet line. Here the ONNX session
is shared, and the model alone decides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import islice
from math import log10
from typing import Any

import numpy as np

from voice_agent.media import HEARD_HZ, Pcm
from voice_agent.turns.settings import VadSettings

WINDOW = 512
"""Samples the model scores at once: 32 ms at 16 kHz."""
_CONTEXT = 64
_SILENT = np.zeros((2, 1, 128), dtype=np.float32)
_HEARD_HZ = np.array(HEARD_HZ, dtype=np.int64)
WINDOW_MS = WINDOW / HEARD_HZ * 1000.0

_FLOOR_DBFS = -50.0
_BELOW_PEAK_DB = 38.0
"""The end of speech is the last 10 ms above max(-50 dBFS, loudest 10 ms - 38 dB): the definition a
headless caller uses for the same sound, so both mean the same moment."""
_ABOVE_NOISE_DB = 8.0
"""On a noisy line a voice is at least so much above the noise."""
_DISPUTED_MS = 160.0
_ONSET_LAG_MS = 120.0
"""The model may notice a soft onset so much later than the level does."""
_RECENT_MS = 1500.0
"""A voice that comes back within this is the same voice, as loud as before."""
_LEVELS = 100
"""10 ms levels remembered: one second."""
_RESET_WINDOWS = 62
"""After 2 s Silero's recurrent state is reset in the next silence: music and long silence leave it
deaf to what follows (pipecat.audio.vad.silero)."""


class Vad:
    """The shared model; ``start`` once, then one ``VadStream`` and ``VoiceTracker`` a caller."""

    def __init__(self) -> None:
        self._session: Any = None

    async def start(self) -> None:
        """Load the model and score one window, off the loop."""
        self._session = await asyncio.to_thread(_load)

    def stream(self) -> VadStream:
        """Return a caller's own state on the shared model."""
        return VadStream(self._session)


def _load() -> Any:
    from pipecat.audio.vad.silero import SileroOnnxModel

    with as_file(files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")) as path:
        session = SileroOnnxModel(str(path)).session  # type: ignore[no-untyped-call]
    VadStream(session).score(np.zeros(WINDOW, dtype=np.int16))
    return session


class VadStream:
    """Scores one caller's windows in order.

    The model sees the last 64 samples of the window before in front of each window, and carries a
    recurrent state (both as pipecat.audio.vad.silero.SileroOnnxModel has it, which checks and
    copies more than the model itself computes).
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = np.zeros((1, _CONTEXT + WINDOW), dtype=np.float32)
        self._state = _SILENT

    def score(self, window: Pcm) -> float:
        """Return the probability that these 512 samples hold voice; takes about 0.1 ms.

        That is less than a thread and back would cost the event loop.
        """
        self._input[0, :_CONTEXT] = self._input[0, WINDOW:]
        np.multiply(window, 1 / 32768.0, out=self._input[0, _CONTEXT:], casting="unsafe")
        feed = {"input": self._input, "state": self._state, "sr": _HEARD_HZ}
        scores, self._state = self._session.run(None, feed)
        return float(scores[0, 0])

    def reset(self) -> None:
        """Forget the past; only in silence."""
        self._state = _SILENT
        self._input[:] = 0.0


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice has started (``on``) or stopped, at this moment of the media clock, ms."""

    on: bool
    at_ms: float


class VoiceTracker:
    """Turns window scores and levels into the start and the end of voice.

    The model knows what is voice but says so in windows of 32 ms and keeps saying it for some time
    after the last word; the level knows the moment, but not on a noisy line. So voice begins when
    the model says so and ends when either does; what the model calls voice in what the level calls
    silence must go on for ``_DISPUTED_MS`` to be believed. Pure: time comes with the audio.
    """

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self.on = False
        self._soft = False
        """The model insisted on a voice that the level calls silence: only the model ends it."""
        self._run_ms = 0.0
        self._onset_ms = 0.0
        self._last_voice_ms = 0.0
        self._ended_ms = 0.0
        self._levels: deque[tuple[float, float]] = deque(maxlen=_LEVELS)
        self._noise = _Floor()
        self._loudest = -120.0
        self._windows = 0
        self._low = 0

    def configure(self, settings: VadSettings) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    def packet(self, pcm: Pcm, began_ms: float) -> Voice | None:
        """Take audio as it arrives; return the end of voice if its level says so."""
        for number, level in enumerate(_levels(pcm), 1):
            self._noise.take(level)
            self._levels.append((began_ms + number * 10.0, level))
            if self.on:
                self._loudest = max(self._loudest, level)
        quiet = max(1, round(self._settings.stop_ms / 10.0))
        if not self.on or self._soft or len(self._levels) < quiet:
            return None
        threshold = self._threshold()
        recent = islice(reversed(self._levels), quiet)
        return self.silence() if all(level <= threshold for _, level in recent) else None

    def window(self, began_ms: float, score: float) -> Voice | None:
        """Take one scored window that began at ``began_ms``; return a change of voice, if any."""
        ended_ms = began_ms + WINDOW_MS
        self._windows += 1
        self._low = self._low + 1 if score < 0.1 else 0
        if not self.on:
            return self._maybe_start(began_ms, ended_ms, score)
        if score >= self._settings.release_threshold:
            self._last_voice_ms = ended_ms
            self._run_ms = 0.0
            return None
        self._run_ms += WINDOW_MS
        if self._run_ms < self._settings.stop_ms:
            return None
        return self.silence()

    def silence(self) -> Voice | None:
        """The voice has stopped, or no audio comes any more; return that, if it was on."""
        if not self.on:
            return None
        soft, self._soft = self._soft, False
        self.on, self._run_ms = False, 0.0
        self._ended_ms = self._last_voice_ms if soft else self._end_of_speech_ms()
        return Voice(False, self._ended_ms)

    def due_reset(self) -> bool:
        """Whether the model should forget the past now; asked once per window."""
        if self.on or self._windows < _RESET_WINDOWS or self._low < 5:
            return False
        self._windows = 0
        return True

    def _maybe_start(self, began_ms: float, ended_ms: float, score: float) -> Voice | None:
        if score < self._settings.threshold:
            self._run_ms = 0.0
            return None
        if self._run_ms == 0.0:
            self._onset_ms = began_ms
        self._run_ms += WINDOW_MS
        resuming = began_ms - self._last_voice_ms < _RECENT_MS
        if not resuming:
            self._loudest = -120.0
        # The window in which the voice ended was loud once, and is no new voice.
        loudest = self._loudest_since(max(self._onset_ms, self._ended_ms))
        silent = resuming and loudest <= self._threshold()
        if silent and loudest <= _FLOOR_DBFS:
            return None  # the model's echo of what it heard before
        if self._run_ms < (_DISPUTED_MS if silent else self._settings.start_ms):
            return None
        self.on, self._soft, self._run_ms = True, silent, 0.0
        self._last_voice_ms = ended_ms
        self._loudest = max(self._loudest, loudest)
        self._onset_ms = self._first_sound_ms()
        return Voice(True, self._onset_ms)

    def _first_sound_ms(self) -> float:
        """Return where the sound that the model has just called voice began: it takes a while."""
        began_ms = self._onset_ms
        for ended_ms, level in reversed(self._levels):
            if ended_ms > self._onset_ms:
                continue
            if level <= self._threshold() or self._onset_ms - ended_ms > _ONSET_LAG_MS:
                break
            began_ms = ended_ms - 10.0
        return began_ms

    def _loudest_since(self, ms: float) -> float:
        return max((level for at, level in self._levels if at > ms), default=-120.0)

    def _threshold(self) -> float:
        """Level at or below which this speaker, on this line, is silent, dBFS."""
        return max(_FLOOR_DBFS, self._loudest - _BELOW_PEAK_DB, self._noise.dbfs + _ABOVE_NOISE_DB)

    def _end_of_speech_ms(self) -> float:
        threshold = max(_FLOOR_DBFS, self._loudest - _BELOW_PEAK_DB)
        levels = list(self._levels)
        if not levels or max(level for _, level in levels[-3:]) > threshold:
            threshold = self._threshold()  # a noisy line
        if not levels or max(level for _, level in levels[-3:]) > threshold:
            return self._last_voice_ms  # a very noisy line: only the model can tell
        ends = [ended_ms for ended_ms, level in levels if level > threshold]
        return max(ends[-1], self._onset_ms) if ends else self._last_voice_ms


class _Floor:
    """The noise of a line: the level a tenth of the last three seconds stays under, dBFS."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=300)
        self._until_next = 0
        self.dbfs = -120.0

    def take(self, level: float) -> None:
        self._levels.append(level)
        self._until_next -= 1
        if self._until_next <= 0 and len(self._levels) >= 50:
            self._until_next = 10
            self.dbfs = sorted(self._levels)[len(self._levels) // 10]


def _levels(pcm: Pcm) -> list[float]:
    """Return the level of each whole 10 ms, dBFS."""
    step = HEARD_HZ // 100
    frames = pcm[: pcm.size // step * step].reshape(-1, step).astype(np.float32)
    full_scale = 32768.0**2 * step
    energies: list[float] = np.einsum("ij,ij->i", frames, frames).tolist()
    return [10 * log10(energy / full_scale) if energy > 0 else -120.0 for energy in energies]
