"""Read PocketSphinx's stock English trigram model (``en-us.lm.bin``) into numpy arrays.

The wheel can score with this file but its ARPA writer crashes on it, and pruning and mixing need
every n-gram. The format is sphinxbase's trie: a bit-packed, 16-bit quantized KenLM layout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"Trie Language Model"
_BINS = 1 << 16
_LOG10_OF_BASE = np.log10(1.0001)
"""Probabilities are stored as logarithms to the base 1.0001."""


@dataclass(frozen=True, slots=True)
class StockModel:
    """All n-grams of a trigram model; probabilities and back-off weights are log10."""

    words: list[str]
    unigram: NDArray[np.float64]
    unigram_backoff: NDArray[np.float64]
    bigrams: NDArray[np.int64]
    """Shape (n, 2): word numbers, history first; sorted by history."""
    bigram: NDArray[np.float64]
    bigram_backoff: NDArray[np.float64]
    trigrams: NDArray[np.int64]
    """Shape (n, 3): word numbers in spoken order."""
    trigram: NDArray[np.float64]


def _bits(largest: int) -> int:
    return max(1, int(largest).bit_length())


def _field(memory: NDArray[np.uint8], at: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return the ``width``-bit little-endian integers that start at the bits ``at``."""
    first = at >> 3
    word = np.zeros(len(at), dtype=np.uint64)
    for byte in range(8):
        word |= memory[first + byte].astype(np.uint64) << np.uint64(8 * byte)
    shifted = word >> (at & 7).astype(np.uint64)
    return (shifted & np.uint64((1 << width) - 1)).astype(np.int64)


def _parents(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each child the number of its parent, whose children begin at ``starts``."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def read_stock_model(path: Path) -> StockModel:
    """Read a trigram model written by sphinxbase.

    Raises:
        ValueError: Not such a file.
    """
    raw = path.read_bytes()
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC)] != 3:
        raise ValueError(f"{path} is not a trigram model in sphinxbase's binary format")
    at = len(_MAGIC) + 1
    n1, n2, n3 = struct.unpack_from("<3I", raw, at)
    at += 12 + 4  # the counts, then the quantizer's type
    tables = np.frombuffer(raw, "<f4", 3 * _BINS, at).astype(np.float64)
    at += 3 * _BINS * 4
    unigrams = np.frombuffer(
        raw, np.dtype([("prob", "<f4"), ("bo", "<f4"), ("next", "<u4")]), n1 + 1, at
    )
    at += (n1 + 1) * 12
    memory = np.frombuffer(raw, np.uint8, offset=at)

    word_bits, next_bits = _bits(n1), _bits(n3)
    width = word_bits + 32 + next_bits
    middle_bytes = ((1 + n2) * width + 7) // 8 + 8
    longest = memory[middle_bytes:]
    longest_bytes = ((1 + n3) * (word_bits + 16) + 7) // 8 + 8
    n2 = int(unigrams["next"][-1])  # fewer than announced: the converter dropped duplicates
    start = np.arange(n2 + 1, dtype=np.int64) * width
    second = _field(memory, start[:n2], word_bits)
    bo2 = _field(memory, start[:n2] + word_bits, 16)
    prob2 = _field(memory, start[:n2] + word_bits + 16, 16)
    next2 = _field(memory, start + word_bits + 32, next_bits)
    n3 = int(next2[-1])

    width = word_bits + 16
    start = np.arange(n3, dtype=np.int64) * width
    third = _field(longest, start, word_bits)
    prob3 = _field(longest, start + word_bits, 16)

    at += middle_bytes + longest_bytes
    (length,) = struct.unpack_from("<I", raw, at)
    words = raw[at + 4 : at + 4 + length].split(b"\0")[:n1]

    # The trie is walked from the predicted word back through its history.
    parent2 = _parents(unigrams["next"].astype(np.int64))
    parent3 = _parents(next2)
    return StockModel(
        words=[word.decode() for word in words],
        unigram=unigrams["prob"][:n1].astype(np.float64) * _LOG10_OF_BASE,
        unigram_backoff=unigrams["bo"][:n1].astype(np.float64) * _LOG10_OF_BASE,
        bigrams=np.stack([second, parent2], axis=1),
        bigram=tables[:_BINS][prob2] * _LOG10_OF_BASE,
        bigram_backoff=tables[_BINS : 2 * _BINS][bo2] * _LOG10_OF_BASE,
        trigrams=np.stack([third, second[parent3], parent2[parent3]], axis=1),
        trigram=tables[2 * _BINS :][prob3] * _LOG10_OF_BASE,
    )
