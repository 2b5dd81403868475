"""What written chat lacks, generated: one-word answers, digits in groups, names, spelling, dates
and times in parts, corrections, hesitations, questions of every day.

The templates are in ``wordings.toml``; this fills them in.
:func:`utterances` yields (agent wording, words with marks); everything comes from one seed.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from voice_agent.turns.spoken_forms import number_words

FIRST = (
    "john mary peter anna david sarah michael emma james laura robert julia thomas maria daniel "
    "sophie paul nina mark claire kevin rachel brian susan steve alice george helen frank diane "
    "ahmed fatima wei priya carlos lucia ivan olga yuki hans pierre chloe omar leila marco elena "
    "tom bob jane kate sam max lee kim joe amy ben eva leo mia noah zoe will grace rose mark"
).split()
LAST = (
    "smith jones brown taylor wilson davis miller moore anderson jackson white harris martin clark "
    "lewis walker hall young king wright scott green baker adams nelson hill campbell mitchell "
    "roberts carter phillips evans turner parker collins edwards stewart morris murphy cook rogers "
    "garcia martinez lopez nguyen patel kumar chen wang kim park rossi mueller schmidt novak silva"
).split()
CITIES = (
    "london|paris|berlin|chicago|boston|seattle|denver|oakland|madrid|rome|dublin|austin|portland|"
    "san francisco|new york|los angeles|san jose|palo alto|santa cruz|las vegas"
)
CUISINES = (
    "italian|mexican|chinese|thai|indian|french|japanese|greek|spanish|korean|vietnamese|sushi|"
    "pizza|burgers|seafood|steak|vegan|vegetarian|ramen|tapas"
)
DISHES = (
    "margherita pizza|pizza|lasagna|spaghetti carbonara|carbonara|caesar salad|green salad|"
    "tiramisu|tomato soup|risotto|cheeseburger|fries|garlic bread|chicken wings|bruschetta|"
    "grilled salmon|mushroom ravioli|fish and chips|penne arrabbiata|pepperoni pizza"
)
DRINKS = "water|coffee|red wine|white wine|beer|orange juice|sparkling water|coke|tea|lemonade"
THINGS = (
    "reservation|booking|order|appointment|account|password|delivery|package|refund|invoice|"
    "subscription|flight|ticket|address|table|room|meeting|payment|bill|card"
)
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = (
    "january february march april may june july august september october november december"
).split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split() + ["twenty " + ordinal for ordinal in "first second third fourth fifth sixth".split()]
HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
FILLERS = "um|uh|uhm|er|hmm|well|so|let me see|let me think|you know|like"


def _digits(rng: random.Random, count: int) -> str:
    words = []
    for _ in range(count):
        digit = rng.randrange(10)
        words.append(rng.choice(["oh", "zero"]) if digit == 0 else number_words(digit)[0])
    if count >= 3 and rng.random() < 0.12:
        at = rng.randrange(count - 1)
        words[at : at + 2] = ["double", words[at] if words[at] != "oh" else "zero"]
    return " ".join(words)


def _phone(rng: random.Random) -> str:
    groups = rng.choice([(3, 3, 4)] * 7 + [(3, 3, 2, 2), (3, 4), (5, 6), (3, 7), (10,), (4, 3, 4)])
    spoken = " / ".join(_digits(rng, size) for size in groups)
    if sum(groups) == 10 and rng.random() < 0.08:
        spoken = "one / " + spoken
    return spoken


def _code(rng: random.Random) -> str:
    size = rng.choice([4, 5, 5, 6, 6, 8, 9])
    groups = {
        4: [(4,), (2, 2)],
        5: [(5,), (3, 2), (2, 3)],
        6: [(3, 3), (2, 2, 2), (6,)],
        8: [(4, 4), (2, 2, 2, 2)],
        9: [(3, 3, 3)],
    }[size]
    return " / ".join(_digits(rng, part) for part in rng.choice(groups))


def _time(rng: random.Random) -> str:
    hour, minute = rng.choice(HOURS), rng.choice("thirty thirty fifteen forty-five twenty".split())
    minute = minute.replace("-", " ")
    return rng.choice(
        [
            hour,
            hour,
            f"{hour} {minute}",
            f"{hour} o'clock",
            f"half past {hour}",
            f"{hour} pm",
            f"{hour} {minute} pm",
            f"quarter [past|to] {hour}",
            f"{hour} in the [evening|afternoon]",
            "noon",
            f"{hour} am",
            f"around {hour}",
            f"{hour} {minute}",
            f"{hour} [pm|tonight]",
        ]
    )


def _date(rng: random.Random) -> str:
    day, month, ordinal = rng.choice(DAYS), rng.choice(MONTHS), rng.choice(ORDINALS)
    return rng.choice(
        [
            day,
            day,
            f"next {day}",
            f"this {day}",
            "tomorrow",
            "today",
            "tonight",
            "tomorrow",
            f"{month} {ordinal}",
            f"{month} the {ordinal}",
            f"the {ordinal} of {month}",
            f"the {ordinal}",
            f"{day} , the {ordinal}",
            f"{day} {month} {ordinal}",
            f"{day} [evening|night|morning|afternoon]",
            "the day after tomorrow",
            "next week",
            f"{month} {rng.choice(HOURS)}",
        ]
    )


def _size(rng: random.Random) -> str:
    return rng.choice([*HOURS[1:8], *HOURS[1:6], "two", "four", "ten", "twelve", "fifteen"])


def _letters(rng: random.Random) -> str:
    name = rng.choice(LAST + FIRST)
    return (
        " / ".join([" ".join(name)])
        if rng.random() < 0.6
        else " ".join(name[:4]) + (" / " + " ".join(name[4:]) if len(name) > 4 else "")
    )


SLOTS: dict[str, Callable[[random.Random], str]] = {
    "phone": _phone,
    "code": _code,
    "time": _time,
    "date": _date,
    "size": _size,
    "letters": _letters,
    "people": lambda _: "[people|people|persons|guests|of us]",
    "number": lambda rng: " ".join(number_words(rng.randrange(1, 99))),
    "first": lambda rng: rng.choice(FIRST),
    "last": lambda rng: rng.choice(LAST),
    "city": lambda rng: f"[{CITIES}]",
    "cuisine": lambda rng: f"[{CUISINES}]",
    "dish": lambda rng: f"[{DISHES}]",
    "drink": lambda rng: f"[{DRINKS}]",
    "thing": lambda rng: f"[{THINGS}]",
    "um": lambda rng: f"[{FILLERS}]",
    "mail": lambda rng: (
        f"{rng.choice(FIRST)} [dot {rng.choice(LAST)}|{rng.choice(LAST)}|] "
        "/ at / [gmail|yahoo|outlook|hotmail|example] dot [com|com|org|net]"
    ),
}

TAIL = "[||||please|please|, please|, thank you|, thanks]"
HEAD = "[||||||yes ,|okay ,|sure ,|um|uh|well]"
HOLDS = [
    "[hold on|one moment|one second|just a second|wait|wait a minute|let me check|let me see|"
    "let me think|give me a second|hang on|just a moment] / {um} , ",
    "{um} / ",
    "{um} , {um} / ",
    "[that would be|it's|i think|it is] / ",
]


def _lines(block: str) -> list[str]:
    """Return a block's lines, "3 * x" as three of x."""
    lines: list[str] = []
    for line in block.strip().splitlines():
        times = re.match(r"(\d+) \* ", line)
        lines += [line[times.end() :]] * int(times[1]) if times else [line]
    return lines


