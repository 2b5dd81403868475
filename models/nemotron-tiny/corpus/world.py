"""The houses callers ring up: Bella Notte, and others, so that names, hours, menus and facts are
read from tools and prompt, not known by heart. The tools are the project's own, on a database in
memory and a clock that stands where it is put.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import values

from voice_agent.agents.agent import Agent, AgentTools, load_agent
from voice_agent.agents.house import HouseSettings
from voice_agent.agents.restaurant import RestaurantSettings
from voice_agent.agents.spoken import WEEKDAYS, say_number
from voice_agent.agents.tools import Tool

HERE = Path(__file__).parent
BELLA_NOTTE = HERE.parents[2] / "pipelines" / "agents" / "bella-notte.toml"
NAMES = (
    "Trattoria Roma,La Piazza,The Golden Spoon,Casa Verde,The Olive Tree,Luigi's,Da Marco,Blue Fin,"
    "Osteria Sole,The Old Mill,Il Forno,Chez Marie,The Garden House,Villa Rosa,Il Giardino,"
    "The Red Lion,La Stella,The Corner House,Al Porto,The Green Door"
).split(",")
COURSES: dict[str, list[tuple[str, str, bool]]] = {
    "Starters": [
        ("Bruschetta", "tomato and basil on toasted bread", True),
        ("Caprese", "mozzarella, tomato and basil", True),
        ("Minestrone", "vegetable soup", True),
        ("Garlic Bread", "", True),
        ("Carpaccio", "thin slices of beef with parmesan", False),
        ("Green Salad", "", True),
        ("Calamari", "fried squid with lemon", False),
        ("Tomato Soup", "with cream and basil", True),
        ("Burrata", "with tomato and olive oil", True),
    ],
    "Pasta": [
        ("Spaghetti Carbonara", "egg, cheese and bacon", False),
        ("Lasagna", "with beef, baked in the oven", False),
        ("Mushroom Risotto", "", True),
        ("Penne Arrabbiata", "tomato, garlic and chili", True),
        ("Spaghetti Bolognese", "with beef and tomato", False),
        ("Ravioli", "with spinach and ricotta", True),
        ("Gnocchi", "with butter and sage", True),
        ("Seafood Linguine", "clams, shrimp and garlic", False),
    ],
    "Pizza": [
        ("Pizza Margherita", "tomato, mozzarella and basil", True),
        ("Pizza Salami", "", False),
        ("Pizza Napoli", "anchovies and olives", False),
        ("Pizza Funghi", "with mushrooms", True),
        ("Pizza Diavola", "with spicy salami", False),
        ("Calzone", "folded, with ham and cheese", False),
    ],
    "Main courses": [
        ("Grilled Sea Bass", "fish with potatoes and lemon", False),
        ("Steak", "with pepper sauce", False),
        ("Roast Chicken", "with rosemary", False),
        ("Salmon", "fish with spinach", False),
        ("Veal Milanese", "", False),
        ("Lamb Chops", "with beans", False),
        ("Eggplant Parmesan", "", True),
    ],
    "Desserts": [
        ("Tiramisu", "", True),
        ("Panna Cotta", "with raspberries", False),
        ("Cheesecake", "", True),
        ("Lemon Sorbet", "", True),
        ("Chocolate Cake", "with cream", True),
        ("Cannoli", "", True),
    ],
    "Drinks": [
        ("House Wine", "red or white, a glass", False),
        ("Beer", "from the tap", False),
        ("Lemonade", "homemade", False),
        ("Espresso", "", False),
    ],
}
FACTS: dict[str, list[str]] = {
    "address": [
        "We are at {number} {name} Street, at the corner of the {place}.",
        "We are at {number} {name} Road, next to the {place}.",
        "You find us at {number} {name} Lane, by the {place}.",
        "Our address is {number} {name} Street, opposite the {place}.",
        "We are behind the {place}, at {number} {name} Square.",
    ],
    "parking": [
        "There is a car park behind the house. It is free for our guests in the evening.",
        "There is no parking here. The nearest garage is in {name} Street.",
        "You can park in front of the {place} for {number} euros an hour.",
        "Yes, we have {number} parking spaces of our own, and they are free.",
        "Please park at the {place}, {number} minutes from here.",
    ],
    "payment": [
        "You can pay in cash or with any card.",
        "We take cash only, I am sorry.",
        "We take all cards from {number} euros on.",
        "You can pay in cash, by card or with your phone.",
    ],
    "dogs": [
        "Yes, dogs are welcome.",
        "I am sorry, we cannot allow dogs inside.",
        "Dogs are welcome at {number} of our tables.",
        "Small dogs are welcome, and {name}, our own dog, is friendly.",
    ],
    "children": [
        "Yes, children are very welcome.",
        "Children are welcome, and we have {number} high chairs.",
        "Yes, and there is a small menu for children for {number} euros.",
        "Yes, there is a playground at the {place}.",
    ],
    "garden": [
        "In summer there are tables in the garden.",
        "We have a terrace with {number} seats.",
        "I am sorry, we have no tables outside.",
        "There are {number} tables outside, with a view of the {place}.",
    ],
    "vegan": [
        "Yes, we make vegan dishes on request.",
        "I am sorry, we have no vegan dishes.",
        "{Number} of our dishes are vegan. Please ask the waiter.",
    ],
    "gluten free": [
        "Yes, we make gluten free dishes on request.",
        "We have gluten free pasta for {number} euros.",
        "I am sorry, we have nothing gluten free.",
    ],
    "allergies": [
        "Please tell the waiter about any allergy when you come, and the kitchen will take care of "
        "it.",
        "Please tell us about allergies when you order.",
        "Our cook, {name}, knows all about allergies. Please ask when you come.",
    ],
    "wifi": ["Yes, the wifi is free.", "The wifi is called {name}, and it is free."],
    "live music": [
        "There is live music on {day} nights.",
        "{name} plays the piano on {day}s.",
    ],
    "takeaway": [
        "Yes, you can order any dish to take away.",
        "I am sorry, we do no takeaway.",
        "Yes, until {number} in the evening.",
    ],
    "wheelchair access": [
        "Yes, the house is accessible by wheelchair.",
        "There are {number} steps.",
    ],
    "private room": ["We have a private room for up to {number} guests."],
    "owner": ["The owner is {name} {name}."],
    "chef": ["Our chef is {name} {name}."],
    "dress code": ["There is no dress code.", "Please wear a jacket on {day}s."],
}
PLACES = (
    "market square,station,river,town hall,old church,post office,museum,city park,bridge,harbor,"
    "school,theater,library,castle,fountain,cinema,hospital,lake,old tower,flower shop,bakery"
).split(",")
SPANS = (["18:00-22:00"], ["18:00-23:00"], ["17:00-22:30"], ["12:00-14:30", "18:00-23:00"])
SPANS_TOO = (["12:00-22:00"], ["11:30-23:00"], ["12:00-15:00", "17:30-22:00"], ["12:00-24:00"])


@dataclass(slots=True)
class World:
    """One house at one moment."""

    agent: Agent
    now: datetime
    toolset: AgentTools
    tools: dict[str, Tool]

    @property
    def system(self) -> str:
        return self.agent.system_prompt(self.now, brief=True)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool as the conversation would."""
        return await self.tools[name].run(arguments)

    async def close(self) -> None:
        await self.toolset.stop()


