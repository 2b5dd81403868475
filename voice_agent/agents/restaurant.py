"""Tools of a restaurant: look for a table, book it, change it, cancel it, tell the hours.

Dates and times may be said ("tomorrow", "half past seven") or ISO; they are read here, against an
injected clock, because small models are bad at calendars. Results carry normalised fields and a
sentence to ``say``; refusals say why and name the argument at fault.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from platformdirs import user_data_path
from pydantic import BaseModel

from voice_agent.agents.agent import Agent, AgentError
from voice_agent.agents.bookings import Booking, BookingStore, NoTableError
from voice_agent.agents.hours import say_spans
from voice_agent.agents.restaurant_arguments import (
    AskHours,
    BookTable,
    ChangeBooking,
    FindBooking,
    LookForTable,
)
from voice_agent.agents.restaurant_rules import (
    Refusal,
    RestaurantSettings,
    Rules,
    read_name,
    read_phone,
)
from voice_agent.agents.restaurant_words import facts, said_booking, say_offer
from voice_agent.agents.spoken import (
    WEEKDAYS,
    read_date,
    say_date,
    say_number,
    say_time,
)
from voice_agent.agents.tools import Clock, Tool, tool

__all__ = ["RestaurantSettings", "RestaurantTools"]

ResultT = TypeVar("ResultT")


class RestaurantTools:
    """See the module's docstring. One worker thread owns the database."""

    Settings: ClassVar[type[BaseModel]] = RestaurantSettings

    def __init__(self, settings: RestaurantSettings, agent: Agent, now: Clock) -> None:
        self._settings = settings
        self._rules = Rules(settings, agent.hours)
        self._agent = agent
        self._now = now
        self._thread: ThreadPoolExecutor | None = None
        self._store: BookingStore | None = None

    async def start(self) -> None:
        """Open the database.

        Raises:
            AgentError: The file cannot be made or is no database.
        """
        path = self.database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bookings")
        settings = self._settings
        try:
            self._store = await asyncio.get_running_loop().run_in_executor(
                self._thread, BookingStore, path, settings.tables, settings.seating_minutes
            )
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            raise AgentError(f"restaurant.database: {path} cannot be opened: {error}") from error

    async def stop(self) -> None:
        """Close the database after whatever still runs on it."""
        if self._store is not None and self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
            self._thread.shutdown()
            self._store = None

    @property
    def database(self) -> Path | None:
        """Where the bookings are; None is memory."""
        if self._settings.database == ":memory:":
            return None
        slug = re.sub(r"[^a-z0-9]+", "-", self._agent.name.lower()).strip("-") or "restaurant"
        folder = os.environ.get("VOICE_AGENT_DATA")
        base = Path(folder) if folder else user_data_path("voice-agent", appauthor=False)
        return base / Path(self._settings.database or f"{slug}.sqlite").expanduser()

    def tools(self, conversation: str = "") -> list[Tool]:
        """Return the tools of one conversation; its id tells unnamed callers apart."""

        async def check(wish: LookForTable) -> dict[str, Any]:
            return await self._run(lambda store, now: self._check(store, now, wish))

        async def book(wish: BookTable) -> dict[str, Any]:
            return await self._run(lambda store, now: self._book(store, now, wish, conversation))

        async def change(wish: ChangeBooking) -> dict[str, Any]:
            return await self._run(lambda store, now: self._change(store, now, wish, conversation))

        async def cancel(wish: FindBooking) -> dict[str, Any]:
            return await self._run(lambda store, now: self._cancel(store, now, wish, conversation))

        async def hours(wish: AskHours) -> dict[str, Any]:
            return self._hours(self._now(), wish)

        return [
            tool(
                "check_availability",
                "Look whether a table is free. Changes nothing.",
                *(LookForTable, check),
                read_only=True,
            ),
            tool(
                "book_table",
                "Book a table as soon as the number of people, the day and the time are known.",
                *(BookTable, book),
            ),
            tool(
                "change_booking",
                "Change an existing booking, e.g. the one made earlier in this call.",
                *(ChangeBooking, change),
            ),
            tool(
                "cancel_booking",
                "Cancel an existing booking, e.g. the one made earlier in this call.",
                *(FindBooking, cancel),
            ),
            tool(
                "opening_hours",
                "Tell when the restaurant is open on one day. Changes nothing.",
                *(AskHours, hours),
                read_only=True,
            ),
        ]

    async def _run(
        self, work: Callable[[BookingStore, datetime], dict[str, Any]]
    ) -> dict[str, Any]:
        store, thread = self._store, self._thread
        if store is None or thread is None:
            raise RuntimeError("RestaurantTools.start() was not awaited")
        try:
            return await asyncio.get_running_loop().run_in_executor(
                thread, work, store, self._now()
            )
        except Refusal as refusal:
            return {"error": str(refusal), "field": refusal.field, **refusal.facts}
        except sqlite3.Error:
            return {"error": "I cannot reach our book of reservations right now.", "field": ""}

    def _check(self, store: BookingStore, now: datetime, wish: LookForTable) -> dict[str, Any]:
        day, at = self._rules.moment(wish.date, wish.time, now)
        self._rules.seats(wish.party_size, "party_size")
        asked = {"party_size": wish.party_size, "date": day.isoformat(), "time": f"{at:%H:%M}"}
        when = f"{say_date(day, now)}, at {say_time(at)}"
        if store.free_table(wish.party_size, day, at) is not None:
            said = (
                f"Yes, we have a table for {say_number(wish.party_size)} {when}. Shall I book it?"
            )
            return {"available": True, **asked, "say": said}
        others = self._alternatives(store, now, wish.party_size, day, at)
        said = f"I am sorry, we are full {when}. {say_offer(others)}"
        alternatives = [f"{other:%H:%M}" for other in others]
        return {"available": False, **asked, "alternatives": alternatives, "say": said}

    def _book(
        self, store: BookingStore, now: datetime, wish: BookTable, conversation: str
    ) -> dict[str, Any]:
        day, at = self._rules.moment(wish.date, wish.time, now)
        self._rules.seats(wish.party_size, "party_size")
        booking = Booking(
            name=read_name(wish.name),
            party_size=wish.party_size,
            date=day,
            time=at,
            phone=read_phone(wish.phone),
            conversation=conversation,
        )
        try:
            booking = store.book(booking)
        except NoTableError:
            raise self._full(store, now, booking, "time") from None
        return {
            "booked": True,
            **facts(booking),
            "say": f"I have booked {said_booking(booking, now)}.",
        }

    def _change(
        self, store: BookingStore, now: datetime, wish: ChangeBooking, conversation: str
    ) -> dict[str, Any]:
        if not (wish.new_date or wish.new_time or wish.new_party_size or wish.new_name):
            asked = "What shall I change: the day, the time, or the number of people?"
            raise Refusal(asked, "new_time")
        old = self._find(store, now, wish, conversation)
        day, at = self._rules.moment(
            wish.new_date or old.date, wish.new_time or old.time, now, prefix="new_"
        )
        changed = replace(
            old,
            date=day,
            time=at,
            party_size=self._rules.seats(wish.new_party_size or old.party_size, "new_party_size"),
            name=read_name(wish.new_name) or old.name,
        )
        try:
            changed = store.change(changed)
        except NoTableError:
            raise self._full(store, now, changed, "new_time") from None
        said = f"I have changed it: {said_booking(changed, now)}."
        return {"changed": True, **facts(changed), "say": said}

    def _cancel(
        self, store: BookingStore, now: datetime, wish: FindBooking, conversation: str
    ) -> dict[str, Any]:
        booking = self._find(store, now, wish, conversation)
        store.cancel(booking.id)
        said = f"I have cancelled {said_booking(booking, now)}."
        return {"cancelled": True, **facts(booking), "say": said}

    def _hours(self, now: datetime, wish: AskHours) -> dict[str, Any]:
        day = read_date(wish.date, now)
        if day is None:
            return {"error": "Which day do you mean?", "field": "date"}
        spans = self._agent.hours.on(day)
        known = {
            "date": day.isoformat(),
            "open": [f"{s.opens:%H:%M}-{s.closes:%H:%M}" for s in spans],
        }
        name = {0: "today", 1: "tomorrow"}.get((day - now.date()).days)
        name = name or f"on {WEEKDAYS[day.weekday()].title()}"
        if not spans:
            return {**known, "say": f"We are closed {name}."}
        said = f"{name[0].upper()}{name[1:]} we are open from {say_spans(spans)}."
        return {**known, "say": said}

    def _find(
        self, store: BookingStore, now: datetime, wish: FindBooking, conversation: str
    ) -> Booking:
        """The one booking meant: this call's own first, then by name, phone and day."""
        filters: dict[str, Any] = {"name": read_name(wish.name), "phone": read_phone(wish.phone)}
        if wish.date:
            filters["on"] = read_date(wish.date, now)
        found = store.find(now.date(), conversation=conversation, **filters) if conversation else []
        if not found and (filters["name"] or filters["phone"]):
            found = store.find(now.date(), **filters)
        if not found:
            if filters["name"]:
                raise Refusal(f"I cannot find a booking for {wish.name}. Which name is it?", "name")
            raise Refusal("Which name is the booking under?", "name")
        if len(found) > 1:
            days = " or ".join(f"{say_date(b.date, now)}, at {say_time(b.time)}" for b in found[:3])
            raise Refusal(f"Which booking do you mean: {days}?", "date")
        return found[0]

    def _full(self, store: BookingStore, now: datetime, wish: Booking, field: str) -> Refusal:
        others = self._alternatives(store, now, wish.party_size, wish.date, wish.time)
        sentence = f"I am sorry, we are full at {say_time(wish.time)}. {say_offer(others)}"
        return Refusal(sentence, field, alternatives=[f"{other:%H:%M}" for other in others])

    def _alternatives(
        self, store: BookingStore, now: datetime, party_size: int, day: date, at: time
    ) -> list[time]:
        """Up to two free times within two and a half hours, nearest first."""
        wished = datetime.combine(day, at)
        found: list[time] = []
        for step in (30, -30, 60, -60, 90, -90, 120, -120, 150, -150):
            other = wished + timedelta(minutes=step)
            try:
                self._rules.moment(other.date(), other.time(), now)
            except Refusal:
                continue
            same_day = other.date() == day
            if same_day and store.free_table(party_size, day, other.time()) is not None:
                found.append(other.time())
        return sorted(found[:2])
