"""Where words are in the audio of a reply, and the audio itself at another rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.tts.normalise import spoken
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.words import TimedWord, WordTimer


def test_a_word_ends_where_the_next_one_starts() -> None:
    """Reports of a synthesizer become times of the written words."""
    timer = WordTimer(spoken("At 7:30 sharp.").words)
    assert timer.reached(0, 0) == []
    assert timer.reached(3, 100) == [TimedWord("At", 0, 100)]
    assert timer.reached(9, 300) == []  # "thirty", of the same written word
    assert timer.complete_until == 100
    assert timer.reached(16, 500) == [TimedWord("7:30", 100, 500)]
    assert timer.finish(900) == [TimedWord("sharp.", 500, 900)]


def test_words_nobody_reported_share_the_time() -> None:
    """Two words spoken as one divide its time by their length; an emoji takes none."""
    timer = WordTimer(spoken("of the 😀 place").words)
    assert timer.reached(7, 500) == [
        TimedWord("of", 0, 200),
        TimedWord("the", 200, 500),
        TimedWord("😀", 500, 500),
    ]
    assert timer.finish(800) == [TimedWord("place", 500, 800)]


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10_000)), max_size=10),
)
def test_times_never_go_back(text: str, reports: list[tuple[int, int]]) -> None:
    """Whatever a synthesizer reports, every word comes once, in order and in time."""
    words = spoken(text).words
    timer = WordTimer(words)
    timed = [word for report in reports for word in timer.reached(*report)] + timer.finish(5_000)
    assert [word.text for word in timed] == [word.original for word in words]
    edges = [edge for word in timed for edge in (word.start, word.end)]
    assert edges == sorted(edges)


@pytest.mark.parametrize("out_hz", [8_000, 16_000, 22_050, 24_000, 48_000])
def test_resampling_keeps_length_and_sound(out_hz: int) -> None:
    """A tone written in uneven pieces is the same tone at the other rate, to the sample."""
    tone = (10_000 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)).astype(np.int16)
    reply = ReplyAudio(22_050, out_hz)
    pieces = [reply.write(piece) for piece in np.array_split(tone, 37)]
    audio = np.frombuffer(b"".join([*pieces, reply.finish()]), np.int16)
    assert abs(len(audio) - out_hz) <= 1
    assert reply.place(22_050) == out_hz
    same = 10_000 * np.sin(2 * np.pi * 440 * np.arange(len(audio)) / out_hz)
    middle = slice(out_hz // 10, -out_hz // 10)
    assert np.abs(audio[middle] - same[middle]).max() < 200


def test_only_a_millisecond_is_held_back() -> None:
    """What is written can be heard, but for what the resampler needs to look ahead."""
    reply = ReplyAudio(22_050, 48_000)
    heard = len(reply.write(np.ones(2_205, np.int16))) // 2
    assert reply.place(2_205) - heard <= 48
