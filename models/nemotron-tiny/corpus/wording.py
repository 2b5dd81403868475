"""Wordings with choices and slots, and what filling them in gives: words that know their slot.

The notation is that of ``wordings.toml``. Sources of wordings are that file, ``topics.toml``,
``elsewhere.toml``, what people wrote (``sgd-wordings.jsonl.gz``), and the recogniser's grammar.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Fill = Callable[[random.Random, str], tuple[str, Any]]
"""Draws a slot's words and value; told the word before it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing a caller says: each word with the slot it belongs to ("" for none)."""

    act: str
    words: tuple[str, ...]
    marks: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the host passes to a tool, by slot."""
    heard: bool = False
    """The words are what a recogniser made of it already."""

    @property
    def text(self) -> str:
        return " ".join(self.words)


def lines(block: str) -> list[str]:
    """Return a block's lines, "3 * x" as three of x; "3 * " alone is three empty ones."""
    found: list[str] = []
    for line in block.strip("\n").splitlines():
        times = re.match(r"(\d+) \*(?: |$)", line)
        found += [line[times.end() :].strip()] * int(times[1]) if times else [line.strip()]
    return found


class Wordings:
    """All wordings of one file with ``[lists]`` and acts; keeps the choices of each apart."""

    def __init__(self, lists: Mapping[str, str], acts: Mapping[str, str]) -> None:
        self._lists = {name: lines(block) for name, block in lists.items()}
        self.acts = {act: lines(block) for act, block in acts.items()}

    @classmethod
    def read(cls, path: Path) -> Wordings:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        acts = {act: table["said"] for act, table in content.get("acts", {}).items()}
        acts |= content.get("kinds", {})
        return cls(content.get("lists", {}), acts)

    def expand(self, wording: str, rng: random.Random) -> str:
        """Return the wording with its lists and choices drawn; slots are still there."""
        while found := re.search(r"\b[A-Z]{2,}\b", wording):
            chosen = rng.choice(self._lists[found[0]])
            wording = wording[: found.start()] + chosen + wording[found.end() :]
        while found := re.search(r"\[([^\[\]]*)\]", wording):
            chosen = rng.choice(found[1].split("|"))
            wording = wording[: found.start()] + chosen + wording[found.end() :]
        return " ".join(wording.split())


def fill(act: str, wording: str, fills: Mapping[str, Fill], rng: random.Random) -> Said:
    """Fill in the slots. ``{time2}`` is another time than ``{time}``, and no slot of the act."""
    words: list[str] = []
    marks: list[str] = []
    values: dict[str, Any] = {}
    for piece in wording.split():
        if not (found := re.fullmatch(r"\{([a-z_]+)(\d?)\}", piece)):
            words.append(piece)
            marks.append("")
            continue
        before = words[-1] if words else ""
        said, value = fills[found[1]](rng, before)
        if found[2]:  # another value, never the one it is changed to
            kind = {"size": "another_size", "time": "another_time", "date": "another_date"}[
                found[1]
            ]
            said, value = fills[kind](rng, before)
        slot = {"party": "size"}.get(found[1], found[1])
        mark = slot + found[2]
        if not found[2] and slot not in values:
            values[slot] = value
        words += said.split()
        marks += [mark] * len(said.split())
    return Said(act, tuple(words), tuple(marks), values)
