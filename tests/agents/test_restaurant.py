"""The restaurant's tools and the book behind them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.agents.agent import Agent, AgentError
from voice_agent.agents.restaurant import RestaurantSettings, RestaurantTools

NOW = datetime(2026, 5, 13, 15, 30)  # a Wednesday
HOURS = {
    "tuesday": ["18:00-23:00"],
    "wednesday": ["18:00-23:00"],
    "thursday": ["12:00-14:30", "18:00-23:00"],
    "friday": ["18:00-24:00"],
    "sunday": ["09:00-15:00"],
    "closed_on": ["2026-05-21"],
}


class Restaurant:
    """Calls tools as a model would, and looks into the database behind their back."""

    def __init__(self, tools: RestaurantTools) -> None:
        self.tools = tools

    async def __call__(
        self, name: str, conversation: str = "", /, **arguments: Any
    ) -> dict[str, Any]:
        [tool] = [t for t in self.tools.tools(conversation) if t.name == name]
        return await tool.run(arguments)

    async def book(self, *, conversation: str = "", **arguments: Any) -> dict[str, Any]:
        wish = {"party_size": 4, "date": "tomorrow", "time": "seven"}
        return await self("book_table", conversation, **{**wish, **arguments})

    def rows(self) -> list[tuple[Any, ...]]:
        assert self.tools.database is not None
        with sqlite3.connect(self.tools.database) as db:
            return db.execute(
                "SELECT name, party_size, date, time FROM bookings WHERE status = 'booked'"
            ).fetchall()


@asynccontextmanager
async def restaurant(database: Path | str, now: datetime = NOW, **more: Any) -> AsyncIterator[Any]:
    agent = Agent.model_validate({"name": "Da Mario", "persona": "Hi", "hours": HOURS})
    configured = RestaurantSettings(database=str(database), **more)
    tools = RestaurantTools(configured, agent, lambda: now)
    await tools.start()
    try:
        yield Restaurant(tools)
    finally:
        await tools.stop()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "book.sqlite"


@pytest.mark.parametrize(
    "wish",
    [
        {"party_size": "four", "date": "tomorrow", "time": "seven"},
        {"party_size": 4, "date": "2026-05-14", "time": "19:00"},
        {"party_size": "4", "date": "Thursday", "time": "7 pm", "name": None},
        {"party_size": "four people", "date": "tomorrow at seven", "time": ""},
    ],
)
async def test_a_booking_is_in_the_book(database: Path, wish: dict[str, Any]) -> None:
    """However it was said, the book has people, date and time, and the answer repeats them."""
    async with restaurant(database) as call:
        result = await call("book_table", **wish)
        assert call.rows() == [("", 4, "2026-05-14", "19:00")]
    assert (result["date"], result["time"], result["party_size"]) == ("2026-05-14", "19:00", 4)
    assert result["say"] == (
        "I have booked a table for four people tomorrow, Thursday the fourteenth of May, "
        "at seven o'clock."
    )


async def test_the_book_survives_a_restart(database: Path) -> None:
    """What was booked before a restart is still there, and takes its table."""
    async with restaurant(database, tables=[4]) as call:
        await call.book(name="Anna")
    async with restaurant(database, tables=[4]) as call:
        assert call.rows() == [("Anna", 4, "2026-05-14", "19:00")]
        assert "full" in (await call.book(name="Ben"))["error"]


@settings(max_examples=25, deadline=None)
@given(
    said=st.lists(
        st.sampled_from([("tomorrow", "seven"), ("2026-05-14", "19:00"), ("thursday", "7 pm")]),
        min_size=1,
        max_size=4,
    ),
    names=st.lists(st.sampled_from(["Anna", "anna", " ANNA "]), min_size=4, max_size=4),
)
def test_a_booking_said_twice_is_one(said: list[tuple[str, str]], names: list[str]) -> None:
    """The same wish in other words, from any conversation, is the same booking."""

    async def main() -> None:
        async with restaurant(":memory:") as call:
            numbers = {
                (await call.book(date=date, time=time, name=name))["booking"]
                for (date, time), name in zip(said, names, strict=False)
            }
            assert len(numbers) == 1

    asyncio.run(main())


async def test_who_is_the_same(database: Path) -> None:
    """Unnamed callers are told apart by their conversation; a name may come later."""
    async with restaurant(database) as call:
        first = await call.book(conversation="a")
        assert (await call.book(conversation="a"))["booking"] == first["booking"]
        assert (await call.book(conversation="a", name="anna"))["booking"] == first["booking"]
        assert call.rows() == [("Anna", 4, "2026-05-14", "19:00")]
        other = await call.book(conversation="b")
        assert other["booking"] != first["booking"]
        assert (await call.book(conversation="b", name="Ben"))["booking"] == other["booking"]
        await call.book(name="Ben", phone="030 1")
        assert (await call.book(name="Ben", phone="0302"))["booking"] != other["booking"]
        assert (await call.book(name="Anna", time="eight"))["booking"] != first["booking"]


@pytest.mark.parametrize(
    ("wish", "reason", "field"),
    [
        ({"date": "monday"}, "closed on Mondays", "date"),
        ({"date": "2026-05-21"}, "closed on Thursday the twenty first of May", "date"),
        ({"date": "2026-05-01"}, "coming months", "date"),
        ({"date": "2027-05-13"}, "coming months", "date"),
        ({"date": "some day"}, "which day", "date"),
        ({"time": "half past five"}, "the last table is at ten o'clock", "time"),
        ({"time": "half past ten"}, "the last table is at ten o'clock", "time"),
        ({"time": "later"}, "what time", "time"),
        ({"party_size": 30}, "largest table seats eight", "party_size"),
        ({"party_size": 0}, "how many people", "party_size"),
        ({"party_size": "many"}, "party size was not understood", "party_size"),
        ({"party_size": None}, "party size is missing", "party_size"),
        ({"date": ["x"]}, "date was not understood", "date"),
    ],
)
async def test_what_cannot_be_booked(wish: dict[str, Any], reason: str, field: str) -> None:
    """A refusal is a sentence that says why, and names what to ask for; nothing raises."""
    async with restaurant(":memory:") as call:
        result = await call.book(**wish)
        assert reason in result["error"]
        assert result["field"] == field


async def test_today_has_hours_that_have_passed() -> None:
    """Nobody books a table for an hour ago."""
    async with restaurant(":memory:", now=datetime(2026, 5, 13, 20, 0)) as call:
        assert "already passed" in (await call.book(date="today", time="seven"))["error"]
        assert (await call.book(date="today", time="nine"))["time"] == "21:00"


async def test_the_hours_decide_what_ten_means() -> None:
    """Where breakfast is served, "ten" is in the morning."""
    async with restaurant(":memory:") as call:
        assert (await call.book(date="sunday", time="ten"))["time"] == "10:00"


async def test_tables_are_limited() -> None:
    """A table is taken for two hours; the nearest free times are offered."""
    async with restaurant(":memory:", tables=[2, 4]) as call:
        assert (await call.book(name="A", party_size=2))["booked"]
        assert (await call.book(name="B", party_size=2))["booked"]
        full = await call.book(name="C", party_size=2)
        assert full["error"].startswith("I am sorry, we are full at seven o'clock.")
        assert (full["field"], full["alternatives"]) == ("time", ["21:00", "21:30"])
        looked = await call("check_availability", party_size=2, date="tomorrow", time="eight")
        assert (looked["available"], looked["alternatives"]) == (False, ["21:00", "21:30"])
        looked = await call("check_availability", party_size=2, date="tomorrow", time="nine")
        assert looked["available"]
        assert "Shall I book it?" in looked["say"]


async def test_many_at_once_do_not_share_a_table(database: Path) -> None:
    """Callers at the same moment, in two processes' stores, get the tables there are."""
    async with (
        restaurant(database, tables=[4] * 5) as one,
        restaurant(database, tables=[4] * 5) as two,
    ):
        wishes = [(one, two)[n % 2].book(name=f"guest {n}") for n in range(12)]
        results = await asyncio.gather(*wishes)
        assert sum("booked" in result for result in results) == len(one.rows()) == 5


