"""Evaluate a model as the host of Bella Notte: callers with unseen wordings, real tools.

    python models/nemotron-tiny/evaluate.py MODEL.gguf [--part final] [--speech]

prints a Markdown table. ``--patterns`` evaluates the pattern script instead, ``--log FILE`` keeps
the calls that went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
for folder in ("corpus", "evaluation"):
    sys.path.insert(0, str(HERE / folder))

import values  # noqa: E402
from brains import Brain, Gguf, Patterns  # noqa: E402
from callers import Caller, HeldOut, goal, some_day  # noqa: E402
from line import Line  # noqa: E402
from spoken_line import Ear  # noqa: E402
from world import bella_notte, schemas  # noqa: E402

DECLINES = ("cannot help you with that", "can only", "cannot help")
TOPICS = ("address", "parking", "payment", "dogs", "children", "garden", "allergies")


class Scores:
    """How many of how many, by task, and the calls that failed."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.invented = 0
        self.turns = 0
        self.failed: list[str] = []

    def add(self, task: str, line: Line, done: bool) -> None:
        self.tried[task] += 1
        self.done[task] += done
        self.invented += line.invented
        self.turns += sum(m["role"] == "user" for m in line.messages)
        if not done or line.invented:
            self.failed.append(f"--- {task}\n" + "\n".join(line.log))

    def table(self) -> str:
        rows = ["| task | done | of | % |", "|---|---|---|---|"]
        rows += [
            f"| {task} | {self.done[task]} | {self.tried[task]} | "
            f"{100 * self.done[task] / self.tried[task]:.1f} |"
            for task in self.tried
        ]
        bookings = [
            t
            for t in self.tried
            if t in {"book", "change", "change by name", "cancel", "cancel by name"}
        ]
        if bookings:
            done, tried = (sum(c[t] for t in bookings) for c in (self.done, self.tried))
            rows.append(
                f"| **all booking tasks** | {done} | {tried} | **{100 * done / tried:.1f}** |"
            )
        rows.append(f"\ninvented: {self.invented} in {self.turns} turns")
        return "\n".join(rows)


