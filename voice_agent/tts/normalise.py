"""Text as it is to be spoken, and which spoken words stand for which written ones.

``spoken`` reads the text once from left to right. At every place the first rule that matches says
how the match is spoken; everything else stays as it is. So each stretch of speech is known to come
from a stretch of text, and what was heard can be remembered in the writer's own words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from voice_agent.tts import say

Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A written word and where it is in the speech; ``start == end`` if it is not spoken."""

    original: str
    """As written, with its punctuation."""
    start: int
    end: int
    """Characters of ``Speech.text``, end excluded."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Text to speak."""

    text: str
    words: tuple[SpokenWord, ...]
    """Every word of the written text, in order."""


def speakable(text: str, language: str = "en") -> str:
    """Return ``text`` as it is to be spoken: no digits, markup, emoji or addresses left.

    Args:
        text: What a language model wrote.
        language: Its language code. What is particular to English (times, prices, abbreviations)
            is spelt out for "en" only.
    """
    return spoken(text, language).text


@lru_cache(maxsize=256)
def spoken(text: str, language: str = "en") -> Speech:
    """Return ``text`` as it is to be spoken, word by word; see ``speakable``."""
    voice = _Voice()
    done = 0
    rules = _english if language.lower().startswith("en") else _other
    pattern, sayings = rules(language)
    for match in pattern.finditer(text):
        voice.keep(text, done, match.start())
        assert match.lastgroup is not None
        voice.put(match.start(), match.end(), sayings[match.lastgroup](match))
        done = match.end()
    voice.keep(text, done, len(text))
    return voice.finish(text)


