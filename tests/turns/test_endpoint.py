"""How much silence is asked for, as a table: (words, sound) -> silence in ms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.turns.endpoint import required_silence_ms
from voice_agent.turns.settings import TurnSettings

SETTINGS = TurnSettings()
P = st.one_of(st.none(), st.floats(0, 1))


@pytest.mark.parametrize(
    ("situation", "words_p", "sound_p", "soonest", "latest"),
    [
        ("complete words, complete sound", 0.9, 0.95, 130, 150),
        ("complete words, nothing known of the sound", 0.8, None, 130, 150),
        ("complete words, a voice the sound model does not know", 0.8, 0.1, 130, 400),
        ("words that may go on, a falling voice", 0.35, 0.95, 130, 500),
        ("words that may go on, a voice held up", 0.35, 0.1, 600, 1200),
        ("words that cannot end a turn, a falling voice", 0.05, 0.99, 1100, 1200),
        ("no words, a falling voice", None, 0.97, 250, 270),
        ("no words, a voice held up", None, 0.2, 500, 700),
        ("nothing known at all", None, None, 700, 700),
    ],
)
def test_silence_asked_for(
    situation: str, words_p: float | None, sound_p: float | None, soonest: float, latest: float
) -> None:
    """Words decide, sound helps, and without words more is waited."""
    assert soonest <= required_silence_ms(words_p, sound_p, SETTINGS) <= latest, situation


@given(P, P)
def test_silence_is_always_between_floor_and_ceiling(
    words_p: float | None, sound_p: float | None
) -> None:
    """No evidence makes the agent wait for ever, or not at all."""
    silence = required_silence_ms(words_p, sound_p, SETTINGS)
    assert SETTINGS.floor_ms <= silence <= SETTINGS.ceiling_ms


@given(st.floats(0, 1), st.floats(0, 1), P)
def test_more_complete_words_never_ask_for_more_silence(
    one: float, other: float, sound_p: float | None
) -> None:
    """The evidence is monotonic, except where incomplete words stop the sound being heard."""
    low, high = sorted((one, other))
    if low >= 0.2 or high < 0.2 or sound_p is None:
        longer = required_silence_ms(low, sound_p, SETTINGS)
        assert required_silence_ms(high, sound_p, SETTINGS) <= longer + 1e-6
