"""Words a caller is likely to say: they win against others that sound alike, never against silence.

A transducer decides token by token. A phrase list becomes the set of all beginnings of its phrases;
a token that carries a beginning on is preferred. The decision between a token and the blank is the
model's alone, so that nothing is heard that was not said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voice_agent.asr_server.words import BEGIN

FIRST_TOKEN = 0.3
"""Of the boost, for the token a phrase begins with: it fits many words that are not meant."""


class Boost:
    """A phrase list for one vocabulary of tokens; shared by streams that were given the same.

    Args:
        phrases: As they are written.
        score: Added to the log-odds of a token; Riva's clients give 4 to 20 or so.
        pieces: The vocabulary, SentencePiece's pieces.
    """

    def __init__(self, phrases: Sequence[str], score: float, pieces: Sequence[str]) -> None:
        self._pieces = list(pieces)
        self._score = score
        self._beginnings = {
            written[:end]
            for phrase in phrases
            if (written := "".join(BEGIN + word for word in phrase.split()))
            for end in range(1, len(written) + 1)
        }
        self._bonuses: dict[tuple[str, ...], NDArray[np.float32]] = {}

    def follow(self, live: tuple[str, ...], piece: str) -> tuple[str, ...]:
        """Return the beginnings that the text ends with after ``piece``; () at the start."""
        longer = [text + piece for text in (*live, "") if text + piece in self._beginnings]
        return tuple(longer)

    def bonus(self, live: tuple[str, ...]) -> NDArray[np.float32]:
        """Return what to add to each token's score, shape (tokens,)."""
        known = self._bonuses.get(live)
        if known is None:
            known = np.zeros(len(self._pieces), np.float32)
            for index, piece in enumerate(self._pieces):
                if any(text + piece in self._beginnings for text in live):
                    known[index] = self._score
                elif piece.startswith(BEGIN) and piece in self._beginnings:
                    known[index] = FIRST_TOKEN * self._score
            if len(self._bonuses) < 4096:
                self._bonuses[live] = known
        return known