def moment(rng: random.Random) -> datetime:
    """Return some day between 2024 and 2028, when restaurants are called."""
    day = datetime(2024, 1, 1) + timedelta(days=rng.randrange(4 * 365))
    return day + timedelta(
        hours=rng.choice((9, 10, 11, 14, 15, 16, 17, 18)), minutes=rng.choice((0, 30))
    )


def house(rng: random.Random, bella: Agent, *, small: bool, ours: float) -> Agent:
    """Return Bella Notte or another house.

    Args:
        small: It has one table and is soon full.
        ours: How often it is Bella Notte.
    """
    settings = RestaurantSettings(
        database=":memory:",
        tables=(4,) if small else (2, 2, 4, 4, 4, 6, 6, 8, rng.choice((8, 10, 12, 14))),
    )
    if rng.random() < ours:
        bella_settings = {**bella.tool_settings, "restaurant": settings}
        return bella.model_copy(update={"tool_settings": bella_settings})
    name = rng.choice(NAMES)
    usual, late = rng.choice(SPANS), rng.choice((*SPANS, *SPANS_TOO))
    week = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), usual)
    week |= dict.fromkeys(("friday", "saturday", "sunday"), late)
    for day in rng.sample(list(week), rng.choice((0, 1, 1, 2))):
        week[day] = []
    menu = []
    for course, dishes in COURSES.items():
        if rng.random() < 0.9:
            for dish, about, vegetarian in rng.sample(dishes, rng.randint(1, min(4, len(dishes)))):
                price = rng.randint(4, 28) + rng.choice((0, 0, 0, 0.5))
                menu.append(
                    {
                        "course": course,
                        "name": dish,
                        "price": price,
                        "about": about,
                        "vegetarian": vegetarian,
                    }
                )
    known = rng.sample(list(FACTS), rng.randint(7, len(FACTS)))
    facts = [{"about": about, "say": _told(rng.choice(FACTS[about]), rng)} for about in known]
    return Agent.model_validate(
        {
            "name": name,
            "persona": bella.persona,
            "brief": bella.brief,
            "greeting": rng.choice(
                (
                    f"Good evening, {name}, how can I help you?",
                    f"Hello, this is {name}. What can I do for you?",
                    f"{name}, good evening. How may I help?",
                )
            ),
            "hours": week,
            "menu": menu,
            "tools": bella.tools,
            "tool_settings": {
                "restaurant": settings,
                "house": HouseSettings.model_validate({"facts": facts}),
            },
        }
    )


def _told(fact: str, rng: random.Random) -> str:
    """Fill in a fact: what is different every time has to be read."""
    while found := re.search(r"\{(\w+)\}", fact):
        number = say_number(rng.randint(2, 59))
        filled = {
            "number": number,
            "Number": number.capitalize(),
            "name": rng.choice(values.LAST + values.FIRST).title(),
            "place": rng.choice(PLACES),
            "day": rng.choice(WEEKDAYS).title(),
        }[found[1]]
        fact = fact[: found.start()] + filled + fact[found.end() :]
    return fact


async def open_world(
    rng: random.Random, bella: Agent, *, small: bool = False, ours: float = 0.5
) -> World:
    """Open a house for one call."""
    agent, now = house(rng, bella, small=small, ours=ours), moment(rng)
    toolset = agent.tool_set(lambda: now)
    await toolset.start()
    return World(agent, now, toolset, {tool.name: tool for tool in toolset.tools("call")})


def bella_notte() -> Agent:
    """Return the agent that ships."""
    return load_agent(BELLA_NOTTE)


def schemas(agent: Agent) -> list[dict[str, Any]]:
    """Return the tools as OpenAI's chat completions want them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in agent.tool_set().tools()
    ]


def dumped(result: Mapping[str, Any]) -> str:
    """Return a tool's result as the conversation writes it into the context."""
    return json.dumps(result, ensure_ascii=False)
