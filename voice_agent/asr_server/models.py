"""What a streaming transducer must be able to do to be served; each backend is one file beside it.

All calls come from one worker thread. Streams are handled in batches; what a model keeps of a
stream is opaque and never changed in place, so that a stream is copied by copying references.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.asr_server.mel import Floats

DOWNSAMPLING = 8
"""Mel frames an encoder frame stands for."""
PRE_ENCODE = 9
"""Mel frames before a chunk that its down-sampling sees again."""
FRAME_MS = 80


class ModelError(RuntimeError):
    """A model cannot be loaded; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next piece of one stream."""

    mel: Floats
    """Shape (frames, bands); behind the first chunk, ``PRE_ENCODE`` frames of history included."""
    cache: Any
    """What the encoder returned for the chunk before; None at the beginning."""


class Model(ABC):
    """A cache-aware encoder, a predictor and a joint network.

    Attributes:
        name: What clients are told.
        look_ahead: Encoder frames of future the encoder waits for, the R of [70, R].
        bands: Mel bands.
        pieces: SentencePiece's pieces by token; the blank is one more, the last.
        batches: Whether many streams at once are cheaper, and equal to each alone.
    """

    name: str
    look_ahead: int
    bands: int
    pieces: list[str]
    batches: bool = True
    first_frames: int
    """Mel frames of a stream's first chunk."""

    @property
    def chunk_frames(self) -> int:
        """Mel frames of every other chunk, history aside."""
        return DOWNSAMPLING * (self.look_ahead + 1)

    @property
    def chunk_ms(self) -> int:
        """Audio of a chunk, ms."""
        return FRAME_MS * (self.look_ahead + 1)

    @abstractmethod
    def encode(self, chunks: Sequence[Chunk]) -> tuple[list[Any], list[Any]]:
        """Return the encoder's frames of each chunk, shape (frames, width), and the next caches.

        The chunks are all first ones, or all later ones.
        """

    @abstractmethod
    def predict(self, tokens: Sequence[int], states: Sequence[Any]) -> list[Any]:
        """Return the predictor's state after one more token each; a state holds its output too.

        The blank before anything was said and the state None begin a stream.
        """

    @abstractmethod
    def join(self, frames: Sequence[Any], states: Sequence[Any]) -> NDArray[np.float32]:
        """Return the logits of one encoder frame each, shape (streams, tokens + 1)."""