async def evaluate(
    brain: Brain, part: str, calls: int, seed: int, ear: Ear | None, *, tasks: Callable[[str], bool]
) -> Scores:
    """Play ``calls`` calls of each booking task, and ask every held-out question once."""
    rng, scores, agent = random.Random(seed), Scores(), bella_notte()
    phrases = HeldOut(part, rng)

    async def on_line(task: str, play: Callable[[Line], object]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            if ear is not None:
                ear.next_caller()
            hear = ear.hear if ear is not None else str
            line = Line(brain, agent, some_day(rng), Path(folder) / "book.sqlite", hear)
            await line.open()
            try:
                scores.add(task, line, bool(await play(line)))  # type: ignore[misc]
            finally:
                await line.close()

    async def books(line: Line) -> bool:
        return await Caller(line, phrases, rng).books(goal(rng, line))

    async def changes(line: Line) -> bool:
        caller, wish = Caller(line, phrases, rng), goal(rng, line)
        if not await caller.books(wish):
            return False
        slot, new = _changed(rng, line, wish.row)
        return await caller.changes(wish, new, slot)

    async def changes_by_name(line: Line) -> bool:
        caller, wish, name = Caller(line, phrases, rng), goal(rng, line), values.name(rng)
        await _earlier(line, wish, name)
        slot, new = _changed(rng, line, wish.row)
        return await caller.changes(wish, new, slot, name)

    async def cancels(line: Line) -> bool:
        caller, wish = Caller(line, phrases, rng), goal(rng, line)
        return await caller.books(wish) and await caller.cancels()

    async def cancels_by_name(line: Line) -> bool:
        caller, wish, name = Caller(line, phrases, rng), goal(rng, line), values.name(rng)
        await _earlier(line, wish, name)
        return await caller.cancels(name)

    for task, play, share in (
        ("book", books, 1.0),
        ("change", changes, 0.3),
        ("change by name", changes_by_name, 0.3),
        ("cancel", cancels, 0.2),
        ("cancel by name", cancels_by_name, 0.2),
    ):
        for _ in range(round(calls * share) if tasks(task) else 0):
            await on_line(task, play)

    if tasks("questions"):
        for said, tool, arguments in _questions(phrases, rng):

            async def asks(
                line: Line,
                said: str = said,
                tool: str = tool,
                arguments: dict[str, str] = arguments,
            ) -> bool:
                return await line.told(tool, arguments) in await line.say(said)

            await on_line("questions", asks)
    if tasks("elsewhere"):
        for number, said in enumerate([*phrases.elsewhere, *phrases.written("elsewhere")]):

            async def declines(line: Line, said: str = said, number: int = number) -> bool:
                if number % 3 == 2:
                    await line.say("i'd like a table please")
                answer = await line.say(said)
                return not line.calls and any(words in answer for words in DECLINES)

            await on_line("elsewhere declined", declines)
    return scores


def _changed(rng: random.Random, line: Line, row: tuple[int, str, str]):  # type: ignore[no-untyped-def]
    """Return a slot and a goal that differs there and is possible with the rest."""
    while True:
        new, slot = goal(rng, line), rng.choice(("size", "date", "time"))
        at = ("size", "date", "time").index(slot)
        if new.row[at] == row[at]:
            continue
        merged = [*row]
        merged[at] = new.row[at]
        hour, minute = map(int, str(merged[2]).split(":"))
        from datetime import date

        spans = line.agent.hours.on(date.fromisoformat(str(merged[1])))
        if any(s.start_min <= hour * 60 + minute <= s.end_min - 60 for s in spans):
            return slot, new


async def _earlier(line: Line, wish, name: str) -> None:  # type: ignore[no-untyped-def]
    size, day, at = wish.row
    await line.earlier({"party_size": size, "date": day, "time": at, "name": name})


def _questions(phrases: HeldOut, rng: random.Random):  # type: ignore[no-untyped-def]
    """Yield (said, tool, arguments that give the right answer)."""
    for topic in TOPICS:
        for said in [*phrases.lines(topic), *phrases.written(f"house {topic}")[:8]]:
            yield said, "house", {"about": topic}
    for said in [*phrases.lines("vegetarian"), *phrases.written("menu vegetarian")[:8]]:
        yield said, "menu", {"about": "vegetarian"}
    for wording in phrases.lines("dish") * 4:
        dish = rng.choice(bella_notte().menu).name.lower()
        yield wording.replace("{about}", dish), "menu", {"about": dish}
    for wording in phrases.lines("course") * 2:
        course = rng.choice(("desserts", "starters", "pizza", "drinks"))
        yield wording.replace("{about}", course), "menu", {"about": course}
    for wording in phrases.lines("hours_date") * 4:
        day = rng.choice(("tomorrow", "sunday", "friday", "monday", "next tuesday", "tonight"))
        yield wording.replace("{date}", day), "opening_hours", {"date": day}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--patterns", action="store_true")
    parser.add_argument("--part", default="development", choices=["development", "final"])
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--speech", action="store_true", help="through a voice and the recogniser")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    brain: Brain
    if options.patterns:
        brain = Patterns(HERE.parents[1] / "pipelines" / "agents" / "bella-notte.script.toml")
    else:
        brain = Gguf(options.model, schemas(bella_notte()))
    ear = Ear(options.seed) if options.speech else None
    wanted = set(options.tasks)
    scores = asyncio.run(
        evaluate(
            brain,
            options.part,
            options.calls,
            options.seed,
            ear,
            tasks=lambda task: not wanted or task in wanted,
        )
    )
    print(scores.table())
    if options.log:
        options.log.write_text("\n".join(scores.failed), encoding="utf-8")


if __name__ == "__main__":
    main()
