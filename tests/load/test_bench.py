"""The bench against an agent whose manners are known."""

import json

import numpy as np
import pytest
import soundfile

from tests.load.peer import Peer, tone
from voice_agent.load.bench import bench_turns

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """A question, a question with a pause, a click, and something said over the answer."""
    pause = np.zeros(24_000, np.int16)
    sounds = {
        "question.wav": ("complete", tone(0.4)),
        "hesitant.wav": ("pause", np.concatenate([tone(0.3), pause, tone(0.3)])),
        "click.wav": ("noise", tone(0.04)),
        "stop.wav": ("barge-in", tone(0.8)),
    }
    index = []
    for name, (kind, samples) in sounds.items():
        soundfile.write(tmp_path / name, samples, 48_000)
        words = [{"text": "word", "at_ms": 100}]
        index.append({"file": name, "kind": kind, "end_ms": len(samples) / 48, "words": words})
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


async def test_the_bench_sees_what_the_agent_does(folder, tmp_path, monkeypatch):
    """It answers questions, cuts into pauses, ignores clicks and gives way to voices."""
    monkeypatch.setattr("voice_agent.load.bench.GREETING_S", 0.1)
    monkeypatch.setattr("voice_agent.load.speaking.LONG_QUIET_S", 0.6)
    lines, report = [], tmp_path / "bench.json"
    async with Peer(wait_ms=200, answer_s=2.0) as peer:
        code = await bench_turns(peer.url, wav_dir=folder, json_path=report, print=lines.append)
        told = [each["data"] for each in peer.received if each["type"] == "client-message"]
    assert code == 0
    agent = json.loads(report.read_text())["agent"]
    turns = {turn["name"]: turn for turn in agent["turns"]}
    assert turns["question.wav"]["v2v_ms"] > 200
    assert "cut_in_ms" not in turns["question.wav"]
    assert turns["hesitant.wav"]["cut_in_ms"] > 0
    assert turns["click.wav"]["fate"] == "kept"
    assert turns["stop.wav"]["silent_ms"] > 100
    assert len(peer.gave_way_s) >= 1
    assert len(peer.calls) == 4, "a call for every kind"
    assert agent["speculation"] is None
    assert {each["t"] for each in told} == {"script"}
    assert {len(each["d"]["words"]) for each in told} == {0, 1}, "a noise has no words"
    assert any(line.startswith("early cut-ins, pause") for line in lines)


async def test_an_agent_that_says_nothing_misses_every_turn(folder, tmp_path, monkeypatch):
    """Missed is an outcome, not the end of the bench."""
    monkeypatch.setattr("voice_agent.load.measure.ANSWER_S", 0.5)
    report = tmp_path / "bench.json"
    async with Peer(deaf=True) as peer:
        code = await bench_turns(
            peer.url, wav_dir=folder, kinds=["complete"], json_path=report, print=lambda line: None
        )
    assert code == 0
    assert json.loads(report.read_text())["agent"]["missed"]["all"] == {"count": 1, "of": 1}


async def test_nobody_there_is_1_and_bad_input_is_2(folder, tmp_path):
    """Before anything is called, kinds, folders and places to write are checked."""
    lines = []
    nobody = "http://127.0.0.1:1"
    assert await bench_turns(nobody, wav_dir=folder, print=lines.append) == 1
    assert await bench_turns(nobody, wav_dir=folder, kinds=["shout"], print=lines.append) == 2
    assert await bench_turns(nobody, wav_dir=tmp_path / "no", print=lines.append) == 2
    assert await bench_turns(
        nobody, wav_dir=folder, json_path=tmp_path / "no" / "x", print=lines.append
    ) == 2  # fmt: skip
    errors = [line for line in lines if line.startswith("error: ")]
    assert "no voice agent there" in errors[0]
    assert "no kind is called 'shout'; there are: complete, pause" in errors[1]
    assert "no such file" in errors[2]
    assert "there is no folder" in errors[3]
