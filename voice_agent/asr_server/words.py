"""From a stream's tokens to what is reported: words with times, and what is new since a final.

Pure. A final may be asked for at any moment and is decoded on a copy of the stream; the stream
itself goes on as if nobody had asked. What the final has told is not told again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_agent.riva.words import Word, untold

BEGIN = "▁"
"""How a SentencePiece token says that a word begins with it."""


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of text and the encoder frame it came out at."""

    piece: str
    frame: int


def words_of(tokens: Sequence[Token], frame_ms: int) -> list[Word]:
    """Join tokens into words."""
    words: list[Word] = []
    for token in tokens:
        text = token.piece
        start, end = token.frame * frame_ms, (token.frame + 1) * frame_ms
        if text.startswith(BEGIN) or not words:
            words.append(Word(text.removeprefix(BEGIN), start, end))
        else:
            last = words[-1]
            words[-1] = Word(last.text + text, last.start_ms, end)
    return [word for word in words if word.text]


class Transcript:
    """What a client has been told of a stream, and so what is still to be told."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def partial(self, words: Sequence[Word]) -> list[Word]:
        """Return what a partial transcript says, ``words`` being all the stream has kept."""
        return untold(words, self._told)

    def final(self, words: Sequence[Word], forgotten: int) -> list[Word]:
        """Return what a final transcript says.

        Args:
            words: Of the copy that was decoded to its end, all that the stream had kept then.
            forgotten: How many of those, from the first on, the stream keeps no longer.
        """
        said = untold(words, self._told)
        self._told = [word.text for word in words[forgotten:]]
        return said


def whole_words(tokens: Sequence[Token]) -> tuple[int, int]:
    """Return how many words cannot change any more, and how many tokens they are."""
    begins = [at for at, token in enumerate(tokens) if at == 0 or token.piece.startswith(BEGIN)]
    if len(begins) < 2:
        return 0, 0
    return len(words_of(tokens[: begins[-1]], 1)), begins[-1]