class _Voice:
    """Collects speech together with the stretch of text that each part of it stands for."""

    def __init__(self) -> None:
        self._speech = ""
        self._parts: list[tuple[int, int, int, int]] = []  # text from, to, speech from, to

    def keep(self, text: str, start: int, end: int) -> None:
        """Speak plain text as it is, its signs one by one."""
        for match in re.finditer(r"\s+|[^\W\d_]+|\S", text[start:end]):
            part = match.group()
            at = start + match.start()
            if part.isspace():
                self.put(at, at + len(part), " ")
            elif part.isalpha():
                self.put(at, at + len(part), part)
            else:
                for here, sign in enumerate(part, at):
                    self.put(here, here + 1, _plain(sign))

    def put(self, start: int, end: int, words: str) -> None:
        """Speak ``words``, which may be none, for the text from ``start`` to ``end``."""
        if not words:
            return
        if words[:1] in _PAUSES:
            # One pause is enough, and the stronger one stays.
            self._speech = self._speech.rstrip()
            if not self._speech:
                words = words.lstrip(".,;:!?) ")
            elif self._speech[-1] in ",;:":
                self._speech = self._speech[: -1 if words[0] != "," else None]
                words = words[1:] if words[0] == "," else words
            elif self._speech[-1] in ".!?":
                words = words.lstrip(".,;:!?")
        if not self._speech or self._speech[-1].isspace():
            words = words.lstrip()
        at = len(self._speech)
        self._speech += words
        self._parts.append((start, end, at, len(self._speech)))

    def finish(self, text: str) -> Speech:
        speech = self._speech.rstrip()
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        found: list[list[int]] = [[] for _ in spans]
        first = 0
        for start, end, begin, until in self._parts:
            while first < len(spans) and spans[first][1] <= start:
                first += 1
            last = first
            while last < len(spans) and spans[last][0] < end:
                last += 1
            if last > first:
                self._spread(found[first:last], begin, until)
        words, at = [], 0
        for (start, end), places in zip(spans, found, strict=True):
            begin = min(max(at, min(places, default=at)), len(speech))
            at = min(max(begin, max(places, default=begin)), len(speech))
            words.append(SpokenWord(text[start:end], begin, at))
        return Speech(speech, tuple(words))

    def _spread(self, words: list[list[int]], begin: int, until: int) -> None:
        """Divide the speech of several written words among them, at its own word boundaries."""
        inner = [begin + m.start() for m in re.finditer(r"\S+", self._speech[begin:until])]
        if not inner:
            return
        for number, places in enumerate(words):
            fro = inner[min(len(inner) - 1, number * len(inner) // len(words))]
            to = until
            if number + 1 < len(words):
                to = inner[min(len(inner) - 1, (number + 1) * len(inner) // len(words))]
            places += [fro, max(fro, len(self._speech[:to].rstrip()))]


_PAUSES = frozenset(",.;:!?")
_KEPT = frozenset(".,;:!?'-")
_LOOK_ALIKES = {"’": "'", "‘": "'", "‐": "-", "‑": "-", "。": ".", "，": ",", "！": "!", "？": "?"}
_SYMBOLS = {"&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "%": " percent "} | {
    "×": " times ", "÷": " divided by ", "→": " to ", "…": ",", "—": ", ", "–": ", ",
    "€": " euros ", "$": " dollars ", "£": " pounds ", "¥": " yen ", "₹": " rupees ",
    "(": ", ", ")": ",", "/": " ", "_": " ", "°": " degrees ",
    "²": " squared ", "³": " cubed ", "¾": " and three quarters ", "½": " and a half ",
    "¼": " and a quarter ",
}  # fmt: skip


def _plain(char: str) -> str:
    """Return how a character outside any rule is spoken; nothing for emoji, markup and quotes."""
    char = _LOOK_ALIKES.get(char, char)
    if char in _SYMBOLS:
        return _SYMBOLS[char]
    kept = char in _KEPT or unicodedata.category(char)[0] in "LN" or _is_accent(char)
    return char if kept else ""


def _is_accent(char: str) -> bool:
    category = unicodedata.category(char)
    return category in ("Mn", "Mc") and not 0xFE00 <= ord(char) <= 0xFE0F and char != "\u20e3"


_MARKUP: list[tuple[str, str, Callable[[Match], str]]] = [
    # What is left of a model's reasoning when its end or beginning fell into another piece.
    ("think", r"(?s:<think>.*?</think>|<think>.*|\A(?:(?!<think>).)*</think>)", lambda m: " "),
    ("tag", r"</?[A-Za-z][^<>]*>", lambda m: " "),
    ("fence", r"```\w*", lambda m: " "),
    ("link", r"!?\[(?=[^\[\]]*\]\()|\]\([^()\s]*\)", lambda m: ""),
    ("heading", r"(?m:^[ \t]*(?:#{1,6}|>|[-*+•])[ \t]+|^[ \t]*[-*_]{3,}[ \t]*$)", lambda m: ""),
    ("keypad", r"(?<=\S )[*#](?![^\s.,!?])", lambda m: "star" if m.group() == "*" else "hash"),
    ("marks", r"(?<![0-9])\*+|\*+(?![0-9])|`+|~~|\b_+|_+\b", lambda m: ""),
    ("line", r"(?<=\S)\s*\n\s*(?=\S)", lambda m: ", "),
]  # fmt: skip
# A hyphen that joins nothing; after every rule that knows better.
_DASH: tuple[str, str, Callable[[Match], str]] = (
    "dash", r"(?<![^\W_])-+|-+(?![^\W_])", lambda m: ", "
)  # fmt: skip
_DOMAINS = "com|org|net|io|ai|app|dev|info|eu|it|de|fr|es|uk|us|ch|at|nl"
_TIME_OF_DAY = r"\s?(?P<{0}>[ap])(?:m\b|\.\s?m\b(?P<{0}_dot>\.)?)"
_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?"
_SCALE = r"thousand|million|billion|trillion"
_MONTH = "|".join(f"{name}|{name[:3]}\\b\\.?" for name in say.MONTHS if name != "May") + "|May"

_ENGLISH: list[tuple[str, str, Callable[[Match], str]]] = [
    ("email", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", lambda m: _address(m.group())),
    ("url", r"(?:https?://|www\.)[^\s<>()\[\]\"*]*[^\s<>()\[\]\"*.,;:!?']"
            rf"|\b[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.(?:{_DOMAINS})\b(?:/[\w/.-]*\w)?",
     lambda m: _address(m.group())),
    ("iso", r"\b(?P<iy>[0-9]{4})-(?P<im>[0-9]{2})-(?P<id>[0-9]{2})\b",
     lambda m: say.date(int(m["im"]), int(m["id"]), int(m["iy"])) or say.digits(m.group())),
    ("slashes", r"\b(?P<sm>[0-9]{1,2})/(?P<sd>[0-9]{1,2})/(?P<sy>[0-9]{4})\b",
     lambda m: _slashes(int(m["sm"]), int(m["sd"]), int(m["sy"])) or say.digits(m.group())),
    ("phone", r"(?<![\w.$€£¥])(?:\+[0-9]{1,3}[ .-]?)?(?:\([0-9]{2,4}\)[ .-]?)?[0-9]{2,4}"
              r"(?:[ .-][0-9]{2,4}){1,4}(?![\w%]|[.,:][0-9])"
              r"|(?<![\w.,$€£¥])\+?[0-9]{7,15}(?![\w%])",
     lambda m: _phone(m.group())),
    ("time", r"\b(?P<th>[01]?[0-9]|2[0-3]):(?P<tm>[0-5][0-9])\b(?:" + _TIME_OF_DAY.format("ta")
             + ")?(?![:0-9])", lambda m: _clock(m, "th", "tm", "ta")),
    ("hour", r"\b(?P<hh>1[0-2]|[1-9])" + _TIME_OF_DAY.format("ha"),
     lambda m: _clock(m, "hh", None, "ha")),
    ("half", r"\b(?P<ah>[ap])\.\s?m\b(?P<ah_dot>\.)?", lambda m: _half(m, "ah")),
    ("price", rf"(?P<ps>[$€£¥₹])\s?(?P<pw>[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]+)"
              rf"(?:\.(?P<pc>[0-9]{{1,2}})(?![0-9]))?(?:\s(?P<px>{_SCALE})\b)?",
     lambda m: say.price(m["ps"], m["pw"], m["pc"] or "", m["px"] or "")),
    ("price_after", r"(?<![\w.,])(?P<qw>[0-9]+)(?:[.,](?P<qc>[0-9]{2}))?\s?(?P<qs>[€£])",
     lambda m: say.price(m["qs"], m["qw"], m["qc"] or "")),
    ("month_day", rf"\b(?P<dm>{_MONTH})\s(?P<dd>[12][0-9]|3[01]|0?[1-9])(?:st|nd|rd|th)?\b"
                  r"(?![:.][0-9])",
     lambda m: f"{_month(m['dm'])} {say.ordinal(int(m['dd']))}"),
    ("day_month", rf"\b(?P<ed>[12][0-9]|3[01]|0?[1-9])(?:st|nd|rd|th)?\s(?P<em>{_MONTH})\b",
     lambda m: f"{say.ordinal(int(m['ed']))} of {_month(m['em'])}"),
    ("percent", rf"(?P<pp>{_NUMBER})\s?%", lambda m: f"{say.cardinal(m['pp'])} percent"),
    ("ordinal", r"\b(?P<on>[0-9]{1,9})(?:st|nd|rd|th)\b", lambda m: say.ordinal(int(m["on"]))),
    ("range", r"(?<=[0-9])\s?[–—-]\s?(?=[$€£]?[0-9])", lambda m: " to "),
    ("times", r"(?<=[0-9])\s?[*×x]\s?(?=[0-9])", lambda m: " times "),
    ("fraction", r"(?<![\w/])(?P<fn>[13])/(?P<fd>[24])(?![\w/])",
     lambda m: {"12": "one half", "14": "one quarter", "34": "three quarters",
                "32": "three halves"}[m["fn"] + m["fd"]]),
    ("degrees", r"°\s?(?P<dc>[CF])\b", lambda m: {"C": " degrees Celsius",
                                                  "F": " degrees Fahrenheit"}[m["dc"]]),
    ("year", r"(?<![\w.,])(?:19|20)[0-9]{2}(?![\w%]|[.,][0-9])",
     lambda m: say.year(int(m.group()))),
    ("numbered", r"(?:#|\bNo\.\s?|№\s?)(?=[0-9])", lambda m: "number "),
    ("minus", r"(?<![\w])[-−](?=[0-9])", lambda m: "minus "),
    ("abbreviation", r"\b(?:e\.g\.|i\.e\.|etc\b\.?|(?:vs|approx|Mr|Mrs|Ms|Dr|Prof)\b\.)"
                     r"|\bSt\.(?=\s[A-Z])|\bw/o?(?=\s)", lambda m: _abbreviation(m)),
]  # fmt: skip
_ABBREVIATIONS = {
    "e.g": "for example,", "i.e": "that is,", "etc": "et cetera", "vs": "versus",
    "approx": "approximately", "mr": "Mister", "mrs": "Missus", "ms": "Miss", "dr": "Doctor",
    "prof": "Professor", "st": "Saint", "w/": "with", "w/o": "without",
}  # fmt: skip


def _with_number(language: str) -> tuple[str, str, Callable[[Match], str]]:
    return ("number", _NUMBER, lambda m: _spaced(m, say.cardinal(m.group(), language)))


def _compile(
    rules: list[tuple[str, str, Callable[[Match], str]]],
) -> tuple[re.Pattern[str], dict[str, Callable[[Match], str]]]:
    pattern = "|".join(f"(?P<{name}>{regex})" for name, regex, _ in rules)
    return re.compile(pattern), {name: saying for name, _, saying in rules}


@lru_cache(maxsize=8)
def _english(language: str) -> tuple[re.Pattern[str], dict[str, Callable[[Match], str]]]:
    before, after = _MARKUP[:3], _MARKUP[3:]
    return _compile(
        before + after[:2] + _ENGLISH[:2] + after[2:] + _ENGLISH[2:] + [_with_number("en"), _DASH]
    )


@lru_cache(maxsize=8)
def _other(language: str) -> tuple[re.Pattern[str], dict[str, Callable[[Match], str]]]:
    return _compile([*_MARKUP, _with_number(language), _DASH])


def _spaced(match: Match, words: str) -> str:
    """Keep words apart from letters that touch the match ("B12", "2x")."""
    text = match.string
    before = text[: match.start()][-1:].isalpha()
    after = text[match.end() : match.end() + 1].isalpha()
    return f"{' ' * before}{words}{' ' * after}"


def _address(address: str) -> str:
    """Read a URL or an email aloud, without the parts nobody says."""
    short = re.sub(r"^(?:https?://)?(?:www\.)?", "", address).partition("?")[0].rstrip("/")
    signs = {".": "dot", "@": "at", "/": "slash", "-": "dash", "_": "underscore", "+": "plus"}
    words = [signs.get(part) or part for part in re.findall(r"[^\W\d_]+|[0-9]+|[.@/_+-]", short)]
    return " ".join(
        say.cardinal(word) if word.isascii() and word.isdigit() else word for word in words
    )


def _phone(number: str) -> str:
    """Say a telephone number in its groups; a short group of numbers is none."""
    groups = re.findall(r"[0-9]+", number)
    together = "".join(groups)
    if len(together) < 7 or (len(groups) > 1 and max(map(len, groups)) < 3):
        return " ".join(say.cardinal(group) for group in groups)
    if len(groups) == 1 and len(together) > 7:
        # Nobody can follow ten digits in a row.
        head = len(together) % 3 or 3
        groups = [together[:head]] + [together[i : i + 3] for i in range(head, len(together), 3)]
        if len(groups[-1]) == 3 and len(groups[0]) == 1:
            groups = [together[i : i + 3] for i in range(0, len(together) - 4, 3)]
            groups.append(together[3 * len(groups) :])
    plus = "plus " if number.startswith("+") else ""
    return plus + ", ".join(say.digits(group) for group in groups)


def _clock(match: Match, hour: str, minute: str | None, half: str) -> str:
    words = say.clock(int(match[hour]), int(match[minute]) if minute else 0, match[half] or "")
    return words + _full_stop(match, half)


def _half(match: Match, half: str) -> str:
    return f"{match[half]} m{_full_stop(match, half)}"


def _full_stop(match: Match, half: str) -> str:
    """Keep the full stop of "p.m." where it ends a sentence too."""
    if not match[f"{half}_dot"]:
        return ""
    following = match.string[match.end() :].lstrip()
    return "." if not following or following[0].isupper() else ""


def _slashes(first: int, second: int, year: int) -> str | None:
    return say.date(first, second, year) or say.date(second, first, year)


def _month(name: str) -> str:
    return next(month for month in say.MONTHS if month.startswith(name.rstrip(".")[:3]))


def _abbreviation(match: Match) -> str:
    word = match.group()
    if word.lower().startswith("etc"):
        following = match.string[match.end() :].lstrip()
        ends = word.endswith(".") and (not following or following[0].isupper())
        return "et cetera." if ends else "et cetera"
    return _ABBREVIATIONS[word.lower().rstrip(".")]
