"""Draw sentences from ``corpus/grammar.txt``; its head says how it is written."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

_TOKEN = re.compile(r"<\w+>|\{\d+\}|[\[\]()|]|[^\s\[\]()|{}<>]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of ``options`` is taken, likely in proportion to its weight."""

    options: tuple[tuple[object, ...], ...]
    cumulative: tuple[int, ...]

    def draw(self, rng: random.Random) -> tuple[object, ...]:
        return rng.choices(self.options, cum_weights=self.cumulative)[0]


def _choice(options: list[list[object]], weights: list[int]) -> Choice:
    return Choice(tuple(tuple(option) for option in options), tuple(accumulate(weights)))


class Grammar:
    """Rules by name; ``sentence.*`` rules are where a drawing begins."""

    def __init__(self, text: str, words: dict[str, list[str]]) -> None:
        """Read the rules; ``words`` are further ones, each a plain list of equally likely words.

        Raises:
            ValueError: A rule is malformed or refers to one that is missing.
        """
        self._rules: dict[str, Choice] = {
            name: _choice([[word] for word in entries], [1] * len(entries))
            for name, entries in words.items()
        }
        self._starts: list[str] = []
        self._weights: list[int] = []
        for line in text.splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            head, _, body = line.partition("=")
            name, *weight = head.split()
            tokens = _TOKEN.findall(body)
            rule, rest = self._parse(tokens, 0)
            if rest != len(tokens):
                raise ValueError(f"rule {name!r}: unbalanced bracket near {tokens[rest:][:5]}")
            self._rules[name] = rule
            if weight:
                self._starts.append(name)
                self._weights.append(int(weight[0]))
        used = set(re.findall(r"<(\w+)>", text))
        if missing := used - self._rules.keys():
            raise ValueError(f"no such rules: {sorted(missing)}")

    def _parse(self, tokens: list[str], at: int) -> tuple[Choice, int]:
        """Return the alternatives up to a closing bracket or the end, and where that is."""
        options: list[list[object]] = [[]]
        weights = [1]
        while at < len(tokens) and tokens[at] not in "])":
            token = tokens[at]
            if token == "|":
                options.append([])
                weights.append(1)
            elif token[0] == "{":
                weights[-1] = int(token[1:-1])
            elif token in "[(":
                inner, at = self._parse(tokens, at + 1)
                if token == "[":
                    total = inner.cumulative[-1]
                    inner = Choice((*inner.options, ()), (*inner.cumulative, 2 * total))
                options[-1].append(inner)
            else:
                options[-1].append(token)
            at += 1
        return _choice(options, weights), at

    def sentence(self, rng: random.Random) -> str:
        """Return one sentence, lower case, words separated by single spaces."""
        start = rng.choices(self._starts, self._weights)[0]
        out: list[str] = []
        self._expand(self._rules[start], rng, out)
        return " ".join(out).replace(" s_", "s").replace("s_", "s")

    def _expand(self, rule: Choice, rng: random.Random, out: list[str]) -> None:
        for part in rule.draw(rng):
            if isinstance(part, Choice):
                self._expand(part, rng, out)
            elif isinstance(part, str) and part.startswith("<"):
                self._expand(self._rules[part[1:-1]], rng, out)
            else:
                out.append(str(part))


def read_grammar(folder: Path) -> Grammar:
    """Read ``grammar.txt`` and the lists of names beside it."""
    names = {
        "FIRST": (folder / "first-names.txt").read_text().split(),
        "LAST": (folder / "last-names.txt").read_text().split(),
    }
    return Grammar((folder / "grammar.txt").read_text(), names)
