"""What a model may pass to the restaurant's tools: the descriptions are written for the model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from voice_agent.agents.spoken import read_number

__all__ = ["AskHours", "BookTable", "ChangeBooking", "FindBooking", "LookForTable"]


def _number(value: Any) -> Any:
    return read_number(value) if isinstance(value, str) else value


PartySize = Annotated[int, BeforeValidator(_number)]
_DATE = "The day as the caller said it, e.g. 'tomorrow' or 'next friday', or as YYYY-MM-DD"
_TIME = "The time as the caller said it, e.g. 'half past seven', or as HH:MM in 24 hours"
_WHOSE = "The name the booking is under, if the caller said it"


class LookForTable(BaseModel):
    """A party, a day and a time."""

    party_size: PartySize = Field(description="Number of people")
    date: str = Field(description=_DATE)
    time: str = Field(description=_TIME)


class BookTable(LookForTable):
    """The same, and who it is for."""

    name: str = Field(default="", description="The caller's name, if they said it")
    phone: str = Field(default="", description="The caller's phone number, if they said it")


class FindBooking(BaseModel):
    """Which booking is meant; nothing at all means the caller's own."""

    name: str = Field(default="", description=_WHOSE)
    phone: str = Field(default="", description="The phone number of the booking, if said")
    date: str = Field(default="", description="The day of the existing booking, if said")


class ChangeBooking(FindBooking):
    """Which booking, and what becomes of it."""

    new_date: str = Field(default="", description=f"Only if the day changes. {_DATE}")
    new_time: str = Field(default="", description=f"Only if the time changes. {_TIME}")
    new_party_size: PartySize = Field(default=0, description="Only if the number of people changes")
    new_name: str = Field(default="", description="Only if the name changes")


class AskHours(BaseModel):
    """A day."""

    date: str = Field(default="today", description=_DATE)
