"""Keys as the sounds that telephones make, for lines that cannot send them in any other way."""

from __future__ import annotations

import numpy as np
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.audio.dtmf.utils import load_dtmf_audio

from voice_agent.media import Pcm

KEY_MS, PAUSE_MS = 120.0, 80.0
"""Long enough for every exchange: ITU-T Q.24 wants 40 ms of each."""


async def tones(keys: str, hz: int) -> Pcm:
    """Return how ``keys`` (``0123456789*#``) sound, one after the other."""
    pause = np.zeros(round(PAUSE_MS / 1000.0 * hz), dtype=np.int16)
    parts: list[Pcm] = []
    for key in keys:
        sound = await load_dtmf_audio(KeypadEntry(key), sample_rate=hz)
        parts += [np.frombuffer(sound, dtype=np.int16)[: round(KEY_MS / 1000.0 * hz)], pause]
    return np.concatenate([pause, *parts])
