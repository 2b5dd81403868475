"""Whether callers got their table: by the restaurant's own book, not by what the agent said."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from voice_agent.load.errors import ScenarioError
from voice_agent.load.fleet.records import CallRecord


def booked(book: Path) -> set[str]:
    """Return the conversations in which a table was booked that is booked still.

    Raises:
        ScenarioError: There is no such book, or it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True, timeout=5.0)) as file:
            rows = file.execute("SELECT conversation FROM bookings WHERE status = 'booked'")
            return {str(row[0]) for row in rows}
    except sqlite3.Error as error:
        raise ScenarioError(f"{book}: the bookings cannot be read: {error}") from error


def judged(calls: Sequence[CallRecord], tables: set[str]) -> list[CallRecord]:
    """Return the calls, those that came to an end judged by whether a table was booked in them."""
    return [
        call if call.success is None else replace(call, success=call.conversation in tables)
        for call in calls
    ]
