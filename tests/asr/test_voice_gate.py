"""Which audio is recognised, told by bytes alone."""

from __future__ import annotations

import numpy as np

from tests.asr.hearing import BYTES_PER_MS, silence
from voice_agent.asr.voice_gate import VoiceGate

QUIET = silence(20)
LOUD = (np.full(320, 3000, np.int16) * np.tile([1, -1], 160).astype(np.int16)).tobytes()


def test_the_half_second_before_a_voice_is_let_through() -> None:
    """Nothing passes in silence; at a voice, the pre-roll comes at once and then all audio."""
    gate = VoiceGate("vad", preroll_ms=500, silence_ms=700)
    assert all(gate.audio(QUIET) == b"" for _ in range(100))
    assert len(gate.voice_started()) == 500 * BYTES_PER_MS
    assert gate.audio(QUIET) == QUIET


def test_audio_is_never_let_through_twice() -> None:
    """What one utterance has had does not come again as the pre-roll of the next."""
    gate = VoiceGate("vad", preroll_ms=500, silence_ms=700)
    gate.audio(LOUD)
    assert gate.voice_started() == LOUD
    gate.voice_stopped()
    gate.utterance_ended()
    assert gate.audio(QUIET) == b""
    assert gate.voice_started() == QUIET


def test_a_voice_that_goes_on_after_a_forced_end_goes_on_being_heard() -> None:
    """Ended in mid-voice, the next utterance waits for sound, not for another VAD start."""
    gate = VoiceGate("vad", preroll_ms=500, silence_ms=700)
    gate.voice_started()
    gate.audio(LOUD)
    gate.utterance_ended()
    assert gate.audio(QUIET) == b""
    assert gate.audio(LOUD) == QUIET + LOUD


def test_by_energy_a_voice_begins_loud_and_ends_quiet() -> None:
    """60 ms above the noise begin an utterance, and silence ends it; a click does not begin one."""
    gate = VoiceGate("energy", preroll_ms=500, silence_ms=100)
    for _ in range(50):
        gate.audio(QUIET)
    assert gate.audio(LOUD) == b""
    assert gate.audio(QUIET) == b""
    passed = b"".join(gate.audio(LOUD) for _ in range(3))
    assert passed.endswith(LOUD * 3)
    assert not gate.ended_by_silence
    for _ in range(5):
        gate.audio(QUIET)
    assert gate.ended_by_silence
