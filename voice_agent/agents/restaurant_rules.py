"""What a table may be booked for: party, day and time, read from what was said and checked.

Small models are bad at calendars: dates and times come as words ("tomorrow", "half past seven") or
ISO, and are read against the moment that is passed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from voice_agent.agents.hours import OpeningHours, say_spans
from voice_agent.agents.spoken import (
    WEEKDAYS,
    read_date,
    read_time,
    say_date,
    say_number,
    say_time,
)

__all__ = ["Refusal", "RestaurantSettings", "Rules", "read_name", "read_phone"]


class RestaurantSettings(BaseModel):
    """The ``[restaurant]`` table of an agent's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    database: str = ""
    """SQLite file; relative to $VOICE_AGENT_DATA or the user's data folder; ":memory:" keeps
    nothing; empty is "<agent's name>.sqlite" there."""
    tables: tuple[Annotated[int, Field(ge=1)], ...] = (2, 2, 2, 4, 4, 4, 6, 8)
    """Seats of each table; a party gets one table."""
    seating_minutes: int = Field(default=120, ge=15)
    """How long a party keeps its table."""
    last_seating_minutes: int = Field(default=60, ge=0)
    """No booking begins later than this before closing."""
    book_ahead_days: int = Field(default=180, ge=1)


class Refusal(Exception):
    """Why a wish cannot be met, as a sentence, and the argument at fault."""

    def __init__(self, sentence: str, field: str, **facts: Any) -> None:
        super().__init__(sentence)
        self.field = field
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Rules:
    """When the house seats whom."""

    settings: RestaurantSettings
    hours: OpeningHours

    def moment(
        self, day_said: str | date, time_said: str | time, now: datetime, prefix: str = ""
    ) -> tuple[date, time]:
        """Read and check a date and a time.

        Raises:
            Refusal: Not then; it names the argument, after ``prefix``, to ask for again.
        """
        day = _read_day(day_said, time_said, now)
        if day is None:
            raise Refusal("Sorry, for which day?", f"{prefix}date")
        at = _read_time(day_said, time_said)
        if at is None:
            raise Refusal("Sorry, at what time?", f"{prefix}time")
        if day < now.date() or (day - now.date()).days > self.settings.book_ahead_days:
            raise Refusal("I can only book a table for the coming months.", f"{prefix}date")
        spans = self.hours.on(day)
        if not spans:
            weekday = f"{WEEKDAYS[day.weekday()].title()}s"
            usual = not self.hours.of_weekday(day.weekday())
            closed = f"on {weekday}" if usual else say_date(day, now)
            raise Refusal(f"I am sorry, we are closed {closed}.", f"{prefix}date")
        last = self.settings.last_seating_minutes

        def seated(at: time) -> bool:
            minutes = at.hour * 60 + at.minute
            return any(span.start_min <= minutes <= span.end_min - last for span in spans)

        if not seated(at) and at.hour > 12 and seated(at.replace(hour=at.hour - 12)):
            at = at.replace(hour=at.hour - 12)  # "ten" where breakfast is served
        if not seated(at):
            latest = spans[-1].end_min - last
            said = say_time(time(latest // 60 % 24, latest % 60))
            opening = f"We are open from {say_spans(spans)}"
            raise Refusal(f"{opening}, and the last table is at {said}.", f"{prefix}time")
        if datetime.combine(day, at) < now:
            raise Refusal(f"{say_time(at).capitalize()} has already passed.", f"{prefix}time")
        return day, at

    def seats(self, party_size: int, field: str) -> int:
        """Return the party's size where a table is large enough.

        Raises:
            Refusal: It is not, or nobody comes.
        """
        if party_size < 1:
            raise Refusal("For how many people?", field)
        if party_size > max(self.settings.tables, default=0):
            largest = say_number(max(self.settings.tables, default=0))
            raise Refusal(f"I am sorry, our largest table seats {largest}.", field)
        return party_size


def _read_day(day: str | date, at: str | time, now: datetime) -> date | None:
    if not isinstance(day, str):
        return day
    return read_date(day, now) or (read_date(at, now) if isinstance(at, str) else None)


def _read_time(day: str | date, at: str | time) -> time | None:
    """The time; a model sometimes puts "tomorrow at seven" into one argument."""
    if not isinstance(at, str):
        return at
    found = read_time(at)
    return found if found or at.strip() or not isinstance(day, str) else read_time(day)


def read_name(said: str) -> str:
    """Return a name as it is written; "" for what models put where they know none."""
    name = " ".join(said.split())
    unknown = {"", "guest", "unknown", "none", "null", "caller", "n/a"}
    if name.lower() in unknown:
        return ""
    return name.title() if name.islower() else name  # recognizers write no capitals


def read_phone(said: str) -> str:
    """Return the digits."""
    return re.sub(r"\D", "", said)
