"""What the recogniser does to what callers say, as it was heard doing it (``heard.jsonl.gz``).

Only words that carry no slot are exchanged for what was heard in their place; of the words of a
slot only those are that sound exactly alike, since a value misheard is another value, and the
caller's matter to put right.
"""

from __future__ import annotations

import difflib
import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wording import Said

HEARD = Path(__file__).parent / "heard.jsonl.gz"
ALIKE = {
    "four": ("for", "for", "for", "fore"),
    "two": ("to", "to", "too"),
    "eight": ("ate",),
    "one": ("won",),
    "tonight": ("to night",),
    "tomorrow": ("to morrow",),
    "o'clock": ("a clock", "oclock"),
}
_LONGEST = 3
NOISY = 0.2
"""Share of utterances with something misheard; the recogniser spoils a few more."""
HESITANT = 0.05
FILLERS = ("um", "uh", "uh", "um", "er", "well", "like", "you know", "i mean", "let's say")


_VALUE = re.compile(
    r"(zero|one|two|three|four|five|six|seven|eight|nine|ten|\w+teen|twenty|thirty|forty|fifty|"
    r"\w+day|today|tonight|tomorrow|\w*first|second|third|\w+th|january|february|march|april|june|"
    r"july|august|\w+ember|october|noon|midday|midnight|half|quarter|o'clock|couple|eleven|twelve)$"
)
_UNALIKE = {sound: word for word, sounds in ALIKE.items() for sound in sounds if " " not in sound}


def understood(heard: Path = HEARD) -> Iterator[Said]:
    """Yield what was heard of sentences with slots, with the slots that can still be told."""
    for row in _rows(heard):
        if "act" not in row or row["said"] == row["heard"]:
            continue
        words = row["heard"].split()
        marks = [""] * len(words)
        values = {}
        for slot, value in row["values"].items():
            wanted = [
                word
                for word, mark in zip(row["said"].split(), row["marks"], strict=True)
                if mark == slot
            ]
            at = _place(wanted, words)
            if at is not None:
                values[slot] = value
                marks[at : at + len(wanted)] = [slot] * len(wanted)
        strange = {w for w, mark in zip(words, marks, strict=True) if not mark and _VALUE.match(w)}
        kept = len(set(words) & set(row["said"].split())) / len(set(row["said"].split()))
        if strange - set(row["said"].split()) or kept < 0.66:
            continue
        if len(values) < len(row["values"]) and strange:
            continue
        if row["values"] and not values and row["act"] != "book":
            continue
        yield Said(row["act"], tuple(words), tuple(marks), values, heard=True)


def _place(wanted: list[str], words: list[str]) -> int | None:
    """Return where ``wanted`` stands in ``words``, also as words that sound the same."""
    for at in range(len(words) - len(wanted) + 1):
        found = words[at : at + len(wanted)]
        if all(w == f or _UNALIKE.get(f) == w for w, f in zip(wanted, found, strict=True)):
            return at
    return None


def _rows(heard: Path) -> Iterator[dict[str, Any]]:
    if heard.exists():
        with gzip.open(heard, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


class Recogniser:
    """Draws mishearings."""

    def __init__(self, rng: random.Random, heard: Path = HEARD) -> None:
        self.rng = rng
        edits: dict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
        for row in _rows(heard):
            said, got = row["said"].split(), row["heard"].split()
            matcher = difflib.SequenceMatcher(None, said, got, autojunk=False)
            for _, a, b, c, d in matcher.get_opcodes():
                if 0 < b - a <= _LONGEST and d - c <= _LONGEST and said[a:b] != got[c:d]:
                    edits[tuple(said[a:b])][tuple(got[c:d])] += 1
        self._edits = {said: (list(got), list(got.values())) for said, got in edits.items()}

    def hear(self, said: Said) -> str:
        """Return the words as they might be recognised."""
        words: list[str] = []
        spoil = not said.heard and self.rng.random() < NOISY
        for word, mark in zip(said.words, said.marks, strict=True):
            sounds = ALIKE.get(word) if mark else None
            if sounds and self.rng.random() < (0.15 if word in {"four", "two"} else 0.03):
                words.append(self.rng.choice(sounds))
            else:
                words.append(word)
        if self.rng.random() < HESITANT and len(words) > 2:
            words = self._hesitate(words, said)
        elif spoil:
            places = [
                (at, length)
                for length in range(1, _LONGEST + 1)
                for at in range(len(words) - length + 1)
                if tuple(words[at : at + length]) in self._edits
                and not any(said.marks[at : at + length])
            ]
            if places and len(words) > 2:
                weights = [sum(self._edits[tuple(words[a : a + n])][1]) for a, n in places]
                at, length = self.rng.choices(places, weights)[0]
                got, counts = self._edits[tuple(words[at : at + length])]
                words[at : at + length] = self.rng.choices(got, counts)[0]
        return " ".join(words) or said.text

    def _hesitate(self, words: list[str], said: Said) -> list[str]:
        """Say "um" before something, or a word twice."""
        marks = said.marks
        places = [
            at for at in range(len(words)) if not at or marks[at] != marks[at - 1] or not marks[at]
        ]
        at = self.rng.choice(places)
        if self.rng.random() < 0.3 and not marks[at]:
            return [*words[: at + 1], *words[at:]]
        return [*words[:at], self.rng.choice(FILLERS), *words[at:]]
