"""What a voice over the agent's means, as a table."""

from __future__ import annotations

import pytest

from voice_agent.turns.barge_in import Meaning, is_echo, meaning, same_words, words_of
from voice_agent.turns.settings import TurnSettings

SETTINGS = TurnSettings()
GO_ON, STOP, WAIT = Meaning.BACKCHANNEL, Meaning.INTERRUPTION, Meaning.UNKNOWN


@pytest.mark.parametrize(
    ("words", "voice_ms", "silent_ms", "all_heard", "means"),
    [
        ("", 200, 0, False, WAIT),
        ("", 700, 0, False, STOP),  # somebody is talking, whatever recognition makes of it
        ("", 200, 260, False, GO_ON),  # a cough
        ("", 400, 110, True, GO_ON),  # a keyboard: recognition says there were no words
        ("mm-hm", 300, 0, False, WAIT),
        ("mm-hm", 300, 260, False, GO_ON),
        ("uh huh", 900, 0, False, WAIT),  # a slow one is still one
        ("okay", 450, 110, True, GO_ON),
        ("yeah right okay", 900, 260, False, GO_ON),
        ("wait", 250, 0, False, STOP),
        ("no", 250, 0, False, STOP),
        ("okay but", 500, 0, False, STOP),
        ("saturday", 400, 0, False, WAIT),
        ("saturday", 400, 110, True, STOP),  # an answer given early
        ("i meant saturday", 500, 0, False, STOP),
        ("can you repeat", 500, 0, False, STOP),
    ],
)
def test_meaning(
    words: str, voice_ms: float, silent_ms: float, all_heard: bool, means: Meaning
) -> None:
    """Continuers and noises let the agent go on, intent stops it."""
    judged = meaning(words_of(words), voice_ms, silent_ms, SETTINGS, all_heard=all_heard)
    assert judged is means


SPOKEN = "On Sunday we are open from noon to ten o'clock."


@pytest.mark.parametrize(
    ("heard", "echo"),
    [
        ("we are open from noon", True),
        ("sunday we are open from", True),
        ("clock", False),
        ("open", True),
        ("we are vegetarians", False),
        ("are you open on monday", False),
        ("wait", False),
        ("", False),
    ],
)
def test_the_agents_own_words_are_told_from_the_callers(heard: str, echo: bool) -> None:
    """Runs of the agent's own words in its own order are an echo; the caller's sentence is not."""
    assert is_echo(heard, SPOKEN) is echo


def test_an_echo_never_stops_the_agent() -> None:
    """Not by its length and not by its words."""
    words = words_of("no we are open from noon")
    assert meaning(words, 3000, 0, SETTINGS, echo=True) is WAIT
    assert meaning(words, 3000, 20, SETTINGS, echo=True) is GO_ON


def test_punctuation_and_case_make_no_other_words() -> None:
    """A final transcript that only adds a comma is the same turn."""
    assert same_words("What time do you open?", "what time, do you open")
    assert not same_words("what time do you open", "what time do you open today")
