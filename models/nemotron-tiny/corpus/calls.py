"""Whole calls: a caller who wants one thing after another, and the host who answers.

``call`` plays one; everything comes from its random numbers.
"""

from __future__ import annotations

import random
from typing import Literal

from caller import Caller
from host import MORE, Host, Message
from noise import Recogniser
from phrases import Phrases
from world import World, open_world

from voice_agent.agents.agent import Agent

Kind = Literal["call", "short", "lesson"]
EPISODES = (
    ("book", 44),
    ("check", 9),
    ("change", 14),
    ("cancel", 14),
    ("house", 16),
    ("menu", 12),
    ("hours", 7),
    ("elsewhere", 30),
    ("small", 7),
    ("order", 1),
    ("late", 1),
)
SMALL = ("hello", "how_are_you", "who", "robot", "human", "help", "today", "lookup", "garbled")
LESSONS = (
    ("house", 11),
    ("menu", 10),
    ("hours", 4),
    ("book", 3),
    ("correct", 7),
    ("check", 2),
    ("repeat", 1),
    ("cancel", 8),
    ("change", 8),
    ("elsewhere", 26),
)
UNHEARD = 0.015
"""Share of calls in which not a word of one answer was heard."""


class Visit(Caller):
    """A caller with a few things on their mind, from the first hello to the goodbye."""

    async def ask_around(self) -> None:
        """Ask one thing after another that is answered at once: copying, and little else."""
        rng, host = self.rng, self.host
        for _ in range(rng.choice((1, 2, 2, 3))):
            match rng.choices(*zip(*LESSONS, strict=True))[0]:
                case "book":
                    await self.ask("book", "size", "date", "time", *self._maybe("name", 0.3))
                case "correct":
                    await self.ask("book", "size", "date", "time")
                    slot = rng.choice(("size", "date", "time"))
                    if host.booked:
                        await self.ask("correct", slot, **self._other(slot))
                case "check":
                    await self.ask("check", "size", "date", "time")
                    if host.offered:
                        await self.ask("yes")
                case "cancel":
                    name = await self._known_earlier()
                    await self.ask("cancel", *self._maybe("name", 0.5), name=(name, name))
                    await self._give_name(name)
                case "change":
                    name = await self._known_earlier()
                    await self.ask("change", rng.choice(("size", "date", "time")))
                    await self._give_name(name)
                case act:
                    await self.small(act)
            if host.matter is not None:
                await self.ask("no")

    def _maybe(self, slot: str, chance: float) -> list[str]:
        return [slot] if self.rng.random() < chance else []

    async def _give_name(self, name: str) -> None:
        if self.host.matter is not None and "name" in self.host.asked:
            await self.ask("name", "name", name=(name, name))

    async def talk(self, *, short: bool) -> None:
        rng = self.rng
        if rng.random() < 0.12 and not short:
            await self.ask("hello")
        for _ in range(1 if short else rng.choices((1, 2, 3, 4), (3, 4, 3, 1))[0]):
            episode = rng.choices(*zip(*EPISODES, strict=True))[0]
            match episode:
                case "book":
                    await self.book()
                case "check":
                    await self.check()
                case "change":
                    await self.change()
                case "cancel":
                    await self.cancel()
                case "small":
                    await self.small(rng.choice(SMALL))
                case "order":
                    dish = self._dish()
                    await self.ask("order", "about", about=(dish, dish))
                    if rng.random() < 0.6:
                        await self.ask("yes")
                        await self._until_done()
                    else:
                        await self.ask("no")
                case "late":
                    await self.ask("late")
                    await self.ask(rng.choice(("yes", "no")))
                    await self._until_done()
                case _:
                    await self.small(episode)
                    for _ in range(rng.choice((0, 0, 1, 2))):
                        await self.small(rng.choice(("house", "menu", "hours")))
            if short:
                continue
            if rng.random() < 0.12:
                await self.ask(rng.choice(("backchannel", "backchannel", "yes")))
            elif rng.random() < 0.1:
                await self.ask("repeat")
        if not short:
            await self._hang_up()

    async def _hang_up(self) -> None:
        rng, host = self.rng, self.host
        if host.wants_yes != "more" and rng.random() < 0.5:
            await self.ask("thanks")
        if host.said.endswith(MORE):
            await self.ask(
                rng.choice(("done", "done", "bye", "no")) if host.wants_yes == "more" else "bye"
            )
        elif rng.random() < 0.6:
            await self.ask("bye")


async def call(
    rng: random.Random,
    phrases: Phrases,
    recogniser: Recogniser,
    bella: Agent,
    kind: Kind = "call",
) -> tuple[World, list[Message]]:
    """Play one call; returns the house and the messages.

    Args:
        kind: A whole "call", a "short" one with one matter, or a "lesson" of questions that are
            answered at once, from which a model learns to copy.
    """
    phrases.rng = recogniser.rng = rng
    small = kind != "lesson" and rng.random() < 0.12
    ours = 0.15 if kind == "lesson" else 0.5
    world = await open_world(rng, bella, small=small, ours=ours)
    try:
        host = Host(world, greets=rng.random() < 0.93)
        caller = Visit(host, phrases, recogniser, rng)
        if small:
            book = next(t for t in world.toolset.tools("other") if t.name == "book_table")
            for at in ("19:00", "21:00", "13:00"):
                for ahead in rng.sample(range(8), 5):
                    await book.run(
                        {"party_size": 2, "date": f"in {ahead} days", "time": at, "name": "x"}
                    )
        if kind != "call":
            caller.asides *= 0.3
        if kind == "lesson":
            await caller.ask_around()
        else:
            await caller.talk(short=kind == "short")
    finally:
        await world.close()
    if rng.random() < UNHEARD:
        _unheard(host.messages, rng)
    return world, host.messages


def _unheard(messages: list[Message], rng: random.Random) -> None:
    """Of one answer not a word was heard: two of the caller's turns follow each other."""
    answers = [
        at
        for at in range(2, len(messages) - 1)
        if messages[at]["role"] == "assistant"
        and messages[at]["content"]
        and messages[at - 1]["role"] == "user"
    ]
    if answers:
        del messages[rng.choice(answers)]
