"""A neural audio codec decoded piece by piece: what comes out is what decoding all at once gives.

The decoder is causal, but remembers: a frame sounds as it does because of those before it. Every
piece is therefore decoded with some of the frames ahead of it, whose audio is thrown away. With 16
of them a sample differs from its value in one go by less than a thousandth of full scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from voice_agent.tts.resample import Samples

__all__ = ["CodecStream"]

CONTEXT = 16
"""Frames decoded again ahead of a piece."""
PIECES = (4, 6, 8, 12)
"""Frames of the first pieces, then of all that follow: the first one soon, the later ones cheap."""


class CodecStream:
    """One stream of frames, in order, from its first to its last.

    Args:
        decode: Frames, int64 of shape (1, codebooks, frames), to audio, float32 in [-1, 1] of
            shape (frames * samples_per_frame,).
        samples_per_frame: Audio samples a frame becomes.
        concatenate: Joins tensors along the frames.
    """

    def __init__(
        self,
        decode: Callable[[Any], Any],
        samples_per_frame: int,
        concatenate: Callable[[list[Any]], Any],
    ) -> None:
        self._decode = decode
        self._per_frame = samples_per_frame
        self._concatenate = concatenate
        self._context: Any = None
        self._waiting: list[Any] = []
        self._pieces = 0

    @property
    def waiting(self) -> int:
        """Frames that have come and are not decoded."""
        return sum(frames.shape[-1] for frames in self._waiting)

    def feed(self, frames: Any) -> Samples:
        """Add frames, shape (1, codebooks, n); return the audio of what is worth decoding now."""
        self._waiting.append(frames)
        if self.waiting < PIECES[min(self._pieces, len(PIECES) - 1)]:
            return np.zeros(0, np.int16)
        return self.flush()

    def flush(self) -> Samples:
        """Return the audio of all that waits."""
        if not self._waiting:
            return np.zeros(0, np.int16)
        count = self.waiting
        known = [] if self._context is None else [self._context]
        frames = self._concatenate([*known, *self._waiting])
        self._waiting, self._context = [], frames[..., -CONTEXT:]
        self._pieces += 1
        audio = np.asarray(self._decode(frames), np.float32)[-count * self._per_frame :]
        samples: Samples = np.rint(np.clip(audio, -1.0, 1.0) * 32_767.0).astype(np.int16)
        return samples

    def restart_pieces(self) -> None:
        """Be quick with the next piece again: somebody may be waiting for it."""
        self._pieces = 0
