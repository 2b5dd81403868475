"""The restaurant's book: tables and who sits at them when, in SQLite. Blocking; no clock.

Two processes may share one file: every change is one ``BEGIN IMMEDIATE`` transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, time
from pathlib import Path

__all__ = ["Booking", "BookingStore", "NoTableError"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS bookings (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    phone TEXT NOT NULL,
    party_size INTEGER NOT NULL,
    date TEXT NOT NULL,                 -- YYYY-MM-DD
    time TEXT NOT NULL,                 -- HH:MM
    table_no INTEGER NOT NULL,          -- index into the settings' `tables`
    status TEXT NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'cancelled')),
    conversation TEXT NOT NULL,         -- who made it, for callers who give no name
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX IF NOT EXISTS bookings_by_date ON bookings (date, status);
"""
COLUMNS = "id, name, phone, party_size, date, time, table_no, conversation"


class NoTableError(Exception):
    """Every table that is large enough is taken at that time."""


@dataclass(frozen=True, slots=True)
class Booking:
    """One table for one party; ``id`` and ``table_no`` are -1 until it is in the book."""

    name: str
    """As it was said; empty where nobody asked."""
    party_size: int
    date: date
    time: time
    phone: str = ""
    conversation: str = ""
    id: int = -1
    table_no: int = -1

    def same_as(self, other: Booking) -> bool:
        """Whether both are one wish said twice: same people, same party, same moment."""
        if (self.party_size, self.date, self.time) != (other.party_size, other.date, other.time):
            return False
        if self.phone and other.phone and self.phone != other.phone:
            return False
        same_caller = self.conversation == other.conversation
        if self.name and other.name:
            return _key(self.name) == _key(other.name)
        if self.name or other.name:  # the name was said on the second try
            return same_caller and self.conversation != ""
        return same_caller


class BookingStore:
    """The book. Used by one thread at a time."""

    def __init__(self, path: Path | None, tables: Sequence[int], seating_minutes: int) -> None:
        """Open or create the book.

        Args:
            path: The database file, its folder is made; None keeps everything in memory.
            tables: Seats of each table.
            seating_minutes: How long a party keeps its table.

        Raises:
            OSError, sqlite3.Error: The file cannot be made or is no database.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._tables = tuple(tables)
        self._seating_minutes = seating_minutes
        # Made and used by the owner's worker thread; closed from wherever it stops.
        self._db = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5.0
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def free_table(self, party_size: int, day: date, at: time, *, moving: int = -1) -> int | None:
        """Return the smallest free table that seats the party, or None.

        Args:
            moving: The id of a booking whose own table counts as free.
        """
        taken = {
            other.table_no
            for other in self._on(day)
            if other.id != moving
            and abs(_minutes(other.time) - _minutes(at)) < self._seating_minutes
        }
        fitting = [
            (seats, number)
            for number, seats in enumerate(self._tables)
            if seats >= party_size and number not in taken
        ]
        return min(fitting)[1] if fitting else None

    def book(self, wish: Booking) -> Booking:
        """Write a booking, or return the one that already says the same.

        Raises:
            NoTableError: No table is free.
        """
        with self._transaction():
            for known in self._on(wish.date):
                if known.same_as(wish):
                    named = replace(
                        known, name=wish.name or known.name, phone=wish.phone or known.phone
                    )
                    if named != known:
                        self._update(named)
                    return named
            table = self.free_table(wish.party_size, wish.date, wish.time)
            if table is None:
                raise NoTableError
            made = self._db.execute(
                "INSERT INTO bookings (name, phone, party_size, date, time, table_no, conversation)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (wish.name, wish.phone, wish.party_size, *_moment(wish), table, wish.conversation),
            )
            return replace(wish, id=made.lastrowid or -1, table_no=table)

    def change(self, changed: Booking) -> Booking:
        """Write the new state of the booking with ``changed.id``.

        Raises:
            NoTableError: No table is free for it; the booking stays as it was.
        """
        with self._transaction():
            table = self.free_table(
                changed.party_size, changed.date, changed.time, moving=changed.id
            )
            if table is None:
                raise NoTableError
            changed = replace(changed, table_no=table)
            self._update(changed)
            return changed

    def cancel(self, booking_id: int) -> None:
        """Give the table back; the row stays, as 'cancelled'."""
        self._db.execute("UPDATE bookings SET status = 'cancelled' WHERE id = ?", (booking_id,))

    def find(
        self,
        since: date,
        *,
        name: str = "",
        phone: str = "",
        on: date | None = None,
        conversation: str = "",
    ) -> list[Booking]:
        """Return what is booked from ``since`` on and fits every filter given, soonest first."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM bookings WHERE status = 'booked' AND date >= ?"
            " ORDER BY date, time, id",
            (since.isoformat(),),
        )
        return [
            booking
            for booking in map(_booking, rows)
            if (not name or _key(booking.name) == _key(name))
            and (not phone or booking.phone == phone)
            and (on is None or booking.date == on)
            and (not conversation or booking.conversation == conversation)
        ]

    def _on(self, day: date) -> list[Booking]:
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM bookings WHERE status = 'booked' AND date = ? ORDER BY id",
            (day.isoformat(),),
        )
        return [_booking(row) for row in rows]

    def _update(self, booking: Booking) -> None:
        self._db.execute(
            "UPDATE bookings SET name = ?, phone = ?, party_size = ?, date = ?, time = ?,"
            " table_no = ? WHERE id = ?",
            (
                *(booking.name, booking.phone, booking.party_size),
                *(*_moment(booking), booking.table_no, booking.id),
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _booking(row: tuple[int, str, str, int, str, str, int, str]) -> Booking:
    number, name, phone, party_size, day, at, table_no, conversation = row
    return Booking(
        name=name,
        phone=phone,
        party_size=party_size,
        date=date.fromisoformat(day),
        time=time.fromisoformat(at),
        conversation=conversation,
        id=number,
        table_no=table_no,
    )


def _moment(booking: Booking) -> tuple[str, str]:
    return booking.date.isoformat(), booking.time.strftime("%H:%M")


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute


def _key(name: str) -> str:
    return " ".join(name.casefold().split())
