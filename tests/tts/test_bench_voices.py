"""What is said of voices: the figures, and the commands that print them."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from voice_agent.bench.intelligibility import sentences, word_errors
from voice_agent.bench.tts import Measured, figures, lines, measure
from voice_agent.bench.voice import Said, Voice
from voice_agent.cli import main
from voice_agent.config_errors import ConfigError


def said(*arrivals: tuple[float, int]) -> Said:
    """A reply at 1 kHz, so that a sample is a millisecond."""
    audio = np.zeros(sum(samples for _, samples in arrivals), np.int16)
    return Said(audio, 1_000, (), arrivals)


def test_a_gap_is_what_a_listener_waits_for() -> None:
    """A piece may come as late as the one before it lasts; what it is later is a gap."""
    assert said((50, 100), (150, 100), (160, 100)).gap_ms == 0
    assert said((50, 100), (190, 100), (200, 100)).gap_ms == 40
    # Heard late itself, it gives the next one more time.
    assert said((50, 100), (190, 100), (290, 100)).gap_ms == 40


def test_the_share_of_real_time_counts_from_the_text_to_the_last_piece() -> None:
    """Four hundred milliseconds for a second and a half of audio."""
    reply = said((100, 1_000), (400, 500))
    assert reply.rtf == pytest.approx(400 / 1_500)
    assert reply.ttfb_ms == 100


def test_streams_are_in_real_time_until_somebody_hears_a_gap() -> None:
    """The last step at which nobody did."""
    made = Measured(streams={1: (20.0, 0.0), 2: (30.0, 5.0), 4: (90.0, 60.0)})
    assert made.in_real_time == 2


@pytest.mark.parametrize(
    ("heard", "errors"),
    [
        ("A table for four, please!", 0),
        ("a table for for please", 1),
        ("table for four please now", 2),
        ("", 5),
    ],
)
def test_word_errors_are_the_fewest_changes(heard: str, errors: int) -> None:
    """Substituted, inserted and left out words count one each; case and marks do not."""
    assert word_errors("a table for four please", heard) == (errors, 5)


def test_there_are_fifty_sentences() -> None:
    """Those that the default agent's callers say."""
    assert len(set(sentences(None, 50))) == 50


async def test_the_bench_measures_what_the_instrument_does() -> None:
    """A voice of 60 ms is not quicker than that, keeps up, and is as loud as it is told."""
    settings = ["tts.ttfb_ms=60", "tts.speed=50", "tts.ms_per_word=40", "tts.level_dbfs=-20"]
    engine = Voice(engine="scripted", overrides=settings).make()
    await engine.start()
    made = figures(await measure(engine, rounds=1, most=2, told=lambda line: None))
    await engine.stop()
    assert made["ttfb_ms"]["p50"] >= 60
    assert -25 < made["loudness_lufs"] < -15
    assert made["streams"]["1"]["ttfb_ms"] >= 60
    assert any("first audio" in line for line in lines({"scripted": made}))


def test_say_writes_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A WAV, what it took, and where its words are."""
    out = tmp_path / "said.wav"
    assert main(["say", "Good evening, friend.", "--out", str(out), "--words"]) == 0
    with wave.open(str(out)) as file:
        assert 0.8 < file.getnframes() / file.getframerate() < 3.0
    printed = capsys.readouterr().out
    assert "first audio after" in printed
    assert [line.split()[2] for line in printed.splitlines()[1:]] == "Good evening, friend.".split()


def test_a_voice_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names there are."""
    assert main(["say", "Hello", "--engine", "nobody", "--out", "x.wav"]) == 2
    assert "espeak" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        Voice(engine="espeak", overrides=["tts.colour=red"]).make()


@pytest.mark.slow
def test_a_recogniser_understands_the_default_voice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most words of some sentences, by one command."""
    out = tmp_path / "heard.json"
    assert main(["bench", "intelligibility", "--count", "4", "--json", str(out)]) == 0
    (figures,) = json.loads(out.read_text()).values()
    assert figures["words"] > 15
    assert figures["word_error_rate"] < 0.25
    assert "word error rate" in capsys.readouterr().out
