"""Streamed text cut into pieces worth speaking: the first one early, the later ones longer.

What a caller waits for is the first clause, so it goes out at the first comma, or at a natural
joint between words when no punctuation comes. From then on the voice has a lead, and longer pieces
sound better: a longer clause, then whole sentences.

The decision is ``next_cut``, a pure function of the text so far; ``ClauseAggregator`` is its
Pipecat shell. The pieces joined are the text, whatever tokens it came in.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType


@dataclass(frozen=True)
class ClauseRules:
    """How long pieces may be, in words."""

    first_clause_max_words: int = 6
    """The first piece is cut after this many words, or as soon after as the words allow."""
    first_clause_min_words: int = 3
    """From here on the first piece is cut before a word that opens a phrase ("and", "for")."""
    second_min_words: int = 4
    """The second piece ends at a comma only with this many words; it always ends at a full stop."""
    later_min_words: int = 12
    """The same for all the others."""


# A phrase begins at these, so a voice may breathe before them.
_OPENERS = frozenset(
    "and but or so because which who where when while if unless until with "
    "without for from at on in into by between before after about to".split()
)
# After these something must follow without a breath.
_CLINGING = (
    _OPENERS
    | frozenset(
        "a an the that than as my your our their his her its this these those some any no every "
        "is are was were be am has have had do does did can could will would shall should may "
        "each of not very might must i you we they he she it there mr mrs ms dr st no nr".split()
    )
    | {"i'm", "we're", "you're", "it's", "that's", "there's", "i'll", "we'll", "we've", "i've"}
)
_NEVER_LAST = frozenset(
    "mr mrs ms dr prof st mt no nr fig vs approx gen sen rep gov rev hon capt col lt sgt e.g i.e "
    "cf al jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun".split()
)
# These may end a sentence; a capital letter behind them says so.
_MAYBE_LAST = frozenset("a.m p.m etc inc ltd co corp jr sr u.s u.k a.d b.c ave blvd rd".split())
_UNITS = frozenset(
    "am pm a.m p.m a.m. p.m. o'clock euro euros dollar dollars pound pounds cent cents percent "
    "people persons guests minutes minute hours hour days day nights".split()
)
_WORD = re.compile(r"\S+")
_CLOSERS = "\"')]}”’»*_`"
_STRIP = _CLOSERS + "([{“‘«.,;:!?…-–—"


def next_cut(text: str, piece: int, rules: ClauseRules) -> int:
    """Return where to cut ``text``, the text since the last cut; 0 if more text is needed.

    Args:
        text: What the LLM said since the last cut.
        piece: How many pieces of this reply were cut before.
        rules: See ``ClauseRules``.
    """
    minimum = (1, rules.second_min_words)[piece] if piece < 2 else rules.later_min_words
    cut = _punctuation_cut(text, minimum)
    if piece == 0:
        joint = _joint_cut(text, rules)
        cut = min(filter(None, (cut, joint)), default=0)
    return cut


def _punctuation_cut(text: str, minimum: int) -> int:
    """Return the end of the first clause of at least ``minimum`` words, or sentence; else 0."""
    for at, mark in enumerate(text):
        if mark in ".!?…":
            end = _sentence_end(text, at)
        elif mark == "\n":
            end = at + 1
        elif mark in ",;:—–-":
            end = _clause_end(text, at)
            if end and len(_words(text[:end])) < minimum:
                end = 0
        else:
            continue
        if end < 0:
            return 0
        if end and _words(text[:end]):
            return end
    return 0


def _sentence_end(text: str, at: int) -> int:
    """Return where the sentence ending with the mark at ``at`` is cut, 0 if it does not end there.

    -1 says that only the text to come can tell.
    """
    mark, word = text[at], _word_before(text, at)
    if mark in "!?" and not _is_address(word):
        return at + 1
    after = at + 1
    while after < len(text) and text[after] in _CLOSERS + ".!?…":
        after += 1
    if after == len(text):
        return -1
    if not text[after].isspace():
        return 0
    name = word.lower().strip(_STRIP) if mark == "." else ""
    if name in _NEVER_LAST or (len(name) == 1 and name.isalpha() and name != "i"):
        return 0
    # "1. Margherita" is an item of a list.
    if name.isdigit() and not text[:at].rpartition("\n")[2].strip(_STRIP + " ").strip(name):
        return 0
    if name in _MAYBE_LAST:
        following = text[after:].lstrip().lstrip(_STRIP)
        if not following:
            return -1
        return after if following[0].isupper() else 0
    return after


def _clause_end(text: str, at: int) -> int:
    """Return where the clause ending with the mark at ``at`` is cut, 0 if not; -1: cannot tell."""
    mark, word, rest = text[at], _word_before(text, at), text[at + 1 :]
    if mark == "-":
        if not (at > 0 and text[at - 1].isspace()):
            return 0  # a hyphen
        if not rest:
            return -1
        return at + 1 if rest[0].isspace() else 0
    if word.lower().strip(_STRIP) in {"e.g", "i.e"}:
        return 0
    if not word[-1:].isdigit() and not _is_address(word + mark):
        return at + 1
    if not rest:
        return -1
    if not rest[0].isspace():
        return 0
    # "July 4, 2026" and "five 5, 5" stay whole; what follows the space decides.
    following = rest.lstrip()
    if not following:
        return -1
    return 0 if following[0].isdigit() else at + 1


def _joint_cut(text: str, rules: ClauseRules) -> int:
    """Return where a first clause without punctuation may be cut between words; else 0."""
    words = list(_WORD.finditer(text))
    for count in range(rules.first_clause_min_words, len(words)):
        last, following = words[count - 1], words[count]
        may_grow = following.end() == len(text)
        if _holds(last.group(), following.group(), may_grow=may_grow):
            continue
        opener = following.group().lower() in _OPENERS and not may_grow
        if opener or count >= rules.first_clause_max_words:
            return following.start()
    return 0


def _holds(last: str, following: str, *, may_grow: bool) -> bool:
    """Say whether two words must be spoken in one breath.

    A ``following`` that ``may_grow`` is only the beginning of a word so far: it holds if it could
    become a word that does.
    """
    left, right = last.lower().strip(_STRIP), following.lower().strip(_STRIP)
    return (
        not left
        or left in _CLINGING
        or left in _NEVER_LAST
        or left[-1:].isdigit()
        or right[:1].isdigit()
        or following[:1] in "€$£¥#"
        or right in _UNITS
        or (may_grow and any(unit.startswith(right) for unit in _UNITS))
        or left in "€$£¥#"
        # "Bella Notte", "Main Street": a name is one thing.
        or (last[:1].isupper() and following[:1].isupper())
    )


def _words(text: str) -> list[str]:
    return [word for word in text.split() if any(char.isalnum() for char in word)]


def _word_before(text: str, at: int) -> str:
    start = at
    while start and not text[start - 1].isspace():
        start -= 1
    return text[start:at]


def _is_address(word: str) -> bool:
    """Say whether a word with a mark in it or behind it may be part of a URL or an email."""
    low = word.lower()
    return (
        any(sign in low for sign in ("/", "@", "www."))
        or low.lstrip(_STRIP) in {"http:", "https:", "mailto:", "tel:"}
        or bool(re.search(r"\w\.\w\w", low))
    )


class ClauseAggregator(BaseTextAggregator):
    """Pipecat's text aggregator over ``next_cut``; state is the text since the last cut."""

    def __init__(self, rules: ClauseRules | None = None, *, language: str | None = None) -> None:
        super().__init__(aggregation_type=TextType.SENTENCE, language=language)
        self._usual = self._rules = rules or ClauseRules()
        self._text = ""
        self._pieces = 0

    def begin(self, first_clause_max_words: int | None) -> None:
        """Cut the first piece of the next reply after so many words, if that is sooner."""
        words = first_clause_max_words or self._usual.first_clause_max_words
        self._rules = replace(
            self._usual,
            first_clause_max_words=min(self._usual.first_clause_max_words, words),
            first_clause_min_words=min(self._usual.first_clause_min_words, words),
        )

    @property
    def text(self) -> Aggregation:
        """The text not cut yet."""
        return Aggregation(text=self._text, type=TextType.SENTENCE)

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        """Add streamed text and yield the pieces it completes, whitespace and all."""
        self._text += text
        while cut := next_cut(self._text, self._pieces, self._rules):
            piece, self._text = self._text[:cut], self._text[cut:]
            self._pieces += 1
            yield Aggregation(text=piece, type=TextType.SENTENCE)

    async def flush(self) -> Aggregation | None:
        """Return what is left at the end of a reply, and be ready for the next one."""
        rest = self._text
        await self.reset()
        return Aggregation(text=rest, type=TextType.SENTENCE) if rest else None

    async def handle_interruption(self) -> None:
        """Forget the reply that was cut off."""
        await self.reset()

    async def reset(self) -> None:
        """Start over."""
        self._text = ""
        self._pieces = 0
