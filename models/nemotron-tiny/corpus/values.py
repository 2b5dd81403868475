"""What fills the slots: parties, days, times and names, as callers say them.

Each drawing returns the words and what the host passes to a tool: a number for a party, the
caller's own words for a day and a time.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

from voice_agent.agents.spoken import MONTHS, ORDINALS, WEEKDAYS, say_number

HERE = Path(__file__).parent
_NAMES = HERE.parents[1] / "pocketsphinx-bella-notte" / "corpus"
FIRST = (_NAMES / "first-names.txt").read_text().split()
LAST = (_NAMES / "last-names.txt").read_text().split()
ONSETS = "b br c ch cl d dr f fl g gr h j k kl l m n p pr r s sh sl st t th tr v w y z".split()
RIMES = (
    "a an ar as e el en er ey i in is it o ol on or ow u um us am ick ett ard old ass ert".split()
)
MADE_UP = 0.3
"""Share of names with a part that nobody has."""
PEOPLE = ("people",) * 6 + ("persons", "guests", "guests", "adults", "of us", "friends")
COMPANY = {
    "just me": 1,
    "myself": 1,
    "just myself": 1,
    "me and my wife": 2,
    "me and my husband": 2,
    "my wife and me": 2,
    "my wife and i": 2,
    "my husband and i": 2,
    "me and a friend": 2,
    "me and my girlfriend": 2,
    "a couple": 2,
    "a couple of people": 2,
    "just us two": 2,
    "us two": 2,
}
_PARTY_WEIGHTS = (2, 10, 7, 10, 7, 8, 5, 6, 3, 4, 1, 2, 0, 0, 1, 0)  # 1 to 16
_HOURS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
_HOUR_WEIGHTS = (3, 2, 1, 1, 3, 8, 10, 10, 7, 2, 1, 3)
_MINUTES = ("thirty", "thirty", "fifteen", "forty five", "ten", "twenty", "forty", "fifty", "five")
_MINUTES_TOO = ("twenty five", "thirty five", "fifty five", "oh five")


def number(rng: random.Random) -> int:
    """Return how many come; two and four more often than eleven."""
    return rng.choices(range(1, 17), _PARTY_WEIGHTS)[0]


def size(rng: random.Random) -> tuple[str, int]:
    """Return a number alone: "four"."""
    count = number(rng)
    return say_number(count), count


def party(rng: random.Random) -> tuple[str, int]:
    """Return a party in words: "four people", "two adults and a baby", "the two of us"."""
    roll = rng.random()
    if roll < 0.1:
        words = rng.choice(list(COMPANY))
        return words, COMPANY[words]
    if roll < 0.16:
        count = rng.randint(2, 6)
        return f"the {say_number(count)} of us", count
    if roll < 0.29:
        grown, small = rng.randint(1, 6), rng.randint(1, 4)
        child = rng.choice(("child", "kid")) if small == 1 else rng.choice(("children", "kids"))
        few = rng.choice(("one", "a")) if small == 1 else say_number(small)
        adult = "adult" if grown == 1 else "adults"
        return f"{say_number(grown)} {adult} and {few} {child}", grown + small
    count = number(rng)
    people = "person" if count == 1 else rng.choice(PEOPLE)
    return f"{say_number(count)} {people}", count


def clock(rng: random.Random) -> str:
    """Return a time of day as it is said; every form of every hour comes up."""
    hour = say_number(rng.choices(_HOURS, _HOUR_WEIGHTS)[0])
    minute = rng.choice(_MINUTES if rng.random() < 0.8 else _MINUTES_TOO)
    half = rng.choice(("pm", "pm", "pm", "in the evening", "tonight", "p m"))
    forms = (
        (18, hour),
        (12, f"{hour} o'clock"),
        (12, f"{hour} {minute}"),
        (10, f"half past {hour}"),
        (4, f"quarter past {hour}"),
        (3, f"a quarter past {hour}"),
        (4, f"quarter to {hour}"),
        (3, f"a quarter to {hour}"),
        (5, f"{hour} {half}"),
        (4, f"{hour} {minute} {half}"),
        (2, f"{rng.choice(('ten', 'twenty', 'five', 'twenty five'))} past {hour}"),
        (2, f"{rng.choice(('ten', 'twenty', 'five'))} to {hour}"),
        (1, f"half {hour}"),
        (2, "noon"),
        (1, "midday"),
        (1, rng.choice(("twelve noon", "twelve thirty", "twelve fifteen", "one thirty"))),
        (1, f"{hour} in the {rng.choice(('afternoon', 'evening'))}"),
        (1, f"half past {hour} in the evening"),
    )
    words = rng.choices([form for _, form in forms], [weight for weight, _ in forms])[0]
    return words.removesuffix(" tonight")


def day(rng: random.Random, today: date) -> str:
    """Return a day as it is said, mostly within the next months."""
    weekday = rng.choice(WEEKDAYS)
    part = rng.choice(("evening", "evening", "night", "afternoon", "lunchtime"))
    ahead = today + timedelta(days=min(rng.randrange(1, 110), rng.randrange(1, 110)))
    month = MONTHS[ahead.month - 1]
    nth = ordinal(ahead.day)
    forms = (
        (14, "tomorrow"),
        (7, "today"),
        (9, "tonight"),
        (3, f"tomorrow {rng.choice(('evening', 'night', 'evening', 'afternoon'))}"),
        (2, "this evening"),
        (18, weekday),
        (6, f"{weekday} {part}"),
        (6, f"next {weekday}"),
        (3, f"this {weekday}"),
        (2, f"this coming {weekday}"),
        (2, f"{weekday} next week"),
        (4, "the day after tomorrow"),
        (5, f"the {nth}"),
        (6, f"the {nth} of {month}"),
        (4, f"{month} {nth}"),
        (3, f"{month} the {nth}"),
        (3, f"{WEEKDAYS[ahead.weekday()]} the {nth}"),
        (2, f"{WEEKDAYS[ahead.weekday()]} the {nth} of {month}"),
        (1, f"in {rng.choice(('two', 'three'))} days"),
        (1, f"in {rng.choice(('a week', 'two weeks'))}"),
        (1, f"a week from {weekday}"),
        (1, f"{rng.choice(('tomorrow', weekday))} in a week"),
        (1, rng.choice(("next week", "this weekend", "the weekend", "sometime next week"))),
    )
    words = rng.choices([form for _, form in forms], [weight for weight, _ in forms])[0]
    return words.replace("next week", "", 1).strip() if words.endswith("day next week") else words


def dated(rng: random.Random, today: date) -> str:
    """Return a day that "the" and "on the" may stand before: "fourteenth", "third of may"."""
    ahead = today + timedelta(days=rng.randrange(1, 100))
    nth = ordinal(ahead.day)
    return rng.choice((nth, f"{nth} of {MONTHS[ahead.month - 1]}"))


def syllables(rng: random.Random) -> str:
    """Return a name nobody has, of syllables: it can only be copied, letter for letter."""
    return "".join(rng.choice(ONSETS) + rng.choice(RIMES) for _ in range(rng.choice((1, 2, 2, 3))))


def name(rng: random.Random, made_up: float = MADE_UP) -> str:
    """Return a caller's name; ``made_up`` is the chance of one that nobody has."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    if rng.random() < made_up:
        first = syllables(rng) if rng.random() < 0.5 else first
        last = syllables(rng)
    return rng.choices((f"{first} {last}", last, first), (4, 2, 2))[0]


def ordinal(number: int) -> str:
    """Return "twenty first" for 21."""
    if number < len(ORDINALS):
        return ORDINALS[number]
    if number == 30:
        return "thirtieth"
    return f"{say_number(number // 10 * 10)} {ORDINALS[number % 10]}"
