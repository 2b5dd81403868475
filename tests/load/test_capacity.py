"""What one core holds, as it is reported."""

from __future__ import annotations

from dataclasses import replace

from voice_agent.load.capacity import Side, figures
from voice_agent.load.capacity_table import lines
from voice_agent.load.fleet.profile import steps
from voice_agent.load.fleet.records import CallRecord, ServerSample, TurnRecord
from voice_agent.load.fleet.results import figures as of_step
from voice_agent.load.fleet.run import Held
from voice_agent.load.fleet.slo import Slo, checks
from voice_agent.load.score import spread
from voice_agent.load.served import Server

TURN = TurnRecord("What time do you open?", 1000.0, v2v_ms=340.0)
CALL = CallRecord(0, 2, 990.0, seconds=30.0, turns=(TURN,))


def held(sessions: int, v2v_ms: float, mb_a_call: float) -> Held:
    """One load of 10 s, in which every call took a twentieth of a core."""
    (step,) = steps("steady", [sessions], 10)
    calls = [
        replace(CALL, caller=n, turns=(replace(TURN, v2v_ms=v2v_ms),)) for n in range(sessions)
    ]
    grown = 200.0 + sessions * mb_a_call
    samples = [
        ServerSample(1000.0, 0, 10.0, 200.0, 0.0, 0.0),
        ServerSample(1010.0, 0, 10.0 + sessions * 0.5, grown, 0.0, 0.0),
    ]
    found = of_step(calls, samples)
    return Held(step, "steady", 1000.0, calls, found, checks(Slo(v2v_p95_ms=600), found))


def side(name: str, *held: Held) -> Side:
    alone = Side(name, Server("http://127.0.0.1:1", 1), instrument=True)
    alone.alone_ms = spread([340.0, 350.0])
    alone.held = list(held)
    return alone


def test_the_largest_load_that_holds_is_compared() -> None:
    """Calls, CPU and memory a call, and how many times as many."""
    ours = side("agent", held(8, 400, 2), held(20, 500, 2), held(24, 700, 3))
    stock = side("baseline", held(4, 500, 60), held(8, 900, 55))
    made = figures([ours, stock])
    assert (made["agent"]["capacity"], made["baseline"]["capacity"]) == (20, 4)
    assert made["times"] == 5
    assert made["agent"]["steps"][0]["cores_a_call"] == 0.05
    assert (made["agent"]["mb_a_call"], made["baseline"]["mb_a_call"]) == (3.0, 60.0)
    text = "\n".join(lines(made))
    assert "calls a core: 20, baseline 4: 5.00 times as many (goal: 2.5)" in text


def test_a_stock_agent_that_holds_nothing_is_no_ratio() -> None:
    """One call it holds by definition; a load that was not measured is not there."""
    made = figures([side("agent"), side("baseline", held(2, 900, 55))])
    assert (made["agent"]["capacity"], made["baseline"]["capacity"]) == (1, 1)
    assert lines(made)
