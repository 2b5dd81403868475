"""Speech to play at an agent: a sound file of any kind as 48 kHz mono, and where its voice is.

Where the voice ends is the zero point of every latency here, so it is defined once: the end of the
last 10 ms whose RMS is above -50 dBFS and above the loudest 10 ms less 38 dB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]
import soxr

from voice_agent.load.errors import WavError

HZ = 48_000
"""Sample rate of everything played and heard here: what Opus over WebRTC runs at."""

FRAME = HZ // 100
"""Samples in the 10 ms that levels are taken over."""

QUIETEST_SPEECH_DBFS = -50.0
SPEECH_BELOW_PEAK_DB = 38.0
LONGEST_S = 120.0

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Speech:
    """Something to say, and when its voice starts and ends."""

    samples: Samples
    """48 kHz mono."""
    start_ms: float
    """First voice, from the start of ``samples``."""
    end_ms: float
    """Last voice, from the start of ``samples``."""
    name: str = ""
    """What to call it in a report; a file's name."""

    @property
    def duration_s(self) -> float:
        """Length of ``samples``, silence included."""
        return len(self.samples) / HZ


def frame_dbfs(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the RMS of every whole 10 ms frame, in dBFS; digital silence is -120."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.mean((frames / 32768.0) ** 2, axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12)), dtype=np.float64)


def voice_span_ms(samples: Samples) -> tuple[float, float] | None:
    """Return where voice starts and ends, in ms; None when there is none."""
    padded = np.pad(samples, (0, -len(samples) % FRAME))
    levels = frame_dbfs(padded)
    if not len(levels):
        return None
    threshold = max(QUIETEST_SPEECH_DBFS, float(levels.max()) - SPEECH_BELOW_PEAK_DB)
    voiced = np.flatnonzero(levels > threshold)
    if not len(voiced):
        return None
    return float(voiced[0] * 10), min((voiced[-1] + 1) * 10.0, len(samples) * 1000 / HZ)


def speech(samples: Samples, name: str = "", *, end_ms: float | None = None) -> Speech:
    """Make a :class:`Speech` of 48 kHz mono samples.

    Args:
        samples: The sound.
        name: What to call it.
        end_ms: Where the voice truly ends, when that is known better than from the sound.

    Raises:
        WavError: There is no voice in it, or ``end_ms`` lies outside it.
    """
    span = voice_span_ms(samples)
    if span is None:
        raise WavError(
            f"{name or 'speech'}: nothing above {QUIETEST_SPEECH_DBFS:g} dBFS in it; "
            "record it louder, or check that it is the right file"
        )
    if end_ms is None:
        end_ms = span[1]
    duration_ms = len(samples) * 1000 / HZ
    if not span[0] < end_ms <= duration_ms + 1:
        raise WavError(
            f"{name or 'speech'}: its speech cannot end at {end_ms:g} ms: voice starts "
            f"at {span[0]:g} ms and the sound is {duration_ms:.0f} ms long"
        )
    return Speech(samples, span[0], min(end_ms, duration_ms), name)


def read_wav(
    path: str | Path, *, end_ms: float | None = None, longest_s: float = LONGEST_S
) -> Speech:
    """Read a sound file of any rate, width and number of channels.

    Args:
        path: A WAV, or anything else libsndfile reads.
        end_ms: Where the voice truly ends; found from the sound when None.
        longest_s: Refuse what is longer: a call plays in real time.

    Raises:
        WavError: Missing, not a sound file, empty, too long, or silent.
    """
    path = Path(path)
    if not path.is_file():
        raise WavError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(path) as file:
            hz, frames = file.samplerate, file.frames
            if frames == 0:
                raise WavError(f"{path}: it holds no audio at all; record it again")
            if frames / hz > longest_s:
                raise WavError(
                    f"{path}: {frames / hz:.0f} s long, and calls play in real time; "
                    f"cut it to {longest_s:g} s or less"
                )
            sound = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        why = error.error_string.strip().rstrip(".")
        raise WavError(
            f"{path}: not a sound file that can be read ({why}); save it as WAV, for example: "
            "ffmpeg -i IN -ac 1 out.wav"
        ) from error
    mono = np.nan_to_num(sound.mean(axis=1))
    if hz != HZ:
        mono = soxr.resample(mono, hz, HZ)
    samples = np.clip(np.round(mono * 32768.0), -32768, 32767).astype(np.int16)
    return speech(samples, str(path), end_ms=end_ms)


def write_wav(path: str | Path, samples: Samples, hz: int = HZ) -> None:
    """Write mono samples as a 16-bit WAV.

    Raises:
        WavError: The place cannot be written to.
    """
    try:
        soundfile.write(str(path), samples, hz, subtype="PCM_16", format="WAV")
    except (OSError, soundfile.LibsndfileError) as error:
        raise WavError(f"{path}: cannot be written: {error}") from error
