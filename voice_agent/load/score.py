"""What happened to each thing the bench played, and what that makes of an agent. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from voice_agent.load.script import OVER_THE_AGENT, Kind

Fate = Literal["kept", "resumed", "stopped"]
"""Of an answer that something was played over: it went on; it fell silent and went on where it had
stopped; it was given up (whether or not another answer followed)."""

FATES: tuple[Fate, ...] = get_args(Fate)

END_S = 0.25
"""An answer that ends this much earlier than usual has not been stopped."""
SAME_LENGTH_S = 0.6
"""A resumed answer is as long as an undisturbed one, give or take this."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one item; what does not apply to its kind is None."""

    name: str
    kind: Kind
    v2v_ms: float | None = None
    """From the true end of speech to the first sound of the answer to it."""
    cut_in_ms: float | None = None
    """How long before the true end the agent began to speak."""
    missed: bool = False
    """No answer came to what was said; a barge-in that was not yielded to."""
    ducked_ms: float | None = None
    silent_ms: float | None = None
    fate: Fate | None = None
    user: str = ""
    """What the agent says it understood."""
    error: str = ""
    """Why nothing could be measured; such an item counts nowhere else."""


def fate(
    spans: Sequence[tuple[float, float]], sound_s: float, over_s: float, usual_s: float
) -> Fate:
    """Tell what became of an answer.

    Args:
        spans: When the agent sounded, from the answer's first sound on.
        sound_s: The answer's first sound.
        over_s: When something began to be played over it.
        usual_s: How long the same answer lasts undisturbed.
    """
    first = next((span for span in spans if span[1] >= over_s), None)
    if first is None or first[1] >= sound_s + usual_s - END_S:
        return "kept"
    sounded_s = sum(end - start for start, end in spans)
    goes_on = spans.index(first) < len(spans) - 1
    return "resumed" if goes_on and abs(sounded_s - usual_s) <= SAME_LENGTH_S else "stopped"


def spread(values: Iterable[float | None]) -> dict[str, float | int] | None:
    """Return n, p50, p95, p99 and max; None without values."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, [50, 95, 99])
    return {
        "n": len(known),
        "p50": round(float(p50), 1),
        "p95": round(float(p95), 1),
        "p99": round(float(p99), 1),
        "max": round(max(known), 1),
    }


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return everything the bench says of one agent, as plain data."""
    good = [each for each in outcomes if not each.error]
    kinds = list(dict.fromkeys(each.kind for each in good))
    listening = [each for each in good if each.kind not in OVER_THE_AGENT]
    barged = [each for each in good if each.kind == "barge-in"]
    # An answer after a cut-in answers only what was left: its latency says nothing.
    fair = [each for each in listening if each.cut_in_ms is None]
    return {
        "v2v_ms": {
            **{
                kind: spread(each.v2v_ms for each in fair if each.kind == kind)
                for kind in kinds
                if kind not in OVER_THE_AGENT
            },
            "all": spread(each.v2v_ms for each in fair),
        },
        "early_cut_ins": _counts(listening, lambda each: each.cut_in_ms is not None),
        "missed": _counts([*listening, *barged], lambda each: each.missed),
        "barge_in": {
            "of": len(barged),
            "ducked_ms": spread(each.ducked_ms for each in barged),
            "silent_ms": spread(each.silent_ms for each in barged),
            "answered_ms": spread(each.v2v_ms for each in barged),
        },
        "over_the_answer": {
            kind: {
                "of": len(over),
                **{name: sum(each.fate == name for each in over) for name in FATES},
            }
            for kind in ("backchannel", "noise")
            if (over := [each for each in good if each.kind == kind])
        },
        "errors": [f"{each.name}: {each.error}" for each in outcomes if each.error],
    }


def _counts(outcomes: Sequence[Outcome], true: Any) -> dict[str, dict[str, int]]:
    kinds = list(dict.fromkeys(each.kind for each in outcomes))
    groups: dict[str, list[Outcome]] = {
        kind: [each for each in outcomes if each.kind == kind] for kind in kinds
    }
    groups["all"] = list(outcomes)
    return {
        kind: {"count": sum(map(true, group)), "of": len(group)} for kind, group in groups.items()
    }


def ratios(ours: dict[str, Any], stock: dict[str, Any]) -> dict[str, float | None]:
    """Return our figures divided by the baseline's; None where one of them is missing or zero."""

    def ratio(*path: str) -> float | None:
        pair: list[Any] = [ours, stock]
        for key in path:
            pair = [each.get(key) if isinstance(each, dict) else None for each in pair]
        if not all(isinstance(each, int | float) for each in pair) or not pair[1]:
            return None
        return round(float(pair[0]) / float(pair[1]), 3)

    return {
        "v2v_p50": ratio("v2v_ms", "complete", "p50"),
        "v2v_p95": ratio("v2v_ms", "complete", "p95"),
        "v2v_all_p50": ratio("v2v_ms", "all", "p50"),
        "v2v_all_p95": ratio("v2v_ms", "all", "p95"),
        "early_cut_ins_in_pauses": ratio("early_cut_ins", "pause", "count"),
        "early_cut_ins": ratio("early_cut_ins", "all", "count"),
        "barge_in_silent_p50": ratio("barge_in", "silent_ms", "p50"),
        "barge_in_silent_p95": ratio("barge_in", "silent_ms", "p95"),
    }


def as_data(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes as plain data, without what does not apply."""
    rounded = []
    for outcome in outcomes:
        data = {key: value for key, value in asdict(outcome).items() if value not in (None, "")}
        rounded.append({key: round(v, 1) if isinstance(v, float) else v for key, v in data.items()})
    return rounded