_WORDINGS = tomllib.loads(Path(__file__).with_name("wordings.toml").read_text())
LISTS = {name: _lines(block) for name, block in _WORDINGS["lists"].items()}
ASKED = {
    kind: (_lines(asked["agent"]), _lines(asked["answers"]))
    for kind, asked in _WORDINGS["asked"].items()
}


def _choose(template: str, rng: random.Random) -> str:
    while match := re.search(r"\[([^\[\]]*)\]", template):
        chosen = rng.choice(match[1].split("|"))
        template = template[: match.start()] + chosen + template[match.end() :]
    return template


def _expand(template: str, rng: random.Random) -> str:
    while match := re.search(r"\b[A-Z_]{2,}\b", template):
        chosen = rng.choice(LISTS[match[0]])
        template = template[: match.start()] + chosen + template[match.end() :]
    template = _choose(template, rng)
    while match := re.search(r"\{(\w+)\}", template):
        filled = _choose(SLOTS[match[1]](rng), rng)
        template = template[: match.start()] + filled + template[match.end() :]
    return " ".join(template.replace("-hm", "hm").split())


def utterances(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield ``count`` (agent wording, words with marks), every kind of question as often."""
    rng = random.Random(seed)
    acknowledged = ["", "", "", "Great. ", "Okay. ", "Thank you. ", "Perfect, thanks. "]
    kinds = [*ASKED, "open", "yesno", "more", "time", "date", "name", "phone"]
    for _ in range(count):
        wordings, answers = ASKED[rng.choice(kinds)]
        agent = rng.choice(wordings)
        agent = "" if agent == "(nothing)" else rng.choice(acknowledged) + agent
        roll = rng.random()
        prefix = rng.choice(HOLDS) if roll < 0.12 else HEAD if roll < 0.25 else ""
        suffix = TAIL if rng.random() < 0.2 else ""
        answer = rng.choice(answers)
        if match := re.search(r"(\w+) or (?:an )?(\w+)\?", agent):
            answer = answer.replace("{option}", f"[{match[1].lower()}|{match[2].lower()}]")
        words = _expand(f"{prefix} {answer} {suffix}", rng)
        yield agent, words.strip(" ,./")


if __name__ == "__main__":
    for said, line in utterances(60, 1):
        print(f"{said:60} {line}")
