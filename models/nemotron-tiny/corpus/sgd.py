"""Turn what people wrote to a restaurant assistant into wordings with slots, as they are spoken.

    python models/nemotron-tiny/corpus/sgd.py sgd_restaurant_utterances.jsonl.gz

writes ``sgd-wordings.jsonl.gz`` beside this file, one {"act", "words", "split"} a line, where
``words`` holds {size}, {date} and {time}. Taken from Schema-Guided Dialogue (Rastogi et al. 2020,
google-research-datasets/dstc8-schema-guided-dialogue), CC BY-SA 4.0, and so is that file. Its
development and test parts are for evaluation only.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voice_agent.turns.spoken_forms import number_words, spoken_words

HERE = Path(__file__).parent
WORDINGS = HERE / "sgd-wordings.jsonl.gz"
SLOTS = {"party_size": "size", "number_of_seats": "size", "date": "date", "time": "time"}
TOPICS = {
    "street_address": ("house", "address"),
    "address": ("house", "address"),
    "phone_number": ("house", "phone number"),
    "has_live_music": ("house", "live music"),
    "has_seating_outdoors": ("house", "garden"),
    "has_vegetarian_options": ("menu", "vegetarian"),
    "price_range": ("menu", "prices"),
    "serves_alcohol": ("menu", "drinks"),
}
ELSEWHERE = {"FindMovies", "GetRide", "ReserveCar", "GetTimesForMovie", "AddEvent"}


def act_of(row: dict[str, Any]) -> str:
    """Return what the caller does, in the corpus's own acts; "" for what no caller of ours says."""
    names = {name for name, _, _ in row["acts"]}
    intents = {values[0] for name, _, values in row["acts"] if name == "INFORM_INTENT"}
    slots = {slot for name, slot, _ in row["acts"] if name == "INFORM"}
    asked = [slot for name, slot, _ in row["acts"] if name == "REQUEST"]
    if intents & ELSEWHERE:
        return "elsewhere" if names <= {"INFORM_INTENT", "THANK_YOU", "INFORM"} else ""
    if slots - SLOTS.keys() or "REQUEST_ALTS" in names or intents - {"ReserveRestaurant"}:
        return ""
    if asked:
        if len(asked) > 1 or asked[0] not in TOPICS or slots or intents:
            return ""
        return " ".join(TOPICS[asked[0]])
    if intents:
        return "book" if names <= {"INFORM_INTENT", "INFORM", "AFFIRM_INTENT"} else ""
    if slots:
        if "NEGATE" in names:
            return "correct"
        return "inform" if names <= {"INFORM", "AFFIRM_INTENT"} else ""
    if not row["restaurant"] and names & {"SELECT"}:
        return ""
    if "GOODBYE" in names:
        return "" if names & {"SELECT", "AFFIRM"} else "bye"
    if names == {"NEGATE", "THANK_YOU"} or (
        names == {"NEGATE"} and ["REQ_MORE", ""] in row["after"]
    ):
        return "done"
    if names == {"THANK_YOU"}:
        return "thanks"
    if names in ({"AFFIRM"}, {"AFFIRM_INTENT"}):
        return "yes"
    return "no" if names == {"NEGATE_INTENT"} else ""


def wording_of(row: dict[str, Any]) -> str:
    """Return the spoken words with {size}, {date} and {time}; "" where they cannot be told."""
    text = row["text"].replace("\u2019", "'")
    kept: dict[str, str] = {}
    for name, slot, values in row["acts"]:
        if name != "INFORM" or slot not in SLOTS:
            continue
        kind = SLOTS[slot]
        said = row["slots"].get(slot, "")
        if not said and kind == "size":
            number = int(values[0]) if values[0].isdigit() else 0
            spelled = " ".join(number_words(number)) if 0 < number < 100 else values[0]
            found = re.search(rf"(?i)\b(?:{number}|{spelled})\b(?! ?(?:pm|am|:|o'clock))", text)
            said = found[0] if found else ""
        if not said or text.count(said) != 1:
            return ""
        mark = f"xx{kind}xx"
        text = text.replace(said, f" {mark} ")
        kept[mark] = f"{{{kind}}}"
    words = [kept.get(word, word) for word in spoken_words(text)]
    wording = " ".join(words)
    wording = re.sub(r"\{time\} (?:am|pm)\b", "{time}", wording)
    return wording if wording.count("{") == len(kept) and not re.search(r"\d", wording) else ""


def wordings(source: Path) -> Iterator[dict[str, str]]:
    """Yield each act and wording once; words that are in two parts are the later one's."""
    found: dict[tuple[str, str], None] = {}
    part: dict[str, str] = {}
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            act = act_of(row)
            words = wording_of(row) if act else ""
            if words and 0 < len(words.split()) <= 22:
                found[act, words] = None
                if part.setdefault(words, row["split"]) == "train":
                    part[words] = row["split"]
    for act, words in found:
        yield {"act": act, "words": words, "split": part[words]}


def main() -> None:
    with gzip.GzipFile(WORDINGS, "wb", mtime=0) as out:
        for row in wordings(Path(sys.argv[1])):
            out.write((json.dumps(row) + "\n").encode())


if __name__ == "__main__":
    main()
