"""What is said of recognisers: recordings and their texts, when a server kept up, the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voice_agent.bench.asr import Step, figures, held, lines
from voice_agent.bench.recordings import recordings
from voice_agent.cli import main
from voice_agent.engines import EngineError
from voice_agent.load.errors import WavError
from voice_agent.load.wav import write_wav

SPEECH = Path(__file__).parent / "speech"


def step(finals_ms: list[float], lags_ms: list[float], **more: object) -> Step:
    late = lags_ms[-max(1, len(lags_ms) // 3) :]
    return Step(4, lags_ms, late, finals_ms, **more)  # type: ignore[arg-type]


def test_a_server_keeps_up_when_finals_are_soon_and_it_falls_no_further_behind() -> None:
    """Late finals, missing ones, a lag that grows and an error each count against it."""
    steady = [300.0] * 9
    assert held(step([80.0] * 20, steady))
    assert not held(step([80.0] * 18 + [900.0] * 2, steady))
    assert not held(step([80.0], [300.0, 400.0, 500.0, 600.0, 2_000.0, 4_000.0]))
    assert not held(step([80.0], steady, missing=1))
    assert not held(step([80.0], steady, failures=["gone"]))
    assert not held(step([], []))


def test_figures_name_the_most_callers_that_were_held() -> None:
    """And a server that never worked is an error with its own words."""
    made = figures([Step(1, [300.0], [300.0], [50.0]), Step(2, [300.0], [300.0], [900.0])])
    assert made["streams_in_real_time"] == 1
    assert "no" in lines({"server": made})[-1]
    with pytest.raises(EngineError, match="gone"):
        figures([Step(1, failures=["gone"])])


def test_texts_of_recordings(tmp_path: Path) -> None:
    """By the file's name, by a text beside it, by an index; a folder without any is an error."""
    tone = (np.sin(np.arange(48_000) * 0.05) * 8_000).astype(np.int16)
    with pytest.raises(WavError, match="no WAV"):
        recordings(tmp_path)
    write_wav(tmp_path / "good-evening.wav", tone)
    write_wav(tmp_path / "other.wav", tone)
    (tmp_path / "other.txt").write_text("a table for two\n")
    assert [each.text for each in recordings(tmp_path)] == ["good evening", "a table for two"]
    assert recordings(tmp_path)[0].samples().shape == (16_000,)
    index = {"utterances": [{"file": "other.wav", "text": "indexed"}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert [each.text for each in recordings(tmp_path)] == ["indexed"]


@pytest.mark.slow
def test_the_commands_start_what_they_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model by its name is served, heard, spoken to and ended; figures go to a file too."""
    out = tmp_path / "figures.json"
    model = ["--model", "nemotron-speech-tiny"]
    assert main(["bench", "wer", str(SPEECH), *model, "--json", str(out)]) == 0
    made = json.loads(out.read_text())["nemotron-speech-tiny"]
    assert made["word_error_rate"] == 0
    assert "5 of 5" in capsys.readouterr().out
    speech = ["--recordings", str(SPEECH), "--seconds", "2", "--streams", "1"]
    assert main(["bench", "asr", *model, *speech, "--json", str(out)]) == 0
    made = json.loads(out.read_text())["nemotron-speech-tiny"]
    assert made["steps"]["1"]["final_ms"]["n"] >= 1
    assert "final ms p50" in capsys.readouterr().out


def test_bad_input_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without recordings, a server that is none."""
    assert main(["bench", "wer", str(tmp_path)]) == 2
    assert "no WAV" in capsys.readouterr().err
    gone = ["--server", "127.0.0.1:9", "--set", "asr.connect_timeout_s=0.3"]
    assert main(["bench", "wer", str(SPEECH), *gone]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
