"""One loudness for every voice, as EBU R 128 measures it (ITU-R BS.1770: K-weighted and gated).

A voice is measured once, over sentences with every kind of sound in them, and played with the one
gain that brings these to the target. A gain that followed the speech would even out what makes it
speech, and would have to hear the end of a clause before its beginning could be played.
"""

from __future__ import annotations

from collections.abc import Sequence

import loudness
import numpy as np

from voice_agent.tts.resample import Samples

__all__ = ["REFERENCE", "TARGET_LUFS", "gain_to", "integrated_lufs"]

TARGET_LUFS = -21.0
"""Between broadcast (-23) and what browsers play (-16 to -20); speech at this loudness peaks about
3 dB below full scale, so next to nothing has to be limited."""
REFERENCE: Sequence[str] = (
    "Of course, I have a table for four people at seven thirty.",
    "Would you like to sit inside, or rather in the garden behind the house?",
    "Thank you very much, goodbye.",
    "The kitchen is open every day from noon until eleven in the evening.",
)
"""What a voice says when it is measured."""
MOST_GAIN = 10.0
"""20 dB: a voice fainter than that is broken, and amplifying it would not mend it."""


def integrated_lufs(samples: Samples, hz: int) -> float:
    """Return the integrated loudness of int16 mono audio, LUFS; -inf for silence.

    Raises:
        ValueError: Shorter than the 400 ms that the measure is defined over.
    """
    value: float = loudness.integrated_loudness(samples.astype(np.float32) / 32768.0, hz)
    return value


def gain_to(target_lufs: float, samples: Samples, hz: int) -> float:
    """Return the factor that brings ``samples`` to ``target_lufs``; 1.0 where nothing is heard."""
    try:
        measured = integrated_lufs(samples, hz)
    except ValueError:
        return 1.0
    if not np.isfinite(measured):
        return 1.0
    return float(min(10.0 ** ((target_lufs - measured) / 20.0), MOST_GAIN))
