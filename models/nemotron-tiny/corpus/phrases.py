"""Every wording of every act, from all sources, found by act and by which slots it fills.

Sources: ``wordings.toml``, ``topics.toml`` and ``elsewhere.toml`` (ours), the training part of
``sgd-wordings.jsonl.gz`` (people, CC BY-SA 4.0), and the grammar of the recogniser's corpus.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import values
from noise import HEARD, understood
from wording import Fill, Said, Wordings, fill, lines

from voice_agent.agents.spoken import read_number

HERE = Path(__file__).parent
RECOGNISER = HERE.parents[1] / "pocketsphinx-bella-notte"
sys.path.insert(0, str(RECOGNISER))
from grammar import Choice, Grammar, read_grammar  # noqa: E402

Slots = frozenset[str]
DRAWN = 1500
"""Expansions of each act of ``wordings.toml``: lists decide which slots a wording has."""
FROM_GRAMMAR = 30_000
ENOUGH = 40
"""A source with fewer wordings than this is drawn from less often."""
INFORM = ("size", "time", "date", "date_time", "size_date", "size_time", "size_date_time")
_RULES = {
    "book": "book",
    "book2": "book",
    "book3": "check",
    "book4": "book",
    "book5": "book",
    "book6": "book",
    "come": "book",
    "party": "inform",
    "party2": "inform",
    "time": "inform",
    "date": "inform",
    "name": "name",
    "cancel": "cancel",
    "cancel2": "cancel",
    "yes": "yes",
    "bye": "bye",
    "hello": "hello",
}
_MARKED = {"party": "size", "partyof": "size", "for": "size", "onday": "date", "day": "date"}
_MARKED |= {"date": "date", "time": "time", "clock": "time", "name": "name"}
_ODD = re.compile(
    r"\b(between|after|before|from|my family|instead|no i|fifteen people|twenty|another|"
    r"two tables|kitchen|both)\b"
)


class Phrases:
    """Draws what callers say."""

    def __init__(self, seed: int = 5, heard: Path = HEARD) -> None:
        rng = random.Random(seed)
        self.rng = rng
        self._ours: dict[str, dict[Slots, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._written: dict[str, dict[Slots, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._drawn: dict[str, dict[Slots, list[Said]]] = defaultdict(lambda: defaultdict(list))
        own = Wordings.read(HERE / "wordings.toml")
        for act, wordings in own.acts.items():
            for _ in range(DRAWN):
                words = own.expand(rng.choice(wordings), rng)
                self._ours[_family(act)][_slots_of(words)].append(words)
        topics = tomllib.loads((HERE / "topics.toml").read_text(encoding="utf-8"))
        self.topics = Wordings({}, topics["topics"])
        self._unknown = topics["unknown"]
        self._before, self._after = (lines(topics["lead"][part]) for part in ("before", "after"))
        self.elsewhere = Wordings.read(HERE / "elsewhere.toml")
        foods = [food.removeprefix("a ") for food in lines(topics["foods"]["said"])]
        self.dishes = sorted({*_dishes(), *foods})
        for row in sgd("train"):
            self._written[row["act"]][_slots_of(row["words"])].append(row["words"])
        for said in _from_grammar(rng):
            self._drawn[said.act][frozenset(said.values)].append(said)
        self._heard: dict[str, dict[Slots, list[Said]]] = defaultdict(lambda: defaultdict(list))
        for said in understood(heard):
            self._heard[said.act][frozenset(said.values)].append(said)

    def slot_sets(self, act: str) -> list[Slots]:
        """Return which slots wordings of ``act`` may fill."""
        return sorted({*self._ours[act], *self._written[act]}, key=sorted)

    def say(
        self, act: str, slots: set[str], today: date, given: Mapping[str, tuple[str, Any]] = {}
    ) -> Said:
        """Draw something said; ``given`` are words and values that are not drawn."""
        rng, wanted = self.rng, frozenset(slots)
        sources: list[tuple[float, list[Any]]] = [
            (0.5, self._ours[act].get(wanted, [])),
            (0.25, self._written[act].get(wanted, [])),
            (0.2, [] if given else self._drawn[act].get(wanted, [])),
            (0.25, [] if given else self._heard[act].get(wanted, [])),
        ]
        sources = [
            (weight * min(1.0, len(wordings) / ENOUGH), wordings) for weight, wordings in sources
        ]
        sources = [(weight, wordings) for weight, wordings in sources if weight]
        if not sources:
            raise LookupError(f"no wording of {act!r} fills {sorted(slots)}")
        chosen = rng.choices([w for _, w in sources], [weight for weight, _ in sources])[0]
        wording = rng.choice(chosen)
        if isinstance(wording, Said):
            return wording
        return fill(act, wording, self._fills(today, given), rng)

    def ask_house(self) -> Said:
        """Draw a question about the house, about something it may know or not."""
        rng = self.rng
        if rng.random() < 0.75:
            topic = rng.choice(list(self.topics.acts))
            written = self._written[f"house {topic}"].get(frozenset(), [])
            if written and rng.random() < 0.25:
                wording = rng.choice(written)
            else:
                wording = self._led(self.topics.expand(rng.choice(self.topics.acts[topic]), rng))
            return Said(
                "house", tuple(wording.split()), ("",) * len(wording.split()), {"about": topic}
            )
        if rng.random() < 0.5:
            topic, wording = rng.choice(lines(self._unknown["phrases"])).split(" = ")
            if topic == "phone number" or topic == "live music":
                wording = rng.choice([wording, *self._written[f"house {topic}"][frozenset()][:80]])
        else:
            topic = rng.choice(lines(self._unknown["subjects"]))
            wording = rng.choice(lines(self._unknown["said"])).replace("{about}", topic)
            topic = topic.removeprefix("a ").removeprefix("an ").removeprefix("free ")
        wording = self._led(self.topics.expand(wording, rng))
        return Said("house", tuple(wording.split()), ("",) * len(wording.split()), {"about": topic})

    def _led(self, question: str) -> str:
        """Put something before or after a question, as people do."""
        rng = self.rng
        if rng.random() < 0.3:
            question = f"{rng.choice(self._before)} {question}"
        return f"{question} {rng.choice(self._after)}" if rng.random() < 0.08 else question

    def ask_elsewhere(self, today: date) -> Said:
        """Draw something that is not the restaurant's business."""
        rng = self.rng
        if rng.random() < 0.15:
            return fill("elsewhere", rng.choice(self._written["elsewhere"][frozenset()]), {}, rng)
        wordings = [wording for kind in self.elsewhere.acts.values() for wording in kind]
        wording = self._led(self.elsewhere.expand(rng.choice(wordings), rng))
        return fill("elsewhere", wording, self._fills(today, {}), rng)

    def ask_menu(self, act: str, about: str, value: str) -> Said:
        """Draw a question about a dish or a course."""
        given = {"about": (about, value)}
        slots = {"about"} if about else set()
        written = self._written[f"menu {value}"].get(frozenset(), []) if value else []
        if not about and written and self.rng.random() < 0.3:
            said = fill(act, self.rng.choice(written), {}, self.rng)
        else:
            said = self.say(act, slots, date.min, given)
        return Said(said.act, said.words, said.marks, {"about": value})

    def _fills(self, today: date, given: Mapping[str, tuple[str, Any]]) -> dict[str, Fill]:
        def day(rng: random.Random, before: str) -> tuple[str, Any]:
            words = values.dated(rng, today) if before == "the" else values.day(rng, today)
            while before == "on" and words.startswith(("to", "in ", "a ", "next week", "this w")):
                words = values.day(rng, today)
            return words, f"the {words}" if before == "the" else words

        def clock(rng: random.Random, before: str) -> tuple[str, Any]:
            words = values.clock(rng)
            return words, words

        def name(rng: random.Random, before: str) -> tuple[str, Any]:
            words = values.name(rng)
            return words, words

        def digits(rng: random.Random, before: str) -> tuple[str, Any]:
            spoken = "zero oh one two three four five six seven eight nine".split()
            return " ".join(rng.choices(spoken, k=rng.choice((6, 7, 7, 10, 10, 11)))), None

        fills: dict[str, Fill] = {
            "date": day,
            "time": clock,
            "size": lambda rng, before: values.size(rng),
            "party": lambda rng, before: values.party(rng),
            "name": name,
            "digits": digits,
            "thing": lambda rng, before: (values.syllables(rng), None),
        }

        def fixed(pair: tuple[str, Any]) -> Fill:
            return lambda rng, before: pair

        fills |= {f"another_{slot}": fills[slot] for slot in ("date", "time", "size")}
        fills |= {slot: fixed(pair) for slot, pair in given.items()}
        if "size" in given:
            fills["party"] = fills["size"]
        return fills


