"""How the restaurant's tools say what they did."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from voice_agent.agents.bookings import Booking
from voice_agent.agents.spoken import say_date, say_number, say_time

__all__ = ["facts", "said_booking", "say_offer"]


def facts(booking: Booking) -> dict[str, Any]:
    """Return the booking's normalised fields, for a tool's result."""
    return {
        "booking": booking.id,
        "name": booking.name or "guest",
        "party_size": booking.party_size,
        "date": booking.date.isoformat(),
        "time": f"{booking.time:%H:%M}",
    }


def said_booking(booking: Booking, now: datetime) -> str:
    """Return e.g. "a table for two people tomorrow, ..., at noon under the name Anna"."""
    people = "one person" if booking.party_size == 1 else f"{say_number(booking.party_size)} people"
    name = f" under the name {booking.name}" if booking.name else ""
    when = f"{say_date(booking.date, now)}, at {say_time(booking.time)}"
    return f"a table for {people} {when}{name}"


def say_offer(times: list[time]) -> str:
    """Return a sentence that offers other times, or another day where there is none."""
    if not times:
        return "Would another day suit you?"
    return f"{' or '.join(say_time(at) for at in times).capitalize()} would be free."
