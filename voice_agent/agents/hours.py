"""When a place is open: read from the agent's file, asked by its tools, said to its callers."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from voice_agent.agents.spoken import WEEKDAYS, say_time

__all__ = ["OpeningHours", "Span"]


class Span(BaseModel):
    """From opening to closing on one day; a closing of 00:00 is the end of that day."""

    model_config = ConfigDict(frozen=True)
    opens: time
    closes: time

    @property
    def start_min(self) -> int:
        """Opening, minutes since midnight."""
        return self.opens.hour * 60 + self.opens.minute

    @property
    def end_min(self) -> int:
        """Closing, minutes since midnight; up to 1440."""
        return self.closes.hour * 60 + self.closes.minute or 24 * 60


def _span(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    opens, dash, closes = value.partition("-")
    try:
        if not dash:
            raise ValueError(value)
        found = Span(
            opens=time.fromisoformat(opens.strip()),
            closes=time.fromisoformat(closes.strip().replace("24:00", "00:00")),
        )
    except ValueError:
        raise ValueError(f"{value!r} is not a span like '18:00-23:00'") from None
    if found.end_min <= found.start_min:
        raise ValueError(f"{value!r} ends before it begins; midnight is '24:00'")
    return found


Spans = tuple[Annotated[Span, BeforeValidator(_span)], ...]


class OpeningHours(BaseModel):
    """The week, a list of ``"HH:MM-HH:MM"`` a day; a day that is left out is closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    monday: Spans = ()
    tuesday: Spans = ()
    wednesday: Spans = ()
    thursday: Spans = ()
    friday: Spans = ()
    saturday: Spans = ()
    sunday: Spans = ()
    closed_on: tuple[date, ...] = Field(default=())
    """Holidays: closed whatever the weekday says."""

    def on(self, day: date) -> Spans:
        """Return when it is open on ``day``; empty where it is closed."""
        return () if day in self.closed_on else self.of_weekday(day.weekday())

    def of_weekday(self, weekday: int) -> Spans:
        """Return when it is usually open on a weekday, Monday being 0."""
        spans: Spans = getattr(self, WEEKDAYS[weekday])
        return spans

    def __bool__(self) -> bool:
        return any(self.of_weekday(weekday) for weekday in range(7))

    def describe(self) -> str:
        """Return the week as lines for a prompt: days with the same hours share one."""
        lines: list[tuple[list[str], str]] = []
        for weekday, name in enumerate(WEEKDAYS):
            text = say_spans(self.of_weekday(weekday))
            if lines and lines[-1][1] == text:
                lines[-1][0].append(name.title())
            else:
                lines.append(([name.title()], text))
        described = [
            f"{days[0]}{f' to {days[-1]}' if len(days) > 1 else ''}: {text}" for days, text in lines
        ]
        described += [f"{day.isoformat()}: closed" for day in self.closed_on]
        return "\n".join(described)


def say_spans(spans: Spans) -> str:
    """Return e.g. "noon to two thirty and six o'clock to eleven o'clock", or "closed"."""
    said = [f"{say_time(span.opens)} to {say_time(span.closes)}" for span in spans]
    return " and ".join(said) or "closed"
