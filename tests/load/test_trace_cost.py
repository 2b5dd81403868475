"""What tracing costs, as it is reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voice_agent.load.trace_cost import FAILED, OK, Side, report


def sides(more_ms: float, more_cpu: float, spread: float = 1.0) -> tuple[Side, Side]:
    """Two servers whose figures differ by so much, and by chance."""
    draw = np.random.default_rng(3)
    v2v = draw.normal(250, 8 * spread, (2, 200))
    cpu = draw.normal(0.12, 0.001 * spread, (2, 20))
    off = Side(v2v[0].tolist(), cpu[0].tolist())
    on = Side((v2v[0] + draw.normal(more_ms, spread, 200)).tolist(), [])
    on.cpu = (cpu[1] * (1 + more_cpu)).tolist()
    return off, on


@pytest.mark.parametrize(
    ("more_ms", "more_cpu", "code"),
    [(0.0, 0.0, OK), (0.3, 0.01, OK), (6.0, 0.0, FAILED), (0.0, 0.1, FAILED)],
)
def test_what_is_certainly_too_much_is_a_failure(
    more_ms: float, more_cpu: float, code: int, tmp_path: Path
) -> None:
    """One ms of the median, three per cent of the CPU."""
    lines: list[str] = []
    made = tmp_path / "cost.json"
    assert report(*sides(more_ms, more_cpu), made, lines.append) == code
    figures = json.loads(made.read_text())
    low, high = figures["v2v_ms"]["ci95"]
    assert low <= more_ms <= high
    low, high = figures["cores_a_session"]["ci95"]
    assert low <= more_cpu <= high
    assert "200 turns on either side" in lines


def test_a_noisy_machine_proves_nothing() -> None:
    """Neither way: the interval says how little is known."""
    lines: list[str] = []
    assert report(*sides(0.0, 0.02, spread=60.0), None, lines.append) == OK


def test_turns_that_one_side_did_not_answer_are_left_out() -> None:
    """Pairs are compared, and there must be some."""
    off, on = sides(0.0, 0.0)
    off.v2v_ms[0] = on.v2v_ms[1] = None
    lines: list[str] = []
    assert report(off, on, None, lines.append) == OK
    assert "198 turns on either side" in lines
    assert report(Side([None], [1.0]), Side([1.0], [1.0]), None, lines.append) == FAILED
