"""What the house tells of itself: the menu, and facts from the agent's file."""

from datetime import datetime

import pytest

from tests.agents.test_agent import BELLA
from voice_agent.agents.agent import load_agent


async def say(tool: str, about: str) -> str:
    """Ask Bella Notte's tool; returns the sentence to say."""
    tools = {t.name: t for t in load_agent(BELLA).tool_set(lambda: datetime(2026, 5, 13)).tools()}
    assert tools[tool].read_only
    result = await tools[tool].run({"about": about})
    assert ("error" in result) != ("say" in result)
    return str(result.get("say") or result["error"])


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("lasagna", "We have Lasagna for thirteen euros: with beef, baked in the oven."),
        ("carbonara", "Spaghetti Carbonara for twelve euros fifty"),
        ("pizza salami", "We have Pizza Salami for eleven euros."),
        ("pizza", "We have Pizza Margherita and Pizza Salami."),
        ("desserts", "We have Tiramisu and Panna Cotta."),
        ("fish", "We have Grilled Sea Bass for twenty one euros"),
        ("vegetarian", "Without meat or fish we have Bruschetta, Caprese, Minestrone"),
        ("prices", "From five euros to twenty one euros."),
        ("", "We have starters, pasta, pizza, main courses, desserts and drinks."),
    ],
)
async def test_the_menu_is_told_by_dish_course_and_diet(about: str, said: str) -> None:
    """Whatever the caller names, with prices as they are said."""
    assert said in await say("menu", about)


@pytest.mark.parametrize("heard", ["tira me sue", "pana cotta", "bruscheta", "mini strone"])
async def test_a_dish_misheard_is_still_found(heard: str) -> None:
    """Recognisers do not know Italian."""
    assert " for " in await say("menu", heard)


@pytest.mark.parametrize("other", ["sushi", "beer", "steak"])
async def test_what_is_not_on_the_menu_is_not_sold(other: str) -> None:
    """Also where it sounds like something that is: beer, beef."""
    assert "not on the menu" in await say("menu", other)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("parking", "There is a car park behind the house."),
        ("credit cards", "You can pay in cash or with any card."),
        ("kids", "Yes, children are very welcome."),
        ("nuts", "Please tell the waiter about any allergy"),
        ("live music", "I am sorry, I cannot tell you that."),
    ],
)
async def test_facts_are_told_and_nothing_is_made_up(about: str, said: str) -> None:
    """What the file does not say the house does not know."""
    assert said in await say("house", about)


def test_the_brief_prompt_is_a_name_and_a_day() -> None:
    """A model that knows its task needs no more; an agent without one gets its whole persona."""
    agent, now = load_agent(BELLA), datetime(2026, 5, 13)
    brief = agent.system_prompt(now, brief=True)
    assert brief == "You are the host of Bella Notte. Today is Wednesday the thirteenth of May."
    other = agent.model_copy(update={"brief": ""})
    assert other.system_prompt(now, brief=True) == other.system_prompt(now)
