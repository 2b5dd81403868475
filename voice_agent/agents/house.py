"""Tools that tell of the house: what is on the menu, and facts such as parking and payment.

Both read the agent's file and answer with a sentence to ``say``, so that a small model has nothing
to know and nothing to make up. What callers call things is matched loosely: recognisers write
"tira me sue".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from voice_agent.agents.agent import Agent, Dish
from voice_agent.agents.spoken import say_number
from voice_agent.agents.tools import Clock, Tool, tool

__all__ = ["HouseSettings", "HouseTools"]

_SMALL = frozenset(
    "a an the any some our your of for with and or is are do you have i we to".split()
)
_ALIKE = 0.8
"""How much of two spellings must agree: "panna cotta" and "pana cotta", not "beef" and "beer"."""


class Fact(BaseModel):
    """Something callers ask about."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: str = Field(min_length=1)
    say: str = Field(min_length=1)
    words: tuple[str, ...] = ()
    """Other words for it; a word also fits its longer forms ("park": "parking")."""


class HouseSettings(BaseModel):
    """The ``[house]`` table of an agent's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    facts: tuple[Fact, ...] = ()
    currency: str = "euros"
    unknown: str = "I am sorry, I cannot tell you that."


class AskMenu(BaseModel):
    """A dish, a course or a diet."""

    about: str = Field(
        default="",
        description="A dish, a course ('desserts') or 'vegetarian'; nothing for the whole menu",
    )


class AskHouse(BaseModel):
    """A subject."""

    about: str = Field(description="What the caller wants to know, e.g. 'parking' or 'payment'")


class HouseTools:
    """See the module's docstring. Nothing is stored."""

    Settings: ClassVar[type[BaseModel]] = HouseSettings

    def __init__(self, settings: HouseSettings, agent: Agent, now: Clock) -> None:
        self._settings = settings
        self._dishes = agent.menu
        self._courses = list(dict.fromkeys(dish.course for dish in agent.menu if dish.course))

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def tools(self, conversation: str = "") -> list[Tool]:
        """Return the tools; they are the same for everybody."""

        async def menu(wish: AskMenu) -> dict[str, Any]:
            return self._menu(wish.about)

        async def house(wish: AskHouse) -> dict[str, Any]:
            return self._house(wish.about)

        return [
            tool(
                "menu",
                "Tell what is on the menu, what is in a dish and what it costs.",
                *(AskMenu, menu),
                read_only=True,
            ),
            tool(
                "house",
                "Tell about the house: address, parking, payment, children and the like.",
                *(AskHouse, house),
                read_only=True,
            ),
        ]

    def _menu(self, about: str) -> dict[str, Any]:
        words = _words(about)
        if not words or words[0] in {"menu", "food", "dishes", "everything", "all"}:
            courses = _listed([course.lower() for course in self._courses])
            return {"say": f"We have {courses}. Which would you like to hear about?"}
        if words[0].startswith(("vegetarian", "veggie", "meatless")):
            return self._dishes_said(
                "Without meat or fish we have", [d for d in self._dishes if d.vegetarian]
            )
        if words[0].startswith(("price", "expensive", "cost")):
            return self._prices()
        whole = [dish for dish in self._dishes if _alike(about, [dish.name])]
        if len(whole) == 1:
            return {"dish": whole[0].name, "say": self._dish_said(whole[0])}
        for course in self._courses:
            if _alike(about, [course, *_words(course)]):
                return self._dishes_said("We have", [d for d in self._dishes if d.course == course])
        named = [dish for dish in self._dishes if _alike(about, _names(dish))]
        if len(named) == 1:
            return {"dish": named[0].name, "say": self._dish_said(named[0])}
        inside = named or [
            d for d in self._dishes if any(_alike(w, _words(d.about)) for w in words)
        ]
        if len(inside) == 1:
            return {"dish": inside[0].name, "say": self._dish_said(inside[0])}
        if inside:
            return self._dishes_said("We have", inside)
        courses = _listed([course.lower() for course in self._courses])
        return {
            "error": f"I am sorry, that is not on the menu. We have {courses}.",
            "field": "about",
        }

    def _house(self, about: str) -> dict[str, Any]:
        asked = _words(about)
        for fact in self._settings.facts:
            if any(
                word.startswith(known) for known in (fact.about, *fact.words) for word in asked
            ) or _key(about) in {_key(known) for known in (fact.about, *fact.words)}:
                return {"about": fact.about, "say": fact.say}
        return {"error": self._settings.unknown, "field": "about"}

    def _prices(self) -> dict[str, Any]:
        prices = sorted(dish.price for dish in self._dishes)
        if not prices:
            return {"error": self._settings.unknown, "field": "about"}
        low, high = (self._price(price) for price in (prices[0], prices[-1]))
        return {"say": f"From {low} to {high}. Which dish do you mean?"}

    def _dish_said(self, dish: Dish) -> str:
        what = f": {dish.about}" if dish.about else ""
        return f"We have {dish.name} for {self._price(dish.price)}{what}."

    def _dishes_said(self, begin: str, dishes: Iterable[Dish]) -> dict[str, Any]:
        names = [dish.name for dish in dishes]
        if not names:
            return {"error": "I am sorry, we have nothing of that kind.", "field": "about"}
        return {"say": f"{begin} {_listed(names)}."}

    def _price(self, price: float) -> str:
        """Return e.g. "twelve euros fifty"."""
        whole, cents = divmod(round(price * 100), 100)
        return f"{say_number(whole)} {self._settings.currency}" + (
            f" {say_number(cents)}" if cents else ""
        )


def _words(text: str) -> list[str]:
    return [w for w in re.sub(r"[^a-z ]", "", text.lower()).split() if w not in _SMALL]


def _names(dish: Dish) -> list[str]:
    """The dish's name and its parts that name no course: "margherita", "carbonara"."""
    parts = [
        word for word in _words(dish.name) if len(word) > 3 and word not in dish.course.lower()
    ]
    return [dish.name, *parts]


def _alike(said: str, names: Iterable[str]) -> bool:
    """Whether what was said is one of the names, or holds it, as far as spelling tells."""
    words = _words(said)
    wanted = {_key(name) for name in names if _words(name)}
    runs = {
        _key("".join(words[at : at + length]))
        for length in (1, 2, 3)
        for at in range(len(words) - length + 1)
    }
    return any(
        run == name
        or (
            min(len(run), len(name)) > 3
            and difflib.SequenceMatcher(None, run, name).ratio() >= _ALIKE
        )
        for run in runs
        for name in wanted
    )


def _key(name: str) -> str:
    """Letters only, without the plural."""
    return "".join(_words(name)).removesuffix("s")


def _listed(names: list[str]) -> str:
    """Return "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
