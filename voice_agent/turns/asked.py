"""What the agent has just asked for, and how much of it the user's words have given so far.

"seven" ends a turn after "for how many people?" and begins one after "what is your phone
number?". Plain patterns over the agent's last question; English only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from voice_agent.turns.spoken_forms import DIGITS

__all__ = ["asked_for", "progress"]

_SLOTS = {
    "email": r"\be-?mail",
    "phone": r"phone|mobile|cell|contact number|reach you|call you|number (can|should|may) (we|i)",
    "digits": (
        r"\b(order|account|confirmation|reservation|card|reference|booking|security|customer|"
        r"member\w*|tracking|invoice|policy|case|ticket|flight|id) (number|code)|digits|\bzip|"
        r"post(al )?code|\bpin\b"
    ),
    "spell": r"\bspell",
    "name": r"\bname\b|who('s| is| am i) (this|calling|speaking)|who should i put|who is it for",
    "size": r"how many|\bparty\b|number of (people|guests)|how (large|big)",
    "time": r"what time|which time|\bwhen\b|what hour|how late|\btime (would|works|should|do)",
    "date": r"what (day|date)|which (day|date)|\bwhen\b|date of birth|\b(day|date) (would|works)",
    "where": r"\bcity\b|\barea\b|\bwhere\b|location|\baddress\b|neighbou?rhood|which (town|branch)",
    "choice": (
        r"what (kind|type|sort|size|would|do|can|shall|else can)|which|cuisine|category|what'll|"
        r"what are you|what is your (preferred|favou?rite)|how would you like"
    ),
    "reason": r"\bwhy\b|reason|what happened|tell me (more )?about|describe|explain|problem|issue",
}
_SLOT_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in _SLOTS.items()]
_MORE = re.compile(r"(any|some)thing (else|more)|what else|else (i|we) can|more (i|we) can")
_OPEN = re.compile(
    r"(how|what) (can|may|could) i (help|do|assist|get)|help you|what brings|assist you|at your"
)
_REQUEST = re.compile(
    r"(can|could|may|might) i (please )?(have|get|take|ask)|(can|could|would) you (please )?"
    r"(tell|give|spell|say|read|repeat|describe|share|provide|confirm your)|please (tell|give|say|"
    r"spell|enter|provide|describe|share)|^(tell|give) (me|us)|i('ll| will)? (just )?need|let me "
    r"(have|get|take)|do you have (an?|your)"
)
_WH = re.compile(r"\b(what|which|when|where|who|whose|how|why)\b")
_YES_NO = re.compile(
    r"^(is|are|am|was|do|does|did|would|will|can|could|shall|should|have|has|may|so|you'd|you "
    r"(want|would|mean|said)|it's|that's|how about|what about|want|ready|still)\b|\b(right|"
    r"correct|ok|okay|sound good|sounds good|yes|work for you|works for you)\s*\?|\b(shall|should|"
    r"would you like|do you want|is that|does that|are you|did you)\b"
)
_POLITE_OPENING = re.compile(
    r"^((and|okay|ok|great|sure|alright|all right|perfect|thanks|thank you|now|so|got it|sorry|"
    r"certainly|of course|wonderful|lovely|well|then|no problem|good|please|finally|just)\b"
    r"[\s,!.;:-]*)+"
)


@lru_cache(maxsize=512)
def asked_for(agent_said: str) -> tuple[str, ...]:
    """Return the kinds of answer the agent's last question invites, most telling first.

    "unknown" when the agent has said nothing that is known, "statement" when it has not asked.
    """
    text = " ".join(agent_said.lower().replace("’", "'").split())
    if not text:
        return ("unknown",)
    text = re.sub(r"\b([ap])\.m\.", r"\1m", text)
    sentences = [part.strip() for part in re.split(r"(?<=[.?!])\s+", text) if part.strip()]
    questions = [sentence for sentence in sentences if sentence.endswith("?")]
    asked = questions[-1] if questions else " ".join(sentences[-1].split()[-20:])
    asked = _POLITE_OPENING.sub("", asked) or asked
    if _MORE.search(asked):
        return ("more",)
    if _OPEN.search(asked):
        return ("open",)
    slots = [kind for kind, pattern in _SLOT_PATTERNS if pattern.search(asked)]
    if "digits" in slots and "phone" in slots:
        slots.remove("phone")
    requested = bool(_REQUEST.search(asked))
    opening_wh = bool(re.match(r"(for |at |on |in |under |to |from )?(what|which|wh|how)", asked))
    suggested = bool(re.match(r"(how|what) about\b", asked))
    kinds: list[str] = []
    if not suggested and (requested or opening_wh or not _YES_NO.search(asked)):
        asks = requested or bool(_WH.search(asked)) or bool(questions)
        kinds = [kind for kind in slots if kind not in {"choice", "reason"}] if asks else []
        kinds = kinds or ([kind for kind in slots if kind in {"choice", "reason"}] if asks else [])
        if "spell" in kinds:
            kinds = ["spell"]
        if asks and not kinds:
            kinds = ["either" if questions and " or " in asked else "other"]
    elif questions or _YES_NO.search(asked):
        kinds = ["either" if " or " in asked else "yesno"]
    return tuple(kinds[:3]) or ("statement",)


_NUMBERS = frozenset({"digit", "teen", "tens", "oh"})
_NAME_FRAME = frozenset(
    [
        "my",
        "name",
        "is",
        "it's",
        "its",
        "it",
        "this",
        "the",
        "i'm",
        "i",
        "am",
        "under",
        "for",
        "put",
        "that's",
        "that",
        "would",
        "be",
        "last",
        "first",
        "and",
        "surname",
        "reservation",
        "a",
        "an",
        "sure",
        "yes",
        "yeah",
        "okay",
        "oh",
        "well",
        "please",
        "call",
        "me",
        "in",
        "by",
        "of",
        "to",
    ]
)


def _digits_given(words: Sequence[str], kinds: Sequence[str]) -> int:
    count, times = 0, 1
    for word, kind in zip(words, kinds, strict=True):
        if kind == "multiple":
            times = 3 if word == "triple" else 2
            continue
        if word in DIGITS and kind == "digit":
            count += times
        elif kind == "teen" or kind == "tens" or (kind == "hundred" and word == "hundred"):
            count += 2
        times = 1
    return count - sum(first == "tens" and second == "digit" for first, second in pairwise(kinds))


def progress(kind: str, words: Sequence[str], kinds: Sequence[str]) -> str:
    """Return how much of an answer of ``kind`` the ``words`` (of word kinds ``kinds``) hold.

    A short label for a model to learn from: "d3" is three digits, "month" a month with no day.
    """
    if kind in {"phone", "digits"}:
        return f"d{min(_digits_given(words, kinds), 17)}"
    if kind == "size":
        return "number" if any(k in _NUMBERS for k in kinds) else "none"
    if kind == "time":
        numbers = sum(k in _NUMBERS for k in kinds)
        part = "+part" if any(k in {"ampm", "daypart"} for k in kinds) else ""
        part += "+day" if any(k in {"day", "relday"} for k in kinds) else ""
        return f"n{min(numbers, 3)}{part}"
    if kind == "date":
        day = any(k in {"day", "relday"} for k in kinds)
        month = any(k in {"month", "may"} for k in kinds)
        number = any(k in _NUMBERS or k == "ordinal" for k in kinds)
        return "day" * day + "month" * month + "number" * number or "none"
    if kind == "name":
        return f"names{min(sum(word not in _NAME_FRAME for word in words), 3)}"
    if kind in {"yesno", "more"}:
        said = next((k for k in kinds if k in {"yes", "no", "polite"}), "none")
        return f"{said}{min(len(words), 4)}"
    if kind == "spell":
        return f"letters{min(sum(k == 'letter' for k in kinds), 6)}"
    return f"w{min(len(words), 5)}"
