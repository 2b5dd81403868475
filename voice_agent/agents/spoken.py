"""Dates, times and numbers as people say them, and said back the way people hear them.

``dateparser`` 1.5, ``parsedatetime`` 2.6 and ``recurrent`` 0.4 were tried on spoken forms first:
none reads "seven thirty" or "half past seven", and all of them answer "tomorrow at seven", "the
third of may" or "the day after tomorrow" with a wrong date or time instead of with nothing. For a
booking a wrong guess is worse than a question, so these functions read a small grammar exactly
and return None for anything else. They never look at the clock: "now" is an argument.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

__all__ = [
    "WEEKDAYS",
    "read_date",
    "read_number",
    "read_time",
    "say_date",
    "say_day",
    "say_number",
    "say_time",
]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
ORDINALS = (
    *("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
    *("ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth"),
    *("sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
CARDINAL_WORDS = {word: number for number, word in enumerate(ONES)} | TENS | {"couple": 2}
ORDINAL_WORDS = {word: number for number, word in enumerate(ORDINALS)} | {"thirtieth": 30}

_DAY = "|".join(WEEKDAYS)
_MONTH = "|".join(MONTHS)
_AFTERNOON = re.compile(r"\b(?:pm|p m|afternoon|evening|tonight|night)\b")
_MORNING = re.compile(r"\b(?:am|a m|morning)\b")


def _fold(text: str) -> str:
    """Lower case, no punctuation, number words as digits: "the twenty-first" -> "the 21th"."""
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text.lower())
    text = re.sub(r"(?<=\d)(?=[ap]m\b)", " ", text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text)
    text = re.sub(r"(?<!\d)[.:]|[.:](?!\d)|[^a-z0-9.:/\-\s]", " ", text)
    text = re.sub(r"\bto (?=night\b|morrow\b|day\b)", "to", text)
    words: list[str] = []
    for word in text.split():
        tens_before = bool(words) and words[-1] in {"20", "30", "40", "50"}
        if (number := CARDINAL_WORDS.get(word)) is not None:
            if tens_before and 0 < number < 10:
                words[-1] = str(int(words[-1]) + number)
            else:
                words.append(str(number))
        elif (number := ORDINAL_WORDS.get(word)) is not None:
            if tens_before and 0 < number < 10:
                words[-1] = f"{int(words[-1]) + number}th"
            else:
                words.append(f"{number}th")
        else:
            words.append(re.sub(r"^(\d+)(?:st|nd|rd)$", r"\1th", word))
    return " ".join(words)


def read_number(text: str) -> int | None:
    """Return the first whole number in ``text`` ("four people" -> 4), or None."""
    found = re.search(r"(?<![\d.:])\d+(?![\d.:]|th)", _fold(text))
    return int(found[0]) if found else None


def read_date(text: str, now: datetime) -> date | None:
    """Return the date ``text`` means when said at ``now``, or None where it names no single day.

    A weekday is its next occurrence, today included; "next friday" is the Friday of the week
    after this one (weeks begin on Monday). A day and month without a year are never in the past.
    """
    said = _fold(text)
    today = now.date()
    if found := re.search(r"\b(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)", said):
        return _date(int(found[1]), int(found[2]), int(found[3]))
    if re.search(r"\bday after tomorrow\b", said):
        return today + timedelta(days=2)
    if found := re.search(
        rf"\b(?:(a|\d+) weeks? (?:from|after) (today|tomorrow|{_DAY})|(today|tomorrow|{_DAY})"
        r" (?:in )?(?:a )?week)\b",
        said,
    ):
        base = read_date(found[2] or found[3], now) or today
        weeks = int(found[1]) if found[1] and found[1] != "a" else 1
        return base + timedelta(weeks=weeks)
    if found := re.search(r"\bin (a|\d+) (day|week)s?\b|\b(a|\d+) (day|week)s? from now\b", said):
        count, unit = found[1] or found[3], found[2] or found[4]
        days = (1 if count == "a" else int(count)) * (7 if unit == "week" else 1)
        return today + timedelta(days=days) if days < 1000 else None
    if found := re.search(
        rf"\b(\d{{1,2}})(?:th)?(?: of)? ({_MONTH})(?:,? (\d{{4}}))?\b"
        rf"|\b({_MONTH})(?: the)? (\d{{1,2}})(?:th)?(?: (\d{{4}}))?\b",
        said,
    ):
        day, month, year = (
            (found[1], found[2], found[3]) if found[1] else (found[5], found[4], found[6])
        )
        return _coming(int(day), MONTHS.index(month) + 1, int(year) if year else None, today)
    if found := re.search(r"\b(\d{1,2})th\b", said):
        return _next_day_of_month(int(found[1]), today)
    if found := re.search(rf"\b(next |this )?({_DAY})s?\b", said):
        weekday = WEEKDAYS.index(found[2])
        if found[1] == "next ":
            return today + timedelta(days=7 - today.weekday() + weekday)
        return today + timedelta(days=(weekday - today.weekday()) % 7)
    if re.search(r"\btomorrow\b", said):
        return today + timedelta(days=1)
    if re.search(r"\b(?:today|tonight|this (?:evening|afternoon|morning)|now)\b", said):
        return today
    return None


def read_time(text: str) -> time | None:
    """Return the time of day ``text`` means, or None.

    Hours from 1 to 11 without "am" or "in the morning" are taken for the afternoon or evening,
    as people mean them who talk to a restaurant; "10:30" and "11:30" are read as written.
    """
    said = re.sub(r"\b\d{4}[-/]\d{1,2}[-/]\d{1,2}t?", " ", _fold(text))
    said = re.sub(rf"\b\d{{1,2}}(?:th)?(?: of)? (?:{_MONTH})\b", " ", said)
    said = re.sub(rf"\b(?:{_MONTH})(?: the)? \d{{1,2}}(?:th)?\b|\b\d{{1,2}}th\b", " ", said)
    said = re.sub(r"\b\d+ (?:people|persons?|guests?|adults|of us|days?|weeks?)\b", " ", said)
    if re.search(r"\bmidnight\b", said):
        return time(0, 0)
    if re.search(r"\b(?:noon|midday)\b", said):
        return time(12, 0)
    if found := re.search(r"\b(\d{1,2})[:.h](\d{2})(?!\d)", said):
        if found[1] in {"10", "11"} and not _AFTERNOON.search(said):
            said += " am"  # written with two digits, it is a 24 hour clock
        return _time(int(found[1]), int(found[2]), said)
    if found := re.search(
        r"\b(half|quarter|\d{1,2})(?: minutes?)? (past|after|to|before|till) (\d{1,2})\b", said
    ):
        minutes = {"half": 30, "quarter": 15}.get(found[1]) or int(found[1])
        if found[2] in {"past", "after"}:
            return _time(int(found[3]), minutes, said)
        hour = int(found[3]) - 1 or 12
        return _time(hour, 60 - minutes, said)
    if found := re.search(r"\bhalf (\d{1,2})\b", said):
        return _time(int(found[1]), 30, said)
    clock = r"(\d{1,2})(?: (?:o |oh )?(\d{1,2}))?"
    for pattern in (
        rf"\b{clock} (?:o ?clock|[ap] ?m)\b",
        rf"\b(?:at|around|about|by|for|from) {clock}\b",
        rf"\b{clock}\b",
    ):
        if found := re.search(pattern, said):
            return _time(int(found[1]), int(found[2] or 0), said)
    return None


def say_number(number: int) -> str:
    """Return a number from 0 to 59 in words; larger ones in digits."""
    if 0 <= number < len(ONES):
        return ONES[number]
    tens = {value: word for word, value in TENS.items()}
    if number // 10 * 10 not in tens:
        return str(number)
    ten = tens[number // 10 * 10]
    return f"{ten} {ONES[number % 10]}" if number % 10 else ten


def say_day(day: date) -> str:
    """Return e.g. "Thursday the fourteenth of May"."""
    if day.day < len(ORDINALS):
        ordinal = ORDINALS[day.day]
    elif day.day == 30:
        ordinal = "thirtieth"
    else:
        ordinal = f"{say_number(day.day // 10 * 10)} {ORDINALS[day.day % 10]}"
    return f"{WEEKDAYS[day.weekday()].title()} the {ordinal} of {MONTHS[day.month - 1].title()}"


def say_date(day: date, now: datetime) -> str:
    """Return e.g. "tomorrow, Thursday the fourteenth of May" or "on Friday the ...", no year."""
    full = say_day(day)
    ahead = (day - now.date()).days
    return {0: f"today, {full}", 1: f"tomorrow, {full}"}.get(ahead, f"on {full}")


def say_time(moment: time) -> str:
    """Return e.g. "seven thirty" or "noon"; the half of the day goes without saying."""
    if moment == time(12, 0):
        return "noon"
    if moment == time(0, 0):
        return "midnight"
    hour = say_number(moment.hour % 12 or 12)
    if moment.minute == 0:
        return f"{hour} o'clock"
    return f"{hour} {'oh ' if moment.minute < 10 else ''}{say_number(moment.minute)}"


def _time(hour: int, minute: int, said: str) -> time | None:
    if _MORNING.search(said) and not _AFTERNOON.search(said):
        hour = 0 if hour == 12 else hour
    elif 1 <= hour <= 11:
        hour += 12
    return time(hour, minute) if 0 <= hour < 24 and 0 <= minute < 60 else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _coming(day: int, month: int, year: int | None, today: date) -> date | None:
    """The named day of this year, or of the next where it has passed (29 February: the next)."""
    if year is not None:
        return _date(year, month, day)
    candidates = (_date(today.year + ahead, month, day) for ahead in range(9))
    return next((found for found in candidates if found is not None and found >= today), None)


def _next_day_of_month(day: int, today: date) -> date | None:
    for ahead in range(13):
        month = today.month - 1 + ahead
        found = _date(today.year + month // 12, month % 12 + 1, day)
        if found is not None and found >= today:
            return found
    return None
