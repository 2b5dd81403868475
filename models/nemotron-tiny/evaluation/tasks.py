"""What a host is judged by: bookings made, changed and cancelled, questions, things declined."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import values
from brains import Brain
from callers import Caller, Goal, HeldOut, changed, goal, some_day
from line import Line
from spoken_line import Ear
from world import bella_notte

DECLINES = "cannot help you with that"
REFUSES = ("I am sorry, I cannot", "I am sorry, that is not on the menu", "there is only me")
"""Sentences that refuse as politely, but mistake what was asked for a dish, a fact or a wish."""
TOPICS = ("address", "parking", "payment", "dogs", "children", "garden", "allergies")
REFUSED = "the same, with any refusal"
BOOKINGS = {
    "book": 1.0,
    "change": 0.3,
    "change by name": 0.3,
    "cancel": 0.2,
    "cancel by name": 0.2,
}
"""How many calls of each task there are for one of "book"."""
BY_VOICE = ("book", "change", "cancel")
"""Names are out of a small recogniser's reach."""


@dataclass
class Scores:
    """How many of how many, by task, and the calls that failed."""

    done: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    invented: int = 0
    """Answers that claimed what no tool had confirmed."""
    turns: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, task: str, line: Line, done: bool) -> None:
        self.tried[task] += 1
        self.done[task] += done
        self.invented += line.invented
        self.turns += sum(message["role"] == "user" for message in line.messages)
        if not done or line.invented:
            self.failed.append("\n".join([f"--- {task}", *line.log]))

    def share(self, *tasks: str) -> float:
        """Return how much of these tasks was done, 0 to 1."""
        return sum(self.done[t] for t in tasks) / max(1, sum(self.tried[t] for t in tasks))

    def table(self) -> str:
        """Return it as Markdown."""
        rows = ["| task | done | of | % |", "|---|---|---|---|"]
        for task, tried in self.tried.items():
            rows.append(f"| {task} | {self.done[task]} | {tried} | {100 * self.share(task):.1f} |")
        if tasks := [task for task in self.tried if task in BOOKINGS]:
            done, tried = (sum(counts[t] for t in tasks) for counts in (self.done, self.tried))
            share = 100 * self.share(*tasks)
            rows.append(f"| **all booking tasks** | {done} | {tried} | **{share:.1f}** |")
        rows.append(f"\n{self.invented} claims without a tool's word, in {self.turns} turns")
        return "\n".join(rows)


class Evaluation:
    """One part of the held-out wordings, on one brain.

    Args:
        ear: What stands between a caller's words and the host; None for nothing.
    """

    def __init__(self, brain: Brain, part: str, seed: int, ear: Ear | None = None) -> None:
        self.scores = Scores()
        self._brain, self._ear, self._agent = brain, ear, bella_notte()
        self._rng = random.Random(seed)
        self._phrases = HeldOut(part, self._rng)

    async def bookings(self, calls: int, tasks: Collection[str] = tuple(BOOKINGS)) -> None:
        """Play ``calls`` calls of "book" and as many of the others as BOOKINGS says."""
        plays: dict[str, Callable[[Line], Awaitable[bool]]] = {
            "book": self._books,
            "change": self._changes,
            "change by name": self._changes_by_name,
            "cancel": self._cancels,
            "cancel by name": self._cancels_by_name,
        }
        for task in tasks:
            for _ in range(round(calls * BOOKINGS[task])):
                await self._play(task, plays[task])

    async def questions(self) -> None:
        """Ask every held-out question; the answer must hold what the right tool says."""
        for said, tool, about in self._questions():

            async def asks(
                line: Line, said: str = said, tool: str = tool, about: dict[str, str] = about
            ) -> bool:
                return await line.told(tool, about) in await line.say(said)

            await self._play("questions", asks)

    async def elsewhere(self) -> None:
        """Ask for what is not the restaurant's business, every third time amid a booking."""
        asked = [*self._phrases.elsewhere, *self._phrases.written("elsewhere")]
        for number, said in enumerate(asked):

            async def declines(line: Line, said: str = said, amid: bool = number % 3 == 2) -> bool:
                if amid:
                    await line.say("i'd like a table please")
                answer = await line.say(said)
                looked = all(name in {"house", "menu"} for name, _ in line.calls)
                refused = looked and any(words in answer for words in (DECLINES, *REFUSES))
                self.scores.tried[REFUSED] += 1
                self.scores.done[REFUSED] += refused
                return not line.calls and DECLINES in answer

            await self._play("elsewhere declined", declines)

    async def _play(self, task: str, play: Callable[[Line], Awaitable[bool]]) -> None:
        if self._ear is not None:
            self._ear.next_caller()
        hear = self._ear.hear if self._ear is not None else str
        with tempfile.TemporaryDirectory() as folder:
            book = Path(folder) / "book.sqlite"
            line = Line(self._brain, self._agent, some_day(self._rng), book, hear)
            await line.open()
            try:
                self.scores.add(task, line, await play(line))
            finally:
                await line.close()

    def _caller(self, line: Line) -> tuple[Caller, Goal]:
        return Caller(line, self._phrases, self._rng), goal(self._rng, line)

    async def _books(self, line: Line) -> bool:
        caller, wish = self._caller(line)
        return await caller.books(wish)

    async def _changes(self, line: Line) -> bool:
        caller, wish = self._caller(line)
        if not await caller.books(wish):
            return False
        slot, new = changed(self._rng, line, wish)
        return await caller.changes(new, slot)

    async def _changes_by_name(self, line: Line) -> bool:
        (caller, wish), name = self._caller(line), values.name(self._rng, made_up=0)
        await line.earlier(wish.row, name)
        slot, new = changed(self._rng, line, wish)
        return await caller.changes(new, slot, name)

    async def _cancels(self, line: Line) -> bool:
        caller, wish = self._caller(line)
        return await caller.books(wish) and await caller.cancels()

    async def _cancels_by_name(self, line: Line) -> bool:
        (caller, wish), name = self._caller(line), values.name(self._rng, made_up=0)
        await line.earlier(wish.row, name)
        return await caller.cancels(name)

    def _questions(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield what is said, and the tool and arguments that give the right answer."""
        phrases, rng = self._phrases, self._rng
        for said, tool, about in phrases.asked:
            yield said, tool, {"date" if tool == "opening_hours" else "about": about}
        for topic in TOPICS:
            for said in [*phrases.lines(topic), *phrases.written(f"house {topic}")[:8]]:
                yield said, "house", {"about": topic}
        for said in [*phrases.lines("vegetarian"), *phrases.written("menu vegetarian")[:8]]:
            yield said, "menu", {"about": "vegetarian"}
        for wording in phrases.lines("dish") * 4:
            dish = rng.choice(self._agent.menu).name.lower()
            yield wording.replace("{about}", dish), "menu", {"about": dish}
        for wording in phrases.lines("course") * 2:
            course = rng.choice(("desserts", "starters", "pizza", "drinks"))
            yield wording.replace("{about}", course), "menu", {"about": course}
        days = ("tomorrow", "sunday", "friday", "monday", "next tuesday", "tonight")
        for wording in phrases.lines("hours_date") * 4:
            day = rng.choice(days)
            yield wording.replace("{date}", day), "opening_hours", {"date": day}
