"""A telephone line in between: a synthetic voice says it, the embedded recogniser hears it."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "corpus"))
from hear import RECOGNISER, recognised

from voice_agent.asr.pocketsphinx_worker import load_decoder


class Ear:
    """Hears one caller after another, each in one voice; the decoder is kept, as in a call."""

    VOICES = ("flite-slt", "flite-rms", "flite-awb", "flite-kal16")

    def __init__(self, seed: int, voices: tuple[str, ...] = VOICES) -> None:
        self._rng = random.Random(seed)
        self._voices = voices
        self._decoders = {voice: load_decoder(RECOGNISER) for voice in voices}
        self._voice = voices[0]

    def next_caller(self) -> None:
        self._voice = self._rng.choice(self._voices)

    def hear(self, said: str) -> str:
        with tempfile.TemporaryDirectory() as cache:
            return recognised(self._decoders[self._voice], self._voice, said, Path(cache)) or "um"
