"""What happened to each utterance becomes figures, ratios and a table."""

import pytest

from voice_agent.load.score import Outcome, fate, figures, ratios, spread
from voice_agent.load.table import lines


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(10.0, 13.3)], "kept"),
        ([(10.0, 13.1)], "kept"),
        ([(10.0, 11.2)], "stopped"),
        ([(10.0, 11.2), (11.8, 13.9)], "resumed"),
        ([(10.0, 11.2), (12.5, 15.8)], "stopped"),
        ([(10.0, 13.3), (15.0, 18.3)], "kept"),
    ],
    ids=[
        "went on to its end",
        "ended a little early",
        "fell silent for good",
        "went on where it had stopped",
        "gave up and answered anew",
        "ended, and another answer followed",
    ],
)
def test_what_became_of_an_answer_something_was_played_over(spans, expected):
    """The answer began at 10 s, lasts 3.3 s undisturbed, and was played over at 10.8 s."""
    assert fate(spans, sound_s=10.0, over_s=10.8, usual_s=3.3) == expected


def outcomes():
    return [
        Outcome("a", "complete", v2v_ms=300.0),
        Outcome("b", "complete", v2v_ms=400.0),
        Outcome("c", "complete", missed=True),
        Outcome("d", "pause", v2v_ms=900.0, cut_in_ms=200.0),
        Outcome("e", "pause", error="the call broke"),
        Outcome("f", "barge-in", ducked_ms=100.0, silent_ms=300.0, v2v_ms=350.0),
        Outcome("g", "barge-in", missed=True),
        Outcome("h", "noise", fate="kept"),
        Outcome("i", "backchannel", fate="stopped"),
    ]


def test_figures_count_every_outcome_once_and_where_it_belongs():
    """Cut-ins do not count as latency, errors count nowhere, missed turns have no latency."""
    made = figures(outcomes())
    assert made["v2v_ms"]["complete"] == {
        "n": 2,
        "p50": 350.0,
        "p95": 395.0,
        "p99": 399.0,
        "max": 400.0,
    }
    assert made["v2v_ms"]["pause"] is None
    assert made["v2v_ms"]["all"]["n"] == 2
    assert made["early_cut_ins"]["pause"] == {"count": 1, "of": 1}
    assert made["missed"]["all"] == {"count": 2, "of": 6}
    assert made["barge_in"]["silent_ms"]["n"] == 1
    assert made["over_the_answer"]["noise"] == {"of": 1, "kept": 1, "resumed": 0, "stopped": 0}
    assert made["over_the_answer"]["backchannel"]["stopped"] == 1
    assert made["errors"] == ["e: the call broke"]


def test_spread_of_nothing_is_nothing():
    """No value, no figure; never a zero that was not measured."""
    assert spread([]) is None
    assert spread([None, float("inf")]) is None


def test_ratios_need_both_sides():
    """Ours by theirs; None where either is missing or theirs is zero."""
    ours, stock = figures(outcomes()), figures([Outcome("a", "complete", v2v_ms=700.0)])
    compared = ratios(ours, stock)
    assert compared["v2v_p50"] == 0.5
    assert compared["barge_in_silent_p50"] is None
    assert compared["early_cut_ins"] is None


def test_the_table_names_every_figure_and_lines_up():
    """One column a side; what one side has not is a dash."""
    sides = {"agent": figures(outcomes()), "baseline": figures(outcomes()[:2])}
    sides["agent"]["speculation"] = {"hit_rate": 0.8, "hits": 4}
    text = lines(sides, {"v2v_p50": 0.5, "v2v_p95": None})
    assert text[0].split() == ["agent", "baseline"]
    assert any(line.startswith("early cut-ins, pause") for line in text)
    assert any("hit rate" in line and "0.8" in line and line.endswith("-") for line in text)
    assert "v2v p50  0.50" in text
    assert not any("p95  " in line and "None" in line for line in text)
    assert "agent: e: the call broke" in text
