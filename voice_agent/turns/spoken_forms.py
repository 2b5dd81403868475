"""Words as any recogniser may write them, brought to one spoken form, and the kind of each word.

"7:30 PM", "seven-thirty p.m." and "seven thirty pm" become the same words, so that what is
learnt from one recogniser's transcripts holds for another's. English only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["DIGITS", "FILLERS", "number_words", "spoken_words", "word_kind", "word_kinds"]

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]

DIGITS = frozenset([*_UNITS, "oh"])
"""Words that stand for one digit where digits are dictated."""
FILLERS = frozenset(["um", "uh", "uhm", "er", "erm", "hmm", "hm", "mm", "ah", "eh"])
"""Sounds people make to keep the turn."""

_KINDS = {
    "filler": " ".join(sorted(FILLERS)),
    "digit": " ".join(_UNITS),
    "teen": " ".join(_TEENS),
    "tens": " ".join(_TENS),
    "hundred": "hundred thousand dozen",
    "ordinal": " ".join([*_ORDINALS, "thirtieth"]),
    "multiple": "double triple",
    "day": "monday tuesday wednesday thursday friday saturday sunday",
    "relday": "today tomorrow tonight",
    "month": (
        "january february march april may june july august september october november december"
    ),
    "daypart": "morning afternoon evening night noon midnight lunch dinner lunchtime",
    "ampm": "am pm o'clock",
    "people": "people persons person guests guest adults kids children us",
    "det": "a an the my your our his her their any some every each another no-one",
    "dem": "this that these those it",
    "prep": (
        "for at in on with to from of by about near around under between before after until till "
        "without into over during through past per via towards inside outside behind across"
    ),
    "conj": "and or but because if so unless while than as since whether although cause",
    "subj": "i you we they he she who there",
    "obj": "me him them",
    "aux": (
        "is are am was were be been do does did can could would will should shall might must has "
        "have had isn't aren't wasn't don't doesn't didn't can't couldn't won't wouldn't shouldn't"
    ),
    "subjaux": (
        "i'd i'll i'm i've we'd we'll we're we've it's that's what's there's he's she's they're "
        "they'd you're let's who's where's it'll that'd that'll gonna wanna"
    ),
    "wh": "what where when which how why whose",
    "neg": "not never",
    "yes": "yes yeah yep yup sure correct okay ok absolutely definitely exactly right certainly",
    "no": "no nope nah",
    "polite": "please thanks thank",
    "verb": (
        "want need make book get take find change cancel order reserve know like see check tell "
        "give call move put add bring keep let help say try look speak talk send pay prefer mean"
    ),
    "adv": "very really just also too only even quite actually maybe probably basically like",
    "intro": "hi hello hey well anyway",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_KIND_OF["may"] = "may"  # a month or a verb: only its neighbours tell
_KIND_OF["like"] = "like"
_KIND_OF["oh"] = "oh"

_SPELLINGS = {"mm-hm": "mmhm", "mm-hmm": "mmhm", "mhm": "mmhm", "uh-huh": "uhhuh", "ok": "okay"}
_MERIDIEM = re.compile(r"\b([ap])\s?\.?\s?m\b\.?")
_TOKEN = re.compile(
    r"[0-9]{1,2}[:.][0-9]{2}(?![0-9])|\$?[0-9][0-9,]*(?:st|nd|rd|th|am|pm)?|"
    r"[^\W\d_]+(?:'[^\W\d_]+)*"
)


def number_words(value: int) -> list[str]:
    """Return 0-99 as it is spoken, one list entry a word.

    Raises:
        ValueError: Not within 0-99.
    """
    if not 0 <= value <= 99:
        raise ValueError(f"0-99 expected, not {value}")
    if value < 10:
        return [_UNITS[value]]
    if value < 20:
        return [_TEENS[value - 10]]
    tens, unit = divmod(value, 10)
    return [_TENS[tens - 2]] + ([_UNITS[unit]] if unit else [])


def _ordinal_words(value: int) -> list[str]:
    if 1 <= value <= 20:
        return [_ORDINALS[value - 1]]
    if value == 30:
        return ["thirtieth"]
    if 21 <= value <= 39:
        return [_TENS[value // 10 - 2], _ORDINALS[value % 10 - 1]]
    return _figures_words(str(value))


def _figures_words(figures: str) -> list[str]:
    if len(figures) <= 2 and not (len(figures) == 2 and figures[0] == "0"):
        return number_words(int(figures))
    if len(figures) == 4 and figures[:2] in {"19", "20"}:  # a year
        return number_words(int(figures[:2])) + number_words(int(figures[2:]))
    return [_UNITS[int(figure)] for figure in figures]  # dictated


def _token_words(token: str) -> list[str]:
    if token[0] not in "$0123456789":
        return [_SPELLINGS.get(token, token)]
    if len(parts := re.split(r"[:.]", token)) == 2:
        hour, minute = parts
        words = number_words(int(hour))
        if minute == "00":
            return words
        return words + (["oh"] if minute[0] == "0" else []) + number_words(int(minute))
    money, suffix = token[0] == "$", token[-2:] if token[-1].isalpha() else ""
    figures = re.sub(r"\D", "", token)
    if suffix in {"st", "nd", "rd", "th"}:
        return _ordinal_words(int(figures)) if len(figures) <= 2 else _figures_words(figures)
    words = _figures_words(figures)
    return words + ([suffix] if suffix else []) + (["dollars"] if money else [])


def spoken_words(text: str) -> list[str]:
    """Return the words of ``text`` lower-cased, without punctuation, figures spelt as spoken."""
    text = text.lower().replace("’", "'").replace("o clock", "o'clock")
    for written, spoken in _SPELLINGS.items():
        if "-" in written:
            text = text.replace(written, spoken)
    text = _MERIDIEM.sub(r" \1m ", text) if "m" in text else text
    return [word for token in _TOKEN.findall(text) for word in _token_words(token)]


def word_kind(word: str) -> str:
    """Return the word's kind: a closed class by name, a letter, or its ending when it is open."""
    if kind := _KIND_OF.get(word):
        return kind
    if len(word) == 1:
        return "letter"
    for ending in ("ing", "ed", "ly", "est", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return "open-" + ending
    return "open"


def word_kinds(words: Sequence[str]) -> list[str]:
    """Return each word's kind; "a", "i" and "oh" are letters or digits among their like."""
    kinds = [word_kind(word) for word in words]
    for at, word in enumerate(words):
        before = kinds[at - 1] if at else ""
        after = kinds[at + 1] if at + 1 < len(kinds) else ""
        if word in {"a", "i"} and before == "letter":
            kinds[at] = "letter"
        elif word == "oh":
            kinds[at] = "digit" if "digit" in (before, after) else "intro"
    return kinds
