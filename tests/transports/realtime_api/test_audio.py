"""A client's audio on its way in: when it is heard, and where in it a moment lies."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.transports.realtime_api.audio import AHEAD_MS, Listening, Speaking


def pcm(ms: float) -> bytes:
    return bytes(2 * int(ms * 24))


def hear_all(listening: Listening, now: float) -> tuple[list[float], list[float], float]:
    """Hear everything as it becomes due: the moments, the capture times, and the time at last."""
    moments, captured = [], []
    while (due := listening.due(now)) is not None:
        now = max(now, due)
        captured.append(listening.next(now).captured_ms)
        moments.append(now)
    return moments, captured, now


def test_live_audio_is_heard_when_it_comes() -> None:
    """Packets of 20 ms every 20 ms: none waits, and each was captured just before it came."""
    listening = Listening()
    for index in range(200):
        now = 1000.0 + 20.0 * index
        listening.append(pcm(20), now)
        assert listening.due(now) == now
        audio = listening.next(now)
        assert audio.duration_ms == 20.0
        assert abs(audio.captured_ms - (now - 20.0)) < 0.1


def test_what_a_network_held_back_was_captured_when_it_was_spoken() -> None:
    """400 ms late all at once: heard at once, each packet at its own time."""
    listening = Listening()
    for index in range(50):
        listening.append(pcm(20), 20.0 * (index + 1))
        listening.next(20.0 * (index + 1))
    for _ in range(20):
        listening.append(pcm(20), 1400.0)
    moments, captured, _ = hear_all(listening, 1400.0)
    assert set(moments) == {1400.0}
    assert all(abs(at - (1000.0 + 20.0 * i)) < 0.1 for i, at in enumerate(captured))


def test_a_recording_sent_at_once_is_heard_twice_as_fast_as_it_was_spoken() -> None:
    """Ten seconds: one at once, nine more in four and a half; in its order and to its end."""
    listening = Listening()
    listening.append(pcm(10_000), 5000.0)
    moments, captured, over = hear_all(listening, 5000.0)
    assert len(moments) == 100
    assert 4400.0 < over - 5000.0 < 4600.0
    assert captured == sorted(captured)
    assert captured[0] > 5000.0 - 200.0, "it was not spoken ten seconds ago"
    assert listening.waiting_ms == 0.0


def test_after_a_recording_a_live_line_is_in_time_again() -> None:
    """What follows is stamped by its own arrival."""
    listening = Listening()
    listening.append(pcm(5000), 0.0)
    _, _, now = hear_all(listening, 0.0)
    for index in range(100):
        arrived = now + 20.0 * (index + 1)
        listening.append(pcm(20), arrived)
        at = listening.due(arrived)
        assert at is not None
        audio = listening.next(max(at, arrived))
    assert abs(audio.captured_ms - (arrived - 20.0)) < 1.0


def test_a_client_that_pauses_begins_its_clock_anew() -> None:
    """Muted for five seconds: what comes then was not captured five seconds ago."""
    listening = Listening()
    listening.append(pcm(100), 100.0)
    listening.next(100.0)
    listening.append(pcm(100), 5100.0)
    assert abs(listening.next(5100.0).captured_ms - 5000.0) < 0.1


def test_a_moment_is_found_in_the_audio_that_was_appended() -> None:
    """Buffer time is what was appended, however long the client paused in between."""
    listening = Listening()
    listening.append(pcm(100), 100.0)
    listening.next(100.0)
    listening.append(pcm(100), 5100.0)
    listening.next(5100.0)
    assert abs(listening.position(50.0) - 50.0) < 0.1
    assert abs(listening.position(5050.0) - 150.0) < 0.1
    assert listening.position(9000.0) == 200.0, "no later than its end"


def test_cleared_audio_is_not_heard_but_counted() -> None:
    listening = Listening()
    listening.append(pcm(300), 300.0)
    listening.clear()
    assert listening.due(300.0) is None
    listening.append(pcm(100), 400.0)
    listening.next(400.0)
    assert abs(listening.position(300.0) - 300.0) < 0.1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3000), st.integers(1, 4000), st.booleans()), min_size=1, max_size=15
    )
)
def test_however_it_is_appended_all_of_it_is_heard_in_order(
    appends: list[tuple[float, int, bool]],
) -> None:
    """Nothing is lost, nothing twice, and time never runs backwards by much."""
    listening = Listening()
    now, appended, heard, last = 0.0, 0.0, 0.0, -1e9
    for pause_ms, ms, wait in appends:
        now += pause_ms
        listening.append(pcm(ms), now)
        appended += ms
        while (due := listening.due(now)) is not None and (wait or due <= now):
            now = max(now, due)
            audio = listening.next(now)
            heard += audio.duration_ms
            assert audio.captured_ms <= now
            assert audio.captured_ms >= last - AHEAD_MS
            last = audio.captured_ms
        assert abs(appended - heard - listening.waiting_ms) < 5.0


def test_our_voice_is_encoded_without_seams() -> None:
    """A tone in packets of 20 ms, as mu-law at 8 kHz: no click between packets, no silence."""
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)
    speaking = Speaking()
    parts = [
        speaking.encoded(tone[start : start + 480].tobytes(), "audio/pcmu")
        for start in range(0, tone.size, 480)
    ]
    assert {len(part) for part in parts} == {160}
    whole = np.frombuffer(b"".join(parts), dtype=np.uint8)
    levels = [np.count_nonzero((whole[at : at + 80] & 0x70) < 0x40) for at in range(160, 7840, 80)]
    assert min(levels) > 30
