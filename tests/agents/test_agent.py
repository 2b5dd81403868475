"""An agent's file: what it may say, what the model reads of it, and how mistakes are told."""

from datetime import datetime
from pathlib import Path

import pytest

import voice_agent
from voice_agent.agents.agent import AgentError, load_agent

BELLA = Path(voice_agent.__file__).parent.parent / "pipelines" / "agents" / "bella-notte.toml"
NOW = datetime(2026, 5, 13, 15, 30)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_host_of_bella_notte() -> None:
    """The shipped agent has a greeting, tools, and a prompt with date, hours and prices."""
    agent = load_agent(BELLA)
    prompt = agent.system_prompt(NOW)
    assert agent.greeting.endswith("?")
    assert "Today is Wednesday, 13 May 2026 (2026-05-13)." in prompt
    assert "Tuesday to Thursday: noon to two thirty and six o'clock to eleven o'clock" in prompt
    assert "- Spaghetti Carbonara: 12.5" in prompt
    assert "{" not in prompt
    assert {"book_table", "cancel_booking"} <= {tool.name for tool in agent.tool_set().tools()}


def test_the_prompt_is_the_same_all_day() -> None:
    """So that a server's cache of it holds from one call to the next."""
    agent = load_agent(BELLA)
    assert agent.system_prompt(NOW) == agent.system_prompt(NOW.replace(hour=23))


def test_phrases_for_recognition() -> None:
    """Name, dishes and vocabulary, each once."""
    phrases = load_agent(BELLA).phrases()
    assert {"Bella Notte", "Lasagna", "book a table"} <= set(phrases)
    assert len(phrases) == len(set(phrases))


def test_every_day_of_bella_notte_has_a_dinner_at_seven() -> None:
    """So that "a table for four people tomorrow at seven" can be booked on any day."""
    hours = load_agent(BELLA).hours
    for weekday in range(7):
        assert any(s.start_min <= 19 * 60 <= s.end_min - 60 for s in hours.of_weekday(weekday))


async def test_an_agent_without_tools(tmp_path: Path) -> None:
    """Name and persona are enough."""
    agent = load_agent(write(tmp_path, "name = 'Ann'\npersona = 'You are {name}.'"))
    assert agent.system_prompt(NOW) == "You are Ann."
    tools = agent.tool_set()
    await tools.start()
    assert tools.tools("c") == []
    await tools.stop()


BASE = "name = 'A'\npersona = 'B'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not valid TOML"),
        ("persona = 'B'", "mine.toml: name: Field required"),
        (BASE + "greting = 'x'", "mine.toml: greting: unknown key; allowed: name, language"),
        (BASE + "[restaurant]", "mine.toml: restaurant: unknown key"),
        (BASE + "tools = ['bar']", "no tool set is called 'bar'; there are: house, restaurant"),
        (BASE + "tools = 'restaurant'", "mine.toml: tools: "),
        (
            BASE + "tools = ['restaurant']\n[restaurant]\nseats = 3",
            "mine.toml: restaurant.seats: unknown key; allowed: database, tables",
        ),
        (
            BASE + "tools = ['restaurant']\n[restaurant]\ntables = ['x']",
            "mine.toml: restaurant.tables.0: ",
        ),
        (BASE + "[hours]\nmondy = []", "mine.toml: hours.mondy: unknown key; allowed: monday"),
        (BASE + "[hours]\nmonday = ['9-5']", "'9-5' is not a span like '18:00-23:00'"),
        (BASE + "[hours]\nmonday = ['18:00-02:00']", "ends before it begins"),
        (BASE + "[[menu]]\nname='x'\nprise=3", "menu.0.prise: unknown key; allowed: name, price"),
        ("name = 'A'\npersona = 'Hi {user}'", "unknown placeholder {user}; allowed: {name}"),
        ("name = 'A'\npersona = 'Hi {'", "persona: "),
        (BASE + "timezone = 'Mars/Olympus'", "'Mars/Olympus' is no time zone"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    """Every error says where it is, and what would be right."""
    with pytest.raises(AgentError) as caught:
        load_agent(write(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(AgentError, match=r"none\.toml: cannot be read: No such file"):
        load_agent(tmp_path / "none.toml")
