"""Rewrite the Schema-Guided Dialogue utterances as they are spoken: figures as words, the
assistant's act as a question, punctuation kept only as marks of possible pauses.

    python models/turn-words/spoken.py sgd_restaurant_utterances.jsonl.gz

writes ``sgd-spoken.jsonl.gz`` beside this file (CC BY-SA 4.0, like its source): one
{"agent": [...], "words": "..."} a line, where "," and "." are marks, not words.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from pathlib import Path

from voice_agent.turns.spoken_forms import spoken_words

HERE = Path(__file__).parent
DERIVED = HERE / "sgd-spoken.jsonl.gz"

NAMES = ["Luigi's", "the Golden Dragon", "Blue Fin", "Casa Verde", "the Olive Tree", "Benihana"]
CITIES = ["San Jose", "Oakland", "Berkeley", "Santa Rosa", "Palo Alto", "Fremont"]
TIMES = ["six", "seven thirty", "noon", "half past eight", "five fifteen", "eleven"]
DAYS = ["Monday", "tomorrow", "March eighth", "next Friday", "Saturday", "the fourteenth"]
SIZES = ["two", "four", "six", "three", "one person"]

REQUESTS = {
    "time": [
        "What time would you like?",
        "At what time?",
        "When should I book it for?",
        "What time should I make the reservation?",
        "And for what time?",
    ],
    "date": ["What day would you like?", "For which date?", "On what day?", "What date?"],
    "party_size": ["For how many people?", "How many people?", "How many will be dining?"],
    "number_of_seats": ["How many seats?", "For how many people?"],
    "city": ["In which city?", "What city should I look in?", "Where should I search?"],
    "location": ["Where would you like to eat?", "What area should I look in?", "In which city?"],
    "cuisine": [
        "What kind of food would you like?",
        "What type of cuisine do you prefer?",
        "Which cuisine?",
        "What do you feel like eating?",
    ],
    "category": ["What type of food do you want?", "Any preferred category? Which one?"],
    "restaurant_name": [
        "Which restaurant?",
        "What is the name of the restaurant?",
        "Which restaurant would you like to book?",
    ],
    "phone_number": ["What's your phone number?"],
}
MORE = [
    "Is there anything else I can help you with?",
    "Anything else?",
    "Can I help you with anything else?",
    "What else can I do for you?",
]
GREETINGS = [
    "Hello, how can I help you?",
    "Hi, what can I do for you today?",
    "Thanks for calling. How may I help?",
    "",
]


def asked(acts: list[list[str]], rng: random.Random) -> str:
    """Return one wording of what the assistant's ``acts`` would sound like."""
    names = {name for name, _ in acts}
    slots = {slot for name, slot in acts if name in {"OFFER", "CONFIRM", "INFORM"}}
    place = f"{rng.choice(NAMES)} in {rng.choice(CITIES)}"
    if not acts:
        return rng.choice(GREETINGS)
    if requested := [slot for name, slot in acts if name == "REQUEST"]:
        wordings = [
            rng.choice(REQUESTS.get(slot, [f"Which {slot.replace('_', ' ')}?"]))
            for slot in requested
        ]
        return rng.choice(["", "", "Sure. ", "Okay. "]) + " ".join(wordings)
    if "OFFER_INTENT" in names:
        return rng.choice(
            [
                "Would you like me to make a reservation?",
                "Shall I book it?",
                "Do you want to reserve a table there?",
            ]
        )
    if "CONFIRM" in names:
        details = (
            f"a table for {rng.choice(SIZES)} at {place}, {rng.choice(DAYS)} at {rng.choice(TIMES)}"
        )
        if not slots & {"restaurant_name", "party_size", "time"}:
            details = "that for you"
        return rng.choice(
            [
                f"Please confirm: {details}. Is that correct?",
                f"So I'll book {details}. Is that right?",
                f"That is {details}, okay?",
            ]
        )
    if "OFFER" in names:
        thing = place if "restaurant_name" in slots else "one that fits"
        return rng.choice(
            [
                f"There's {thing}. Would you like that?",
                f"How about {thing}?",
                f"I found {thing}. Does that work for you?",
                f"I found {thing}.",
            ]
        )
    more = " " + rng.choice(MORE) if "REQ_MORE" in names or rng.random() < 0.4 else ""
    if "NOTIFY_SUCCESS" in names:
        return rng.choice(["Your reservation is made.", "It's booked.", "All done."]) + more
    if "NOTIFY_FAILURE" in names:
        return (
            rng.choice(["Sorry, there is no table at that time.", "I'm sorry, that did not work."])
            + more
        )
    if "REQ_MORE" in names:
        return rng.choice(MORE)
    return (
        rng.choice(
            [
                "The phone number is five five five, two one nine four.",
                "It's on Main Street.",
                "They don't have live music.",
                "Yes, they do.",
                "It's moderately priced.",
            ]
        )
        + more
    )


_DAYPART_FIRST = re.compile(r"\b(morning|afternoon|evening) (\d\d?(?::\d\d)?)\b", re.IGNORECASE)
_CLOCK = re.compile(r"\b(1[3-9]|2[0-3]):(\d\d)\b")


def as_spoken(text: str, rng: random.Random) -> str:
    """Return ``text`` as words with "," and "." where its punctuation suggests a pause."""
    text = text.replace('"', "'").replace("&", " and ").replace("o'clock", "o'clock ")
    text = _DAYPART_FIRST.sub(r"\2 in the \1", text)
    text = _CLOCK.sub(lambda m: f"{int(m[1]) - 12}:{m[2]} {rng.choice(['pm', 'pm', ''])}", text)
    text = re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", text, flags=re.IGNORECASE)
    pieces: list[str] = []
    # A mark only where white space follows: 7:30, U.S. and 4.5 are not clauses.
    for part in re.split(r"([,;:.!?]+)(?=\s|$)", text):
        if re.fullmatch(r"[,;:]+", part or ""):
            pieces.append(",")
        elif re.fullmatch(r"[,;:.!?]+", part or ""):
            pieces.append(".")
        else:
            pieces += spoken_words(part)
    while pieces and pieces[-1] in {",", "."}:
        pieces.pop()
    return " ".join(pieces)


def main(source: str) -> None:
    rng = random.Random(20)
    with gzip.open(source, "rt") as lines:
        utterances = [json.loads(line) for line in lines]
    with DERIVED.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        for utterance in utterances:
            wordings = sorted({asked(utterance["after"], rng) for _ in range(2)})
            words = as_spoken(utterance["text"], rng)
            if words:
                line = json.dumps({"agent": wordings, "words": words}, ensure_ascii=False)
                out.write(line.encode() + b"\n")
    print(f"{DERIVED.name}: {DERIVED.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main(sys.argv[1])
