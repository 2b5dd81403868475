"""How likely it is that a turn ends after the words so far: the text half of endpointing.

A pause after "i'd like a table for" is a pause; after "a table for four please" it is an end.
Sound alone cannot tell the two apart; a few words and the agent's last question can. The model
is a logistic regression over hashed word patterns (``models/turn-words``: card, training data,
scripts), takes well under 0.2 ms and needs numpy only.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from voice_agent.turns.asked import asked_for, progress
from voice_agent.turns.spoken_forms import FILLERS, spoken_words, word_kinds

__all__ = ["TurnWords", "TurnWordsError", "WordModel", "features"]

WEIGHTS_FILE = "turn-words.npz"
FORMAT = 1
"""Raised whenever :func:`features` changes: weights fit the features they were trained on."""
_LONGEST = 60  # words looked at; no turn's end depends on more, and a call's time stays bounded


class TurnWords(Protocol):
    """What tells from words whether a turn is over; a language model can fill it as well."""

    def end_probability(self, words: str, agent_said: str) -> float:
        """Return the probability, 0 to 1, that the turn ends here, given that a pause began here.

        Args:
            words: The user's turn so far, as any recogniser writes it.
            agent_said: What the agent said last; "" when it has said nothing.
        """
        ...


class TurnWordsError(RuntimeError):
    """The model file is missing or does not fit this version; the message says what to do."""


def features(words: list[str], agent_said: str) -> list[str]:
    """Return the patterns of ``words`` (see ``spoken_words``) that the model weighs."""
    kinds = word_kinds(words)
    w1, w2, w3 = ([*reversed(words[-3:])] + ["^"] * 3)[:3]
    k1, k2, k3, k4 = ([*reversed(kinds[-4:])] + ["^"] * 4)[:4]
    length = len(words)
    size = f"n{length if length < 8 else 8 + min((length - 8) // 4, 3)}"
    first = words[0]
    opening = f"{first} {words[1]}" if length > 1 else first
    digit_run = 0
    for kind in reversed(kinds):
        if kind not in {"digit", "multiple"}:
            break
        digit_run += 1
    filled = sum(kind not in {"filler", "intro"} for kind in kinds)
    found = [
        "bias",
        f"w1 {w1}",
        f"w2 {w2}",
        f"w3 {w3}",
        f"w21 {w2} {w1}",
        f"w321 {w3} {w2} {w1}",
        f"w31 {w3} {w1}",
        f"k1 {k1}",
        f"k21 {k2} {k1}",
        f"k321 {k3} {k2} {k1}",
        f"k4321 {k4} {k3} {k2} {k1}",
        f"wk {w2} {k1}",
        f"kw {k2} {w1}",
        f"wwk {w3} {w2} {k1}",
        f"first {first}",
        f"opening {opening}",
        f"size {size}",
        f"size-k1 {size} {k1}",
        f"first-k1 {first} {k1}",
        f"first-size {first} {size}",
        f"opening-k21 {opening} {k2} {k1}",
        f"digits {min(digit_run, 12)}",
        f"k1-filled {k1} {min(filled, 3)}",
    ]
    if k1.startswith("open"):
        found.append(f"ending {w1[-3:]}")
        found.append(f"ending-k2 {w1[-2:]} {k2}")
    whole = " ".join(words) if length <= 4 else ""
    echoed = w1 in _agent_words(agent_said)
    for asked in asked_for(agent_said):
        given = progress(asked, words, kinds)
        found += [
            f"{asked} given {given}",
            f"{asked} given-k1 {given} {k1}",
            f"{asked} given-k21 {given} {k2} {k1}",
            f"{asked} given-w1 {given} {w1}",
            f"{asked} k321 {k3} {k2} {k1}",
            f"{asked} size-k1 {size} {k1}",
            f"{asked} w21 {w2} {w1}",
            f"{asked} first-size {first} {size}",
            f"{asked} digits {min(digit_run, 12)}",
            f"{asked} echo {echoed} {k1 if k1[:4] != 'open' else 'open'}",
        ]
        if whole:
            found.append(f"{asked} whole {whole}")
    return found


@lru_cache(maxsize=512)
def _agent_words(agent_said: str) -> frozenset[str]:
    return frozenset(spoken_words(agent_said)[-30:])


class WordModel:
    """The shipped model: pure, thread-safe, the same answer for the same words."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._weights = array("f", weights.astype(np.float32).tobytes())

    @classmethod
    def load(cls, path: Path | None = None) -> WordModel:
        """Read a model.

        Args:
            path: The weights, or a folder that holds them; the shipped ones by default.

        Raises:
            TurnWordsError: Not there, not a model, or made for another version.
        """
        place = path or _shipped()
        place = place / WEIGHTS_FILE if place.is_dir() else place
        try:
            with np.load(place, allow_pickle=False) as stored:
                made_for, weights = int(stored["format"]), stored["weights"]
        except FileNotFoundError as missing:
            raise TurnWordsError(
                f"no turn-words model at {place}; run models/turn-words/train.py"
            ) from missing
        except (OSError, KeyError, ValueError) as broken:
            raise TurnWordsError(f"{place} is not a turn-words model: {broken}") from broken
        if made_for != FORMAT:
            raise TurnWordsError(
                f"{place} has format {made_for}, this version reads {FORMAT}; train it anew with "
                "models/turn-words/train.py"
            )
        return cls(weights.astype(np.float32))

    def end_probability(self, words: str, agent_said: str) -> float:
        """See :class:`TurnWords`. No words, or nothing but "um": 0."""
        spoken = spoken_words(words)[-_LONGEST:]
        if all(word in FILLERS for word in spoken):
            return 0.0
        weights = self._weights
        total = len(weights)
        score = sum(
            weights[crc32(feature.encode()) % total] for feature in features(spoken, agent_said)
        )
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, score))))


def _shipped() -> Path:
    """Return where the shipped weights lie: in the wheel, or at the root of a checkout."""
    package = Path(str(files("voice_agent")))
    inside = package / "models" / "turn-words"
    return inside if inside.is_dir() else package.parent / "models" / "turn-words"
