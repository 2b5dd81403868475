"""Rewrite the restaurant utterances of Schema-Guided Dialogue as they would be spoken.

Run once; its output, ``corpus/sgd.txt.gz``, is committed:

    python models/pocketsphinx-bella-notte/normalise_sgd.py sgd_restaurant_utterances.jsonl.gz

The input is one JSON object a line with ``text``, ``slots`` and ``restaurant``, taken from
google-research-datasets/dstc8-schema-guided-dialogue (CC BY-SA 4.0).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

from num2words import num2words

_OUT = Path(__file__).parent / "corpus" / "sgd.txt.gz"
_NAMES = ("restaurant_name", "city", "street_address", "phone_number", "location", "area")
_OURS = "Bella Notte"
_CUT = "xplacex"
"""Stands for a place elsewhere; a sentence without its place would teach that "for" ends one."""
_REPAIRS = {
    "i lik ": "i like ",
    " thats ": " that's ",
    " dont ": " don't ",
    " u ": " you ",
    " pls ": " please ",
    " plz ": " please ",
}


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if hour > 12:
        hour -= 12
    spoken = num2words(hour or 12)
    if minute == 0:
        return f" {spoken} o'clock "
    between = " oh " if minute < 10 else " "
    return f" {spoken}{between}{num2words(minute)} "


def _number(match: re.Match[str]) -> str:
    value = int(match[0])
    return f" {num2words(value)} " if value < 1000 else " "


def spoken(text: str) -> list[str]:
    """Return the sentences of a written utterance as lower-case words, numbers spelled out."""
    text = text.lower().replace("\u2019", "'").replace('o"clock', "o'clock")
    text = re.sub(r"\b(\d{1,2})[:.](\d\d)\b", _clock, text)
    text = re.sub(r"\b(\d+)(st|nd|rd|th)\b", lambda m: num2words(int(m[1]), to="ordinal"), text)
    text = re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", text)
    text = re.sub(r"\d+", _number, text)
    text = text.replace("o'clock pm", "pm").replace("o'clock am", "am").replace("&", " and ")
    out = []
    for sentence in re.split(r"[.?!]+", text):
        words = re.sub(r"[^a-z' ]+", " ", sentence).split()
        line = f" {' '.join(word.strip(chr(39)) for word in words)} "
        for wrong, right in _REPAIRS.items():
            line = line.replace(wrong, right)
        if line.strip():
            out.append(line.strip())
    return out


def main(source: Path) -> None:
    lines: list[str] = []
    with gzip.open(source, "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            text = row["text"]
            for slot, value in row["slots"].items():
                if slot in _NAMES:
                    text = text.replace(value, _OURS if slot == "restaurant_name" else _CUT)
            lines += [line for line in spoken(text) if _CUT not in line]
    text = "\n".join(lines) + "\n"
    _OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(lines)} sentences, {_OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
