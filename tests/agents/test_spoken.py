"""Dates, times and numbers as people say them."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.agents.spoken import (
    read_date,
    read_number,
    read_time,
    say_date,
    say_number,
    say_time,
)

NOW = datetime(2026, 5, 13, 15, 30)  # a Wednesday


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("today", "2026-05-13"),
        ("tonight", "2026-05-13"),
        ("to night", "2026-05-13"),
        ("tomorrow at seven", "2026-05-14"),
        ("to morrow evening", "2026-05-14"),
        ("the day after tomorrow", "2026-05-15"),
        ("Friday", "2026-05-15"),
        ("this friday", "2026-05-15"),
        ("next friday", "2026-05-22"),
        ("next Monday", "2026-05-18"),
        ("wednesday", "2026-05-13"),
        ("a week from friday", "2026-05-22"),
        ("friday week", "2026-05-22"),
        ("in three days", "2026-05-16"),
        ("in a week", "2026-05-20"),
        ("two weeks from today", "2026-05-27"),
        ("the third of may", "2027-05-03"),
        ("may twenty fifth", "2026-05-25"),
        ("May 25", "2026-05-25"),
        ("the twenty-first of June", "2026-06-21"),
        ("the 21st of june 2027", "2027-06-21"),
        ("the twentieth", "2026-05-20"),
        ("the first", "2026-06-01"),
        ("saturday the sixteenth", "2026-05-16"),
        ("the twenty ninth of february", "2028-02-29"),
        ("2026-05-20", "2026-05-20"),
        ("2026-05-20T19:00", "2026-05-20"),
        ("2026-02-30", None),
        ("the thirtieth of february", None),
        ("next week", None),
        ("seven", None),
        ("", None),
    ],
)
def test_days(said: str, expected: str | None) -> None:
    """What names one day is that day; what does not is asked again."""
    assert read_date(said, NOW) == (date.fromisoformat(expected) if expected else None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("seven", "19:00"),
        ("at seven o'clock", "19:00"),
        ("seven oclock", "19:00"),
        ("seven thirty", "19:30"),
        ("seven thirty pm", "19:30"),
        ("7:30 p.m.", "19:30"),
        ("7pm", "19:00"),
        ("19:30", "19:30"),
        ("19.30", "19:30"),
        ("07:00", "19:00"),
        ("11:30", "11:30"),
        ("half past seven", "19:30"),
        ("half seven", "19:30"),
        ("quarter past eight", "20:15"),
        ("quarter to eight", "19:45"),
        ("a quarter to one", "12:45"),
        ("twenty past six", "18:20"),
        ("ten to nine", "20:50"),
        ("seven oh five", "19:05"),
        ("twenty one thirty", "21:30"),
        ("eleven in the morning", "11:00"),
        ("ten am", "10:00"),
        ("noon", "12:00"),
        ("twelve", "12:00"),
        ("midnight", "00:00"),
        ("tomorrow at seven", "19:00"),
        ("on the third of may at eight", "20:00"),
        ("four people at six", "18:00"),
        ("2026-05-20T19:00", "19:00"),
        ("in three days", None),
        ("25:00", None),
        ("some time", None),
        ("", None),
    ],
)
def test_times(said: str, expected: str | None) -> None:
    """Hours up to eleven are in the evening unless somebody says otherwise."""
    assert read_time(said) == (time.fromisoformat(expected) if expected else None)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("four", 4), ("4 people", 4), ("a couple", 2), ("twenty two", 22), ("a party", None)],
)
def test_numbers(said: str, expected: int | None) -> None:
    """The first number counts."""
    assert read_number(said) == expected


@given(days=st.integers(0, 180))
def test_a_day_said_back_is_understood(days: int) -> None:
    """What the agent says about a day means that day to itself."""
    day = NOW.date() + timedelta(days=days)
    assert read_date(say_date(day, NOW), NOW) == day


@given(st.times(min_value=time(12, 0), max_value=time(23, 59)))
def test_a_time_said_back_is_understood(at: time) -> None:
    """What the agent says about an evening hour means that hour to itself."""
    at = at.replace(second=0, microsecond=0)
    assert read_time(say_time(at)) == at


@given(st.text(max_size=40))
def test_nonsense_is_no_crash(said: str) -> None:
    """Whatever a model passes is read or refused."""
    read_date(said, NOW), read_time(said), read_number(said)


def test_what_is_said() -> None:
    """Words for the ear, without years and half-days."""
    assert say_date(date(2026, 5, 31), NOW) == "on Sunday the thirty first of May"
    assert say_date(date(2026, 5, 14), NOW) == "tomorrow, Thursday the fourteenth of May"
    assert say_time(time(19, 5)) == "seven oh five"
    assert [say_number(n) for n in (0, 12, 20, 45)] == ["zero", "twelve", "twenty", "forty five"]
