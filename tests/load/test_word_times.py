"""Words laid over a voice whose text alone is known."""

import numpy as np
import pytest

from voice_agent.load.wav import HZ, speech
from voice_agent.load.word_times import spoken_word_times


def sound(*parts_ms: float) -> np.ndarray:
    """Voice and pauses in turn, beginning with 40 ms of silence."""
    pieces = [np.zeros(HZ * 40 // 1000, np.int16)]
    for number, ms in enumerate(parts_ms):
        at = np.arange(round(HZ * ms / 1000)) / HZ
        pieces.append((9000 * np.sin(2 * np.pi * 220 * at) * (number % 2 == 0)).astype(np.int16))
    return np.concatenate(pieces)


def test_a_text_is_shared_out_over_its_voice() -> None:
    """The last word has been said when the voice ends."""
    words = spoken_word_times("Please cancel it.", speech(sound(1000)))
    assert [word.text for word in words] == ["please", "cancel", "it"]
    assert words[-1].at_ms == pytest.approx(1000, abs=10)
    assert [word.at_ms for word in words] == sorted(word.at_ms for word in words)


def test_a_pause_lies_between_two_words() -> None:
    """What comes before the pause has been said before it, what comes after it is said after."""
    words = spoken_word_times("i want a table for four people", speech(sound(1200, 600, 700)))
    before = [word.text for word in words if word.at_ms <= 1210]
    assert before == ["i", "want", "a", "table", "for"]
    assert words[4].at_ms == pytest.approx(1200, abs=10)
    assert words[5].at_ms > 1800
    assert words[-1].at_ms == pytest.approx(2500, abs=10)


def test_more_stretches_of_voice_than_words_lose_no_word() -> None:
    """A stutter is no reason to invent or to drop a word."""
    words = spoken_word_times("yes", speech(sound(100, 300, 100, 300, 100)))
    assert [word.text for word in words] == ["yes"]
