"""What a run does before it calls anybody: scenarios, profiles, the search for the capacity."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.load.errors import ScenarioError
from voice_agent.load.fleet.profile import SHAPES, shares, steps
from voice_agent.load.fleet.scenario import read_scenario
from voice_agent.load.fleet.search import Tried, capacity, next_level
from voice_agent.load.fleet.slo import read_slo


def scenario(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return read_scenario(str(path))


@pytest.mark.parametrize("name", ["booking", "talk"])
def test_the_shipped_scenarios_can_be_played(name):
    """Every variable has values, and what is said over an answer follows a question."""
    read = read_scenario(name)
    assert read.name == name
    assert all("{" not in text for text in read.drawn(random.Random(1)))


def test_what_is_said_varies_between_calls_and_not_between_runs(tmp_path):
    """A value is drawn once a call, the same for every turn; a seed gives the same calls again."""
    read = scenario(
        tmp_path,
        'name = "x"\n[vary]\nn = ["two", "four"]\n[[turn]]\nsay = "A table for {n}."\n'
        '[[turn]]\nsay = "I said {n}."\n',
    )
    for seed in range(20):
        first, second = read.drawn(random.Random(seed))
        assert first.removeprefix("A table for ") == second.removeprefix("I said ")
    assert {read.drawn(random.Random(seed))[0] for seed in range(20)} == {
        "A table for two.",
        "A table for four.",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"', "turn: Field required"),
        ('name = "x"\n[[turn]]\nsay = "for {n}"', "{n} in 'for {n}' is not in [vary]"),
        ('name = "x"\n[[turn]]\nsay = "yes"\nover = "barge-in"', "there is none yet"),
        ('name = "x"\n[[turn]]\nsay = "yes"\nexpect = "("', "no regular expression"),
        ('name = "x"\n[[turn]]\nsays = "yes"', "turn.0.say: Field required"),
        ("name = ", "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path, text, message):
    """Before anything is called."""
    with pytest.raises(ScenarioError) as caught:
        scenario(tmp_path, text)
    assert "mine.toml" in str(caught.value)
    assert message in str(caught.value)


def test_an_unknown_scenario_is_told_what_there_is():
    """By name."""
    with pytest.raises(ScenarioError, match="there are: booking, talk"):
        read_scenario("dancing")


def test_a_mistake_in_an_slo_is_named_too(tmp_path):
    """With the keys that there are."""
    path = tmp_path / "slo.toml"
    path.write_text("v2v_p95 = 500\n")
    with pytest.raises(ScenarioError, match="v2v_p95: unknown key; there are: v2v_p50_ms"):
        read_slo(path)


@given(st.sampled_from(SHAPES), st.integers(1, 64), st.floats(5, 600))
def test_a_profile_never_asks_for_more_calls_than_it_says(shape, sessions, seconds):
    """And at some moment it asks for all of them."""
    (step,) = steps(shape, [sessions], seconds)
    assert len(step.places) == sessions
    assert sorted(place.caller for place in step.places) == list(range(sessions))
    for place in step.places:
        assert 0 <= place.start_s <= place.end_s <= seconds


@given(st.integers(1, 64), st.integers(1, 12))
def test_every_caller_belongs_to_one_process(sessions, processes):
    """None is lost, none is doubled."""
    (step,) = steps("steady", [sessions], 60)
    dealt = shares(step, processes)
    assert sorted(p.caller for part in dealt for p in part) == list(range(sessions))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@given(st.integers(0, 70), st.integers(1, 64))
def test_the_search_finds_the_capacity_of_a_server_that_keeps_its_word(holds, most):
    """In few steps, and never beyond what was allowed."""
    tried: list[Tried] = []
    while (level := next_level(tried, most)) is not None:
        assert 1 <= level <= most
        tried.append(Tried(level, level <= holds))
        assert len(tried) < 30
    assert capacity(tried) == min(holds, most)


def test_one_bad_minute_is_not_a_capacity():
    """A load that did not hold is tried once more."""
    tried = [Tried(1, True), Tried(2, True), Tried(4, False)]
    assert next_level(tried, 8) == 4
    tried.append(Tried(4, True))
    assert capacity(tried) == 4
    assert next_level(tried, 8) == 8