def sgd(*parts: str) -> Iterator[dict[str, str]]:
    """Yield the written wordings of ``parts``: "train", "dev", "test"."""
    with gzip.open(HERE / "sgd-wordings.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            if row["split"] in parts:
                yield row


def _dishes() -> set[str]:
    """Return what callers might ask for: every dish of the recogniser's grammar."""
    grammar, rng = read_grammar(RECOGNISER / "corpus"), random.Random(3)
    found = set()
    for _ in range(2000):
        marked: list[tuple[str, str]] = []
        _expand(grammar, "dish", "", rng, marked)
        found.add(" ".join(word for word, _ in marked).replace(" s_", "s"))
    return found


def _family(act: str) -> str:
    if act in INFORM:
        return "inform"
    for family in ("correct", "change", "cancel", "hours"):
        if act.startswith(family + "_"):
            return family
    return act


def _slots_of(wording: str) -> Slots:
    found = re.findall(r"\{([a-z]+)\}", wording)
    return frozenset("size" if slot == "party" else slot for slot in found)


def _from_grammar(rng: random.Random) -> Iterator[Said]:
    grammar = read_grammar(RECOGNISER / "corpus")
    tested = {
        line
        for part in ("development", "held-out")
        for line in (RECOGNISER / "evaluation" / f"{part}.txt").read_text().splitlines()
    }
    for _ in range(FROM_GRAMMAR):
        rule = rng.choice(list(_RULES))
        marked: list[tuple[str, str]] = []
        _expand(grammar, f"sentence.{rule}", "", rng, marked)
        said = _said(_RULES[rule], marked)
        if said is not None and said.text not in tested:
            yield said


def _expand(
    grammar: Grammar, rule: str | Choice, mark: str, rng: random.Random, out: list[tuple[str, str]]
) -> None:
    """Draw a sentence, each word with the outermost slot it is part of."""
    if isinstance(rule, str):
        mark = mark or _MARKED.get(rule, "")
        rule = grammar._rules[rule]
    for part in rule.draw(rng):
        if isinstance(part, Choice):
            _expand(grammar, part, mark, rng, out)
        elif isinstance(part, str) and part.startswith("<"):
            _expand(grammar, part[1:-1], mark, rng, out)
        else:
            out.append((str(part), mark))


def _said(act: str, marked: list[tuple[str, str]]) -> Said | None:
    """Read the slots' values from the marked words; None for what the host could not tell."""
    words = " ".join(word for word, _ in marked)
    if _ODD.search(words) or "_" in words:
        return None
    found: dict[str, Any] = {}
    marks: list[str] = [mark for _, mark in marked]
    for slot in ("size", "date", "time", "name"):
        at = [i for i, mark in enumerate(marks) if mark == slot]
        if not at:
            continue
        if at != list(range(at[0], at[-1] + 1)):
            return None
        lead = {"on", "for", "at"} | ({"a", "party", "of", "group"} if slot == "size" else set())
        while len(at) > 1 and marked[at[0]][0] in lead:
            marks[at.pop(0)] = ""
        while at and slot == "date" and marked[at[0]][0] in {"lunch", "dinner", "time", "on"}:
            marks[at.pop(0)] = ""
        text = " ".join(marked[i][0] for i in at)
        value = read_party(text) if slot == "size" else text
        if not value:
            return None
        found[slot] = value
    if act == "inform" and not found:
        return None
    if act == "name" and not found.get("name"):
        return None
    if act == "cancel":
        found = {slot: value for slot, value in found.items() if slot in {"name", "date"}}
    if act == "hours":
        found = {slot: value for slot, value in found.items() if slot == "date"}
    if act in {"yes", "bye", "hello"} and found:
        return None
    return Said(act, tuple(word for word, _ in marked), tuple(marks), found)


def read_party(text: str) -> int | None:
    """Return how many people words like "two adults and a baby" are."""
    if text in values.COMPANY:
        return values.COMPANY[text]
    if re.search(r"\b(wife|husband|myself|me)\b", text):
        return 1 if re.fullmatch(r"(just )?(me|myself)", text) else None
    grown, _, small = text.partition(" adults and ")
    count = read_number(grown)
    if count is None or not small:
        return count
    return count + (1 if small.startswith(("a ", "one ")) else read_number(small) or 1)
