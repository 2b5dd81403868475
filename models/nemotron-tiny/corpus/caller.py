"""A caller of the corpus: says what they mean, answers what is asked, one matter after another."""

from __future__ import annotations

import random
import re
from typing import Any

import values
from host import Host
from noise import Recogniser
from phrases import Phrases
from wording import Said

OPENINGS = (
    (frozenset({"size", "date", "time"}), 28),
    (frozenset(), 13),
    (frozenset({"size"}), 17),
    (frozenset({"date", "time"}), 9),
    (frozenset({"size", "date"}), 9),
    (frozenset({"size", "time"}), 6),
    (frozenset({"date"}), 6),
    (frozenset({"time"}), 4),
    (frozenset({"size", "date", "time", "name"}), 2),
)
ASIDES = (
    ("house", 20),
    ("menu", 14),
    ("hours", 8),
    ("garbled", 12),
    ("elsewhere", 14),
    ("hold", 5),
    ("repeat", 10),
    ("backchannel", 3),
    ("robot", 3),
    ("hello", 3),
    ("today", 2),
    ("help", 1),
    ("phone", 3),
    ("how_are_you", 1),
)
ASIDE, CORRECTION, CUT, TYPED = 0.12, 0.09, 0.05, 0.05


class Caller:
    """One caller on one line."""

    def __init__(
        self, host: Host, phrases: Phrases, recogniser: Recogniser, rng: random.Random
    ) -> None:
        self.host, self.phrases, self.recogniser, self.rng = host, phrases, recogniser, rng
        self.today = host.world.now.date()
        self.asides = ASIDE

    async def say(self, said: Said) -> None:
        """Say it over the line, sometimes cutting in on the host's last answer."""
        last = self.host.messages[-1]
        if last["role"] == "assistant" and last.get("content") and self.rng.random() < CUT:
            words = last["content"].split()
            if len(words) > 4:
                cut = self.rng.randrange(2, len(words))
                last["content"] = " ".join(words[:cut]) + " —"
                last["train"] = False
        text = self.recogniser.hear(said)
        if self.rng.random() < TYPED:
            text = typed(text, self.rng)
        await self.host.hear(said, text)

    async def ask(self, act: str, *slots: str, **given: tuple[str, Any]) -> None:
        await self.say(self.phrases.say(act, set(slots), self.today, given))

    async def aside(self) -> None:
        """Ask or say something beside the matter."""
        act = self.rng.choices(*zip(*ASIDES, strict=True))[0]
        await self.small(act)

    async def small(self, act: str) -> None:
        rng = self.rng
        if act == "house":
            await self.say(self.phrases.ask_house())
        elif act == "menu":
            await self.say(self._about_menu())
        elif act == "hours":
            await self.ask("hours", *(["date"] if rng.random() < 0.6 else []))
        elif act == "elsewhere":
            await self.say(self.phrases.ask_elsewhere(self.today))
        elif act == "phone":
            await self.ask("phone", "digits")
        else:
            await self.ask(act)

    def _about_menu(self) -> Said:
        rng, agent = self.rng, self.host.world.agent
        kind = rng.choices(
            ("menu", "menu_dish", "menu_course", "menu_vegetarian", "menu_prices"), (3, 6, 4, 2, 1)
        )[0]
        if kind == "menu":
            return self.phrases.ask_menu("menu", "", "")
        if kind == "menu_vegetarian":
            return self.phrases.ask_menu(kind, "", "vegetarian")
        if kind == "menu_prices":
            return self.phrases.ask_menu(kind, "", "prices")
        if kind == "menu_course":
            courses = sorted({dish.course.lower() for dish in agent.menu})
            course = rng.choice(
                [*courses, "desserts", "drinks", "starters", "wine", "fish", "soup"]
            )
            return self.phrases.ask_menu(kind, course, course)
        dish = self._dish()
        return self.phrases.ask_menu(kind, dish, dish)

    def _dish(self) -> str:
        rng, agent = self.rng, self.host.world.agent
        if agent.menu and rng.random() < 0.65:
            dish = rng.choice(agent.menu).name.lower()
            last = dish.split()[-1]
            return rng.choice((dish, dish, last)) if len(last) > 4 else dish
        return rng.choice(self.phrases.dishes)

    # ----- the caller's matters -----

    async def book(self) -> None:
        slots = self.rng.choices(*zip(*OPENINGS, strict=True))[0]
        await self.ask("book", *slots)
        await self._until_done()

    async def check(self) -> None:
        sets = [s for s in self.phrases.slot_sets("check") if s]
        full = frozenset({"size", "date", "time"})
        await self.ask("check", *(full if self.rng.random() < 0.5 else self.rng.choice(sets)))
        await self._until_done()
        if self.host.offered is not None:
            roll = self.rng.random()
            if roll < 0.65:
                await self.ask("yes")
            elif roll < 0.8:
                await self.ask("no")
            else:
                slot = self.rng.choice(("size", "date", "time"))
                await self.ask("correct", slot, **self._other(slot))
                await self._until_done()
                if self.host.offered is not None:
                    await self.ask("yes")

    async def change(self) -> None:
        rng = self.rng
        if not self.host.booked and rng.random() < 0.5:
            await self._known_earlier()
        if self.host.booked and rng.random() < 0.5:
            slot = rng.choice(("size", "date", "time"))
            await self.ask("correct", slot, **self._other(slot))
        else:
            sets: tuple[tuple[str, ...], ...] = (
                *((), (), ("time",), ("time",), ("date",), ("size",), ("date", "time")),
            )
            chosen = rng.choice(sets)
            given = self._other(chosen[0]) if len(chosen) == 1 else {}
            await self.ask("change", *chosen, **given)
        await self._until_done()

    async def cancel(self) -> None:
        rng, slots = self.rng, [[], [], ["name"], ["date"]]
        if not self.host.booked and rng.random() < 0.6:
            name = await self._known_earlier()
            if rng.random() < 0.35:
                await self.ask("cancel", "name", name=(name, name))
                await self._until_done()
                return
        await self.ask("cancel", *(rng.choice(slots) if not self.host.booked else []))
        await self._until_done()

    async def _known_earlier(self) -> str:
        """There is a booking from another day under the caller's name."""
        name, host = values.name(self.rng), self.host
        toolset = host.world.toolset
        book = next(tool for tool in toolset.tools("earlier") if tool.name == "book_table")
        for _ in range(4):
            day, at = values.day(self.rng, self.today), values.clock(self.rng)
            result = await book.run(
                {"party_size": self.rng.randint(2, 4), "date": day, "time": at, "name": name}
            )
            if "error" not in result:
                break
        self.name = name
        return name

    name = ""

    async def _until_done(self) -> None:
        """Answer the host's questions until nothing is open, or give up."""
        for _ in range(9):
            host, rng = self.host, self.rng
            if host.matter is None:
                return
            if rng.random() < self.asides:
                await self.aside()
                continue
            known = [s for s in ("size", "date", "time") if s in host.matter.known]
            if host.open and known and rng.random() < CORRECTION:
                slot = rng.choice(known)
                await self.ask("correct", slot, **self._other(slot))
                continue
            if rng.random() < 0.015:
                await self.ask("no")
                return
            await self._answer()
        if self.host.matter is not None:
            await self.ask("no")

    async def _answer(self) -> None:
        host, rng = self.host, self.rng
        result, asked = host.result, host.asked
        if asked == ("size", "date", "time") and host.matter and host.matter.kind == "change":
            slot = rng.choice(("size", "date", "time"))
            if rng.random() < 0.3:
                words = {"size": "the number of people", "date": "the day", "time": "the time"}[
                    slot
                ]
                text = rng.choice((words, f"{words} please", words.removeprefix("the ")))
                pieces = tuple(text.split())
                await self.say(Said("which", pieces, ("",) * len(pieces), {"which": slot}))
            else:
                chosen = [slot] if rng.random() < 0.75 else ["date", "time"]
                await self.ask(rng.choice(("inform", "change")), *chosen)
            return
        if "Which booking do you mean" in host.said:
            option = rng.choice(host.said.partition(": ")[2].rstrip("?").split(" or ")).lower()
            day = option.partition(", ")[0].removeprefix("on ")
            words = rng.choice((day, day.partition(" the ")[0]))
            await self.ask("inform", "date", date=(words, words))
            return
        if "name" in asked:
            if not self.name and rng.random() < 0.4:
                await self.ask("no")
                return
            name = self.name if self.name and rng.random() < 0.9 else values.name(rng)
            await self.ask("name", "name", name=(name, name))
            if host.matter is not None and "name" in host.asked and rng.random() < 0.6:
                await self.ask("no")
            return
        if "error" not in result and host.open:
            slots = list(asked)
            if len(slots) == 3 and rng.random() < 0.2:
                slots = rng.choice((["size"], ["date", "time"], ["size", "date"]))
            elif len(slots) == 2 and rng.random() < 0.2:
                slots = [rng.choice(slots)]
            elif len(slots) == 1 and rng.random() < 0.1:
                slots += [s for s in ("size", "date", "time") if s not in slots][:1]
            await self.ask("inform", *slots)
            return
        alternatives = result.get("alternatives") or []
        if alternatives and rng.random() < 0.75:
            await self._pick(len(alternatives))
        elif host.wants_yes in {"other day", "smaller"} and rng.random() < 0.3:
            await self.ask("yes")
            if host.open:
                await self.ask("inform", *host.asked)
        elif rng.random() < 0.15:
            await self.ask("no")
        else:
            slot = asked[0] if asked and asked[0] in {"size", "date", "time"} else "time"
            slot = "date" if host.wants_yes == "other day" else slot
            await self.ask("inform", slot)

    async def _pick(self, count: int) -> None:
        """Take one of the times offered, by its name or its place."""
        said = self.host.said.split(". ")[-1].removesuffix(" would be free.").lower()
        times = said.split(" or ")
        at = self.rng.randrange(count)
        words = times[at] if at < len(times) else times[0]
        if count == 2 and self.rng.random() < 0.2:
            wording = self.rng.choice(
                (
                    ("the first one", "the earlier one", "the first"),
                    ("the second one", "the later one", "the later"),
                )[at]
            )
            pieces = tuple(wording.split())
            await self.say(Said("pick", pieces, ("",) * len(pieces), {"time": words}))
            return
        if words.endswith(" o'clock") and self.rng.random() < 0.6:
            words = words.removesuffix(" o'clock")
        said_time = self.phrases.say("inform", {"time"}, self.today, {"time": (words, words)})
        await self.say(Said("pick", said_time.words, said_time.marks, said_time.values))

    def _other(self, slot: str) -> dict[str, tuple[str, Any]]:
        """A new value for ``slot``; a bare number only where it can mean nothing else.

        "Sorry, I meant eight" is about the number that was said last.
        """
        rng, last = self.rng, self.host.last_number
        old = self.host.matter.known.get(slot) if self.host.matter else None
        while True:
            if slot == "size":
                bare = last == "size" and rng.random() < 0.5
                words, value = (values.size if bare else values.party)(rng)
            elif slot == "time":
                words = value = values.clock(rng)
                if " " not in words and words not in {"noon", "midday"} and last != "time":
                    continue
            else:
                return {}
            if value != old:
                return {slot: (words, value)}


def typed(text: str, rng: random.Random) -> str:
    """Return the words as somebody types them: a capital, a mark at the end."""
    asks = text.split()[0] in {"what", "do", "is", "are", "can", "could", "when", "where", "how"}
    text = text[0].upper() + text[1:]
    text = re.sub(r"\bi('|\b)", r"I\1", text) if rng.random() < 0.5 else text
    return text + ("?" if asks else rng.choice((".", ".", "", "!")))
