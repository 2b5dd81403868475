"""How many calls at once, when: the plan of a run. Pure.

- steady: the number asked for, all the time, one step after the other;
- ramp: from 1 to the number asked for, evenly over the time;
- spike: a quarter of it, and in the middle third all of it at once;
- soak: the number asked for, for all of the time, in calls that end and begin anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Shape = Literal["steady", "ramp", "spike", "soak"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
STAGGER_S = 0.35
"""Calls of a step begin so far apart: nobody's callers dial in the same millisecond, and a join
must not be what is measured."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line that is kept busy from ``start_s`` to ``end_s``, seconds from the step's beginning."""

    caller: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """One load held for a while."""

    sessions: int
    seconds: float
    places: tuple[Place, ...]


def steps(shape: Shape, levels: Sequence[int], seconds: float) -> list[Step]:
    """Return what is held one after the other: one step for each level."""
    return [Step(level, seconds, tuple(_places(shape, level, seconds))) for level in levels]


def _places(shape: Shape, sessions: int, seconds: float) -> list[Place]:
    def place(number: int, start_s: float, end_s: float = seconds) -> Place:
        return Place(number, min(start_s, seconds), end_s)

    match shape:
        case "steady" | "soak":
            return [place(n, n * min(STAGGER_S, seconds / (2 * sessions))) for n in range(sessions)]
        case "ramp":
            return [place(n, n * seconds / sessions) for n in range(sessions)]
        case "spike":
            base = max(1, sessions // 4)
            third = seconds / 3
            calm = [place(n, n * STAGGER_S) for n in range(base)]
            return calm + [place(n, third, 2 * third) for n in range(base, sessions)]


def shares(step: Step, processes: int) -> list[list[Place]]:
    """Deal a step's places out to processes, one after the other."""
    return [list(step.places[n::processes]) for n in range(min(processes, len(step.places)))]
