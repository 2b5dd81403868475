"""The start and the end of voice: the model says what, the level says when."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest
from pipecat.audio.vad.silero import SileroOnnxModel

from voice_agent.media import HEARD_HZ, Pcm
from voice_agent.turns.settings import VadSettings
from voice_agent.turns.vad import WINDOW, WINDOW_MS, Vad, Voice, VoiceTracker

PACKET = HEARD_HZ // 50
dice = np.random.default_rng(7)


def line(seconds: float, speech: list[tuple[float, float]], noise_db: float = -75.0) -> Pcm:
    """A line with noise and with a loud voice (-12 dBFS) between the given moments, s."""
    out = dice.normal(0, 10 ** (noise_db / 20) * 32768, int(seconds * HEARD_HZ))
    for start, end in speech:
        span = slice(int(start * HEARD_HZ), int(end * HEARD_HZ))
        out[span] += dice.normal(0, 8000, span.stop - span.start)
    return np.clip(out, -32768, 32767).astype(np.int16)


def follow(
    pcm: Pcm, model: Callable[[float], float], settings: VadSettings | None = None
) -> list[Voice]:
    """Run a tracker over ``pcm``; ``model`` scores the window that ends at a time, s."""
    tracker = VoiceTracker(settings or VadSettings())
    changes: list[Voice | None] = []
    scored = 0
    for start in range(0, pcm.size - PACKET + 1, PACKET):
        changes.append(tracker.packet(pcm[start : start + PACKET], start / HEARD_HZ * 1000))
        while scored + WINDOW <= start + PACKET:
            began_ms = scored / HEARD_HZ * 1000
            changes.append(tracker.window(began_ms, model((began_ms + WINDOW_MS) / 1000)))
            scored += WINDOW
    return [change for change in changes if change is not None]


def lagging(*speech: tuple[float, float], lag_s: float = 0.1) -> Callable[[float], float]:
    """A model that goes on calling it voice for a while after the end, as Silero does."""
    return lambda at: 0.95 if any(s + 0.02 < at < e + lag_s for s, e in speech) else 0.02


def test_the_end_of_voice_is_where_the_sound_ends_and_not_where_the_model_notices() -> None:
    """On a quiet line the level tells to 10 ms, without waiting for the model."""
    start, stop = follow(line(2, [(0.5, 1.2)]), lagging((0.5, 1.2)))
    assert (start.on, stop.on) == (True, False)
    assert start.at_ms == pytest.approx(500, abs=11)
    assert stop.at_ms == pytest.approx(1200, abs=11)


def test_on_a_noisy_line_the_end_is_still_found() -> None:
    """Noise 30 dB below the voice hides nothing."""
    pcm = line(4, [(2.0, 3.0)], noise_db=-42)
    changes = follow(pcm, lagging((2.0, 3.0)))
    assert [change.on for change in changes] == [True, False]
    assert changes[-1].at_ms == pytest.approx(3000, abs=40)


def test_a_click_is_no_voice() -> None:
    """What is shorter than start_ms opens nothing."""
    settings = VadSettings(start_ms=64)
    assert follow(line(2, [(1.0, 1.02)]), lagging((1.0, 1.02), lag_s=0.02), settings) == []


def test_a_pause_ends_the_voice_and_the_next_word_brings_it_back() -> None:
    """Every silence of 50 ms and more is reported; deciding what it means is not done here."""
    speech = ((0.5, 1.0), (1.4, 1.9))
    changes = follow(line(3, list(speech)), lagging(*speech))
    assert [change.on for change in changes] == [True, False, True, False]
    assert changes[1].at_ms == pytest.approx(1000, abs=11)
    assert changes[3].at_ms == pytest.approx(1900, abs=11)


def test_a_model_that_goes_on_hearing_a_voice_is_believed_in_the_end() -> None:
    """A very soft ending counts as voice when the model insists, but not for its usual lag, and
    not where there is nothing to be heard at all."""
    pcm = line(3, [(0.5, 1.0)])
    pcm[HEARD_HZ : int(1.6 * HEARD_HZ)] += dice.normal(0, 120, int(0.6 * HEARD_HZ)).astype(np.int16)
    insisting = lagging((0.5, 1.6))
    assert [change.on for change in follow(pcm, insisting)] == [True, False, True, False]
    assert [change.on for change in follow(pcm, lagging((0.5, 1.0)))] == [True, False]
    assert [change.on for change in follow(line(3, [(0.5, 1.0)]), insisting)] == [True, False]


def test_digital_silence_is_silence() -> None:
    """A muted microphone sends zeros."""
    pcm = np.concatenate([line(1, [(0.3, 1.0)]), np.zeros(HEARD_HZ, dtype=np.int16)])
    assert [change.on for change in follow(pcm, lagging((0.3, 1.0)))] == [True, False]


async def test_the_shared_model_scores_each_caller_as_pipecats_own_would() -> None:
    """Two callers take turns at it; each is scored as if alone, and a reset forgets the past."""
    path = files("pipecat.audio.vad.data") / "silero_vad.onnx"
    stock = [SileroOnnxModel(str(path)) for _ in range(2)]  # type: ignore[no-untyped-call]
    vad = Vad()
    await vad.start()
    ours = [vad.stream() for _ in range(2)]
    lines = [line(2.0, [(0.5, 1.5)], noise_db) for noise_db in (-75.0, -30.0)]
    for number in range(len(lines[0]) // WINDOW):
        for pcm, own, theirs in zip(lines, ours, stock, strict=True):
            window = pcm[number * WINDOW : (number + 1) * WINDOW]
            expected = theirs(window.astype(np.float32) / 32768.0, HEARD_HZ)[0].item()
            assert own.score(window) == pytest.approx(expected, abs=1e-5)
            if number == 20:
                own.reset()
                theirs.reset_states()  # type: ignore[no-untyped-call]
