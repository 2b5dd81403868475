"""Voice activity: Silero, loaded once per process, with the state of each caller kept apart.

Stock Pipecat loads the model for every session on the event loop (30 ms each) and gates it by
loudness, which reports the start of speech 60-160 ms late on a quiet line. Here the ONNX session
is shared, inference runs in one thread, and the model alone decides.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from voice_agent.media import HEARD_HZ, Pcm
from voice_agent.turns.settings import VadSettings

WINDOW = 512
"""Samples the model scores at once: 32 ms at 16 kHz."""
WINDOW_MS = WINDOW / HEARD_HZ * 1000.0

_FLOOR_DBFS = -50.0
_BELOW_PEAK_DB = 38.0
"""The end of speech is the last 10 ms above max(-50 dBFS, loudest 10 ms - 38 dB): the definition a
headless caller uses for the same sound, so both mean the same moment."""
_LEVELS = 100
"""10 ms levels remembered: one second."""
_RESET_WINDOWS = 62
"""After 2 s Silero's recurrent state is reset in the next silence: music and long silence leave it
deaf to what follows (pipecat.audio.vad.silero)."""


class Vad:
    """The shared model; ``start`` once, then one ``VoiceTracker`` a caller."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vad")
        self._model: Any = None

    async def start(self) -> None:
        """Load the model and score one window, off the loop."""
        self._model = await asyncio.get_running_loop().run_in_executor(self._thread, _load)

    def stream(self) -> VadStream:
        """Return a caller's own state on the shared model."""
        model = copy.copy(self._model)
        model.reset_states()
        return VadStream(model, self._thread)

    def stop(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _load() -> Any:
    from pipecat.audio.vad.silero import SileroOnnxModel

    with as_file(files("pipecat.audio.vad.data").joinpath("silero_vad.onnx")) as path:
        model = SileroOnnxModel(str(path))  # type: ignore[no-untyped-call]
    model(np.zeros(WINDOW, dtype=np.float32), HEARD_HZ)
    return model


class VadStream:
    """Scores one caller's windows in order."""

    def __init__(self, model: Any, thread: ThreadPoolExecutor) -> None:
        self._model = model
        self._thread = thread

    async def score(self, window: Pcm) -> float:
        """Return the probability that these 512 samples hold voice."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, window)

    def _score(self, window: Pcm) -> float:
        return float(self._model(window.astype(np.float32) / 32768.0, HEARD_HZ)[0].item())

    def reset(self) -> None:
        """Forget the past; only in silence."""
        self._model.reset_states()


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice has started (``on``) or stopped, at this moment of the media clock, ms."""

    on: bool
    at_ms: float


class VoiceTracker:
    """Turns window scores into the start and the end of voice. Pure: time comes with the audio."""

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self.on = False
        self._run_ms = 0.0
        self._onset_ms = 0.0
        self._last_voice_ms = 0.0
        self._levels: deque[tuple[float, float]] = deque(maxlen=_LEVELS)
        self._loudest = -120.0
        self._windows = 0
        self._low = 0

    def window(self, pcm: Pcm, began_ms: float, score: float) -> Voice | None:
        """Take one scored window that began at ``began_ms``; return a change of voice, if any."""
        ended_ms = began_ms + WINDOW_MS
        self._note_levels(pcm, began_ms)
        self._windows += 1
        self._low = self._low + 1 if score < 0.1 else 0
        if not self.on:
            if score < self._settings.threshold:
                self._run_ms = 0.0
                return None
            if self._run_ms == 0.0:
                self._onset_ms = began_ms
                self._loudest = -120.0
            self._run_ms += WINDOW_MS
            if self._run_ms < self._settings.start_ms:
                return None
            self.on, self._run_ms = True, 0.0
            self._last_voice_ms = ended_ms
            self._loudest = max((db for at, db in self._levels if at > self._onset_ms), default=0)
            return Voice(True, self._onset_ms)
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
        self.on, self._run_ms = False, 0.0
        return Voice(False, self._end_of_speech_ms())

    def due_reset(self) -> bool:
        """Whether the model should forget the past now; asked once per window."""
        if self.on or self._windows < _RESET_WINDOWS or self._low < 5:
            return False
        self._windows = 0
        return True

    def _note_levels(self, pcm: Pcm, began_ms: float) -> None:
        step = HEARD_HZ // 100
        for index in range(0, pcm.size - step + 1, step):
            part = pcm[index : index + step].astype(np.float32)
            rms = float(np.sqrt(np.mean(part * part))) / 32768.0
            level = 20 * float(np.log10(rms)) if rms > 0 else -120.0
            self._levels.append((began_ms + (index + step) / HEARD_HZ * 1000.0, level))
            if self.on:
                self._loudest = max(self._loudest, level)

    def _end_of_speech_ms(self) -> float:
        threshold = max(_FLOOR_DBFS, self._loudest - _BELOW_PEAK_DB)
        levels = list(self._levels)
        if not levels or max(level for _, level in levels[-3:]) > threshold:
            return self._last_voice_ms  # a noisy line: only the model can tell
        ends = [ended_ms for ended_ms, level in levels if level > threshold]
        return max(ends[-1], self._onset_ms) if ends else self._last_voice_ms
