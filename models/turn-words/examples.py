"""Turn utterances into what the model is asked at run time: (agent, words so far, ended?, weight).

The model is asked when a pause begins, so each place in an utterance weighs as much as people
are likely to pause there; ``PAUSE`` holds these assumptions. The end weighs 1.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from generate import utterances
from spoken import DERIVED

from voice_agent.turns.spoken_forms import FILLERS, word_kind

PAUSE = {
    "within": 0.03,  # inside a phrase: "the | address"
    "boundary": 0.12,  # a phrase begins: "a table for four | at seven"
    "hesitation": 0.08,  # after a word that needs another: "a table for |"
    "opening": 0.15,  # after "yes", "no", "okay", "hi" as the first word: mostly run on
    ",": 0.30,  # a clause
    ".": 0.50,  # a sentence of the same turn
    "/": 0.60,  # between groups of digits, parts of a date, letters and words
    "filler": 0.60,  # after "um"
    "digits": 0.06,  # inside a group of digits
}
"""Chance that people pause (about 200 ms or more) at such a place. Assumed, not measured."""

MARKS = {",", ".", "/"}
Row = tuple[str, str, str]
"""(source, agent wording, words with marks)."""
GENERATED = 45_000
SEED = 7


@dataclass(frozen=True, slots=True)
class Example:
    agent: str
    words: tuple[str, ...]
    ended: bool
    weight: float
    place: str
    """"end", or the key of PAUSE."""
    source: str
    """"sgd" or "generated"."""
    rest: int
    """Words of the utterance still to come."""


def plain(words: str) -> str:
    """Return ``words`` without the marks."""
    return " ".join(word for word in words.split() if word not in MARKS)


def split(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return (training, held-out) utterances, one in eight held out.

    By the text's hash, so that no held-out utterance is trained on, with whatever agent wording.
    Answers of up to three words are a closed set ("yes please"): leaving one out would teach the
    model that it is only ever a beginning, so these are split by occurrence.
    """
    training: list[Row] = []
    testing: list[Row] = []
    for number, row in enumerate(rows):
        text = plain(row[2])
        key = text if text.count(" ") > 2 else f"{number} {text}"
        (training if zlib.crc32(key.encode()) % 8 else testing).append(row)
    return training, testing


_SHORT = re.compile(
    r"^((yes|yeah|yep|yup|sure|okay|ok|no|nope|great|perfect|thanks|thank you|sounds good|"
    r"that sounds (good|great)|that works|that's (fine|great|perfect|right|correct|all)|hi|hello)"
    r"( please| thanks| thank you)?) [,.] "
)


def corpus(seed: int = SEED) -> Iterator[Row]:
    """Yield (source, agent wording, words with marks); each utterance once."""
    rng = random.Random(seed)
    with gzip.open(DERIVED, "rt") as lines:
        for line in lines:
            utterance = json.loads(line)
            agent, words = rng.choice(utterance["agent"]), utterance["words"]
            # People write "yes, that is correct" and say "yes".
            if (opening := _SHORT.match(words)) and rng.random() < 0.5:
                words = opening[1]
            yield "sgd", agent, words
    for agent, words in utterances(GENERATED, seed):
        yield "generated", agent, words


def _hesitant(pieces: list[str], rng: random.Random) -> list[str]:
    """Say "um" at one place, as people do, more often where a phrase begins."""
    at = rng.randrange(len(pieces))
    return [*pieces[:at], rng.choice(["um", "uh", "uh", "er"]), *pieces[at:]]


def _misheard(words: list[str], vocabulary: list[str], rng: random.Random) -> list[str]:
    """Drop or replace one word that is not the last."""
    if len(words) < 3:
        return words
    at = rng.randrange(len(words) - 1)
    return words[:at] + ([] if rng.random() < 0.4 else [rng.choice(vocabulary)]) + words[at + 1 :]


def place_of(before: str, mark: str, after: str, count: int) -> str:
    """Name the place between two words: a key of PAUSE."""
    if before in FILLERS:
        return "filler"
    if mark and count == 1 and word_kind(before) in {"yes", "no", "intro"}:
        return "opening"
    if mark:
        return mark
    kinds = (word_kind(before), word_kind(after))
    number = {"digit", "oh", "letter", "multiple"}
    if kinds[0] in number and kinds[1] in number:
        return "digits"
    if kinds[0] in {"prep", "conj", "det", "aux", "subjaux", "wh"}:
        return "hesitation"
    if kinds[1] in {"prep", "conj", "relday", "day", "filler", "polite"} or after == "may":
        return "boundary"
    return "within"


def examples(
    corpus: Iterable[Row],
    *,
    corrupt: bool,
    seed: int = SEED,
    without: AbstractSet[str] = frozenset(),
) -> Iterator[Example]:
    """Yield every place of every utterance; with ``corrupt`` also as recognisers spoil them.

    Places whose words are one of ``without`` are left out: a held-out utterance must not be
    learnt as the mere beginning of another.
    """
    rng = random.Random(seed)
    rows = list(corpus)
    vocabulary = sorted({word for _, _, words in rows for word in words.split()} - MARKS)
    for source, agent, text in rows:
        pieces = text.split()
        if source == "sgd" and rng.random() < 0.12:
            pieces = _hesitant(pieces, rng)
        words: list[str] = []
        marks: list[str] = []  # marks[n]: the mark before words[n]
        mark = ""
        for piece in pieces:
            if piece in MARKS:
                mark = piece
            else:
                words.append(piece)
                marks.append(mark)
                mark = ""
        if corrupt and rng.random() < 0.1:
            agent = ""  # not known
        for count in range(1, len(words) + 1):
            so_far, ended = words[:count], count == len(words)
            if " ".join(so_far) in without:
                continue
            place = (
                "end" if ended else place_of(words[count - 1], marks[count], words[count], count)
            )
            weight = 1.0 if ended else PAUSE[place]
            if corrupt and rng.random() < 0.15:
                so_far = _misheard(so_far, vocabulary, rng)
            rest = len(words) - count
            yield Example(agent, tuple(so_far), ended, weight, place, source, rest)
            if corrupt and not ended and len(words[count]) > 4 and rng.random() < 0.04:
                cut = words[count][: rng.randrange(2, len(words[count]) - 1)]
                yield Example(agent, (*so_far, cut), False, 0.05, "within", source, rest)
