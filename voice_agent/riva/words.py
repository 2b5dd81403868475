"""Words as they are recognised, and which of them are news. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word; times in ms from the start of the stream, 0 where nobody tells."""

    text: str
    start_ms: int = 0
    end_ms: int = 0


def untold(words: Sequence[Word], told: Sequence[str]) -> list[Word]:
    """Return the words that a final transcript has not told yet.

    Args:
        words: What a stream has heard since the beginning of ``told``.
        told: What was told as final of the same stretch, before the stream itself was sure.

    The stream hears what was told, only later: its words are those of ``told`` as far as they go,
    the last one perhaps not yet whole. Where it comes to another word after all, that is news.
    """
    for at, word in enumerate(words):
        if at == len(told):
            return list(words[at:])
        if word.text == told[at] or (at == len(words) - 1 and told[at].startswith(word.text)):
            continue
        return list(words[at:])
    return []