async def test_a_change(database: Path) -> None:
    """Only what is named changes; without a free table nothing does."""
    async with restaurant(database, tables=[4, 4]) as call:
        await call.book(conversation="a", name="Anna")
        result = await call("change_booking", "a", new_time="half past eight")
        assert (result["date"], result["time"]) == ("2026-05-14", "20:30")
        result = await call(
            "change_booking", "b", name="anna", new_date="friday", new_party_size="two"
        )
        assert call.rows() == [("Anna", 2, "2026-05-15", "20:30")]
        closed = await call("change_booking", "a", new_date="monday")
        assert closed["field"] == "new_date"
        for name in ("Ben", "Cleo"):
            await call.book(name=name, time="six")
        full = await call("change_booking", "a", new_date="tomorrow", new_time="six")
        assert full["field"] == "new_time"
        assert ("Anna", 2, "2026-05-15", "20:30") in call.rows()
        assert "What shall I change" in (await call("change_booking", "a"))["error"]


async def test_a_cancellation(database: Path) -> None:
    """This call's booking needs no name; another's does; the table is free again."""
    async with restaurant(database, tables=[4]) as call:
        await call.book(conversation="a", name="Anna")
        assert "Which name" in (await call("cancel_booking", "b"))["error"]
        assert "cannot find" in (await call("cancel_booking", "b", name="Ben"))["error"]
        assert "full" in (await call.book(name="Ben"))["error"]
        result = await call("cancel_booking", "a")
        assert result["say"].startswith("I have cancelled a table for four people tomorrow")
        assert call.rows() == []
        assert (await call.book(name="Ben"))["booked"]
        await call.book(name="Ben", date="friday")
        which = await call("cancel_booking", name="Ben")
        assert (which["error"][:25], which["field"]) == ("Which booking do you mean", "date")
        assert (await call("cancel_booking", name="Ben", date="friday"))["date"] == "2026-05-15"


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("today", "Today we are open from six o'clock to eleven o'clock."),
        ("monday", "We are closed on Monday."),
        ("friday", "On Friday we are open from six o'clock to midnight."),
        (
            "tomorrow",
            "Tomorrow we are open from noon to two thirty and six o'clock to eleven o'clock.",
        ),
    ],
)
async def test_the_hours_of_a_day(day: str, said: str) -> None:
    """The agent's own hours, said for the ear."""
    async with restaurant(":memory:") as call:
        assert (await call("opening_hours", date=day))["say"] == said


async def test_only_looking_is_read_only() -> None:
    """What changes the book must wait until the user's turn is decided."""
    async with restaurant(":memory:") as call:
        free = {tool.name for tool in call.tools.tools() if tool.read_only}
        assert free == {"check_availability", "opening_hours"}


async def test_parameters_are_plain_json_schema() -> None:
    """Small models get types and descriptions, and nothing else to stumble over."""
    async with restaurant(":memory:") as call:
        schema = {tool.name: tool.parameters for tool in call.tools.tools()}["book_table"]
        assert schema["required"] == ["party_size", "date", "time"]
        assert {key for field in schema["properties"].values() for key in field} == {
            *("type", "description")
        }


async def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    """The message names the setting and the file."""
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not a database, " * 100)
    with pytest.raises(AgentError, match=r"restaurant\.database: .*notes\.txt cannot be opened"):
        async with restaurant(wrong):
            pass


def test_where_the_book_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By default in the data folder, named after the agent."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))
    agent = Agent(name="Bella Notte", persona="Hi")
    tools = RestaurantTools(RestaurantSettings(), agent, lambda: NOW)
    assert tools.database == tmp_path / "bella-notte.sqlite"
