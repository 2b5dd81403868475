"""Simulated callers with something to get done, who speak in wordings the model never saw.

A caller knows what they want, answers what the host asks, listens to what is read back and puts
it right when it is wrong. Whether it was done is read from the database.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import values
from line import Line
from phrases import sgd
from wording import Fill, Wordings, fill

from voice_agent.agents.spoken import read_date, read_time, say_date, say_number, say_time

HERE = Path(__file__).parent
ELLIPTIC = re.compile(
    r"\b(again|that day|same|that time|instead of \w+|"
    r"to(?:night|day|morrow)|this evening|\w+day|noon|lunch|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
)
"""What was said of something before in another conversation makes no sense in ours, and a day or
number that is part of a wording is not what our caller wants."""
TURNS = 9
"""More than so many turns no caller has patience for."""


class HeldOut:
    """Wordings of one part: "development", "final", or "strangers", who book nothing."""

    def __init__(self, part: str, rng: random.Random) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """What strangers ask: words, the tool that knows, and about what."""
        self._rng = rng
        self._written: dict[tuple[str, frozenset[str]], list[str]] = {}
        if part == "strangers":
            said = tomllib.loads((HERE / "strangers.toml").read_text(encoding="utf-8"))
            self._ours = Wordings({}, {})
            self.elsewhere = said["elsewhere"]["said"].strip().splitlines()
            for line in said["questions"]["said"].strip().splitlines():
                known, _, words = line.partition(" = ")
                tool, _, about = known.partition(" ")
                self.asked.append((words, tool, about))
            return
        content = tomllib.loads((HERE / "callers.toml").read_text(encoding="utf-8"))
        self._ours = Wordings({}, content[part])
        elsewhere = tomllib.loads((HERE / "elsewhere.toml").read_text(encoding="utf-8"))
        self.elsewhere = elsewhere[part]["said"].strip().splitlines()
        for row in sgd({"development": "dev", "final": "test"}[part]):
            slots = frozenset(w[1:-1] for w in row["words"].split() if w[0] == "{")
            self._written.setdefault((row["act"], slots), []).append(row["words"])

    def lines(self, act: str) -> list[str]:
        """Return every wording of an act of ours."""
        return self._ours.acts.get(act, [])

    def written(self, act: str) -> list[str]:
        """Return what people wrote, without slots."""
        return self._written.get((act, frozenset()), [])

    def say(self, act: str, wishes: dict[str, tuple[str, Any]], among: set[str]) -> str:
        """Return a wording of ``act`` that gives some of the slots ``among``."""
        choices: list[str] = []
        for wording in self.lines(act):
            slots = {w[1:-1].replace("party", "size") for w in wording.split() if w[0] == "{"}
            if slots <= among and (slots or act in {"book", "yes", "no", "bye", "cancel"}):
                choices.append(wording)
        written_act = {"size": "inform", "date": "inform", "time": "inform"}.get(act, act)
        if act == "date_time":
            written_act = "inform"
        wanted = frozenset(act.split("_")) if written_act == "inform" else None
        written = [
            wording
            for (name, slots), wordings in self._written.items()
            if name == written_act and slots <= among and (wanted is None or slots == wanted)
            for wording in wordings
            if "the {date}" not in wording and not ELLIPTIC.search(wording)
        ]
        rng = self._rng
        pool = written if written and (not choices or rng.random() < 0.5) else choices
        fills = {slot: _fixed(pair) for slot, pair in wishes.items()}
        if "size" in wishes:
            bare = say_number(wishes["size"][1])
            fills["party"] = fills["size"]
            fills["size"] = lambda r, before: (bare, wishes["size"][1])
        return fill(act, rng.choice(pool), fills, rng).text


def _fixed(pair: tuple[str, Any]) -> Fill:
    return lambda rng, before: pair


@dataclass(slots=True)
class Goal:
    """A party, a day and a time, in words and as they should stand in the book."""

    wishes: dict[str, tuple[str, Any]]
    row: tuple[int, str, str]


def goal(rng: random.Random, line: Line) -> Goal:
    """Draw something the house can do."""
    today = line.now.date()
    while True:
        party, day, clock = values.party(rng), values.day(rng, today), values.clock(rng)
        if party[0] in values.COMPANY:  # "we are just me"
            continue
        on, at = read_date(day, line.now), read_time(clock)
        if on is None or at is None or not 0 < (on - today).days < 150 or party[1] > 8:
            continue
        row = (party[1], on.isoformat(), f"{at:%H:%M}")
        if possible(line, *row[1:]):
            return Goal({"size": party, "date": (day, day), "time": (clock, clock)}, row)


def changed(rng: random.Random, line: Line, old: Goal) -> tuple[str, Goal]:
    """Draw a slot and a goal that differs from the old one there, and is possible."""
    slots = ("size", "date", "time")
    while True:
        new, at = goal(rng, line), rng.randrange(3)
        row = (*old.row[:at], new.row[at], *old.row[at + 1 :])
        if new.row[at] != old.row[at] and possible(line, *row[1:]):
            wishes = {**old.wishes, slots[at]: new.wishes[slots[at]]}
            return slots[at], Goal(wishes, row)


def possible(line: Line, day: str, at: str) -> bool:
    """Return whether the house seats people then."""
    hour, minute = map(int, at.split(":"))
    spans = line.agent.hours.on(date.fromisoformat(day))
    return any(s.start_min <= hour * 60 + minute <= s.end_min - 60 for s in spans)


def read_back(answer: str, row: tuple[int, str, str], now: datetime) -> list[str]:
    """Return which of size, date and time an answer that confirms has wrong."""
    size, day, at = row
    people = "one person" if size == 1 else f"{say_number(size)} people"
    on = date.fromisoformat(day)
    wanted = {
        "size": people,
        "date": say_date(on, now),
        "time": say_time(datetime.fromisoformat(f"{day}T{at}").time()),
    }
    return [slot for slot, words in wanted.items() if words not in answer]


class Caller:
    """One caller with one thing to get done."""

    def __init__(self, line: Line, phrases: HeldOut, rng: random.Random) -> None:
        self.line, self.phrases, self.rng = line, phrases, rng
        self.corrections = 0

    async def books(self, wish: Goal) -> bool:
        """Book it; True when exactly that stands in the book."""
        answer = await self.line.say(self.phrases.say("book", wish.wishes, {*wish.wishes}))
        await self._until(answer, wish, "I have booked")
        return self.line.booked() == [wish.row]

    async def changes(self, new: Goal, slot: str, name: str = "") -> bool:
        """Change ``slot`` of what stands in the book to what ``new`` has."""
        said = self.phrases.say(f"change_{slot}", new.wishes, {slot})
        answer = await self.line.say(said)
        await self._until(answer, new, "I have changed", name=name, only=slot)
        return self.line.booked() == [new.row]

    async def cancels(self, name: str = "") -> bool:
        """Cancel what stands in the book."""
        answer = await self.line.say(self.phrases.say("cancel", {}, set()))
        for _ in range(TURNS):
            if "I have cancelled" in answer:
                break
            if "name" in answer and name:
                answer = await self.line.say(
                    self.phrases.say("name", {"name": (name, name)}, {"name"})
                )
            else:
                answer = await self.line.say(self.phrases.say("cancel", {}, set()))
        return not self.line.booked()

    async def _until(
        self,
        answer: str,
        wish: Goal,
        done: str,
        *,
        name: str = "",
        only: str = "",
    ) -> None:
        for _ in range(TURNS):
            if done in answer or "I have changed" in answer:
                wrong = read_back(answer, wish.row, self.line.now)
                if not wrong:
                    return
                self.corrections += 1
                slot = wrong[0]
                said = self.phrases.say(f"wrong_{slot}", wish.wishes, {slot})
            else:
                said = self._answer(answer, wish, name, only)
            answer = await self.line.say(said)

    def _answer(self, answer: str, wish: Goal, name: str, only: str) -> str:
        """Return what one says to a question."""
        say, low = self.phrases.say, answer.lower()
        asked = {
            "size": "how many" in low or "smaller party" in low,
            "date": "which day" in low or "other day" in low or "what day" in low,
            "time": "what time" in low or "other time" in low,
        }
        if "when" in low and not any(asked.values()):
            asked |= {"date": True, "time": True}
        if "and when" in low:
            asked |= {"date": True, "time": True}
        if "shall i" in low:
            return say("yes", {}, set())
        if "name" in low and name:
            return say("name", {"name": (name, name)}, {"name"})
        if "to change" in low and only:
            return say(only, wish.wishes, {only})
        wanted = {slot for slot, is_asked in asked.items() if is_asked}
        if wanted == {"date", "time"}:
            return say("date_time", wish.wishes, wanted)
        if len(wanted) == 3:
            slot = self.rng.choice(("size", "date_time"))
            return say(slot, wish.wishes, set(slot.split("_")))
        if wanted:
            return " ".join(say(slot, wish.wishes, {slot}) for slot in sorted(wanted, reverse=True))
        if only:
            return say(f"change_{only}", wish.wishes, {only})
        return say("book", wish.wishes, {*wish.wishes})


def some_day(rng: random.Random) -> datetime:
    """Return a moment in years that the corpus has not."""
    return datetime(2029, 1, 2, 11) + timedelta(days=rng.randrange(700))
