"""Recordings: both sides where they were in time, whatever the packets did."""

from __future__ import annotations

import io
import json
import urllib.request
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.running import FIXTURES, Server
from tests.trace.made import a_turn
from voice_agent.load.caller import Caller
from voice_agent.load.wav import read_wav
from voice_agent.media import Pcm, now_ms
from voice_agent.trace.model import Span
from voice_agent.trace.recording import HZ, KEPT_MS, Recorder, Track, _RecordedSource, encode


def tone(ms: float, hz: int = HZ, level: int = 8000) -> Pcm:
    return np.full(round(ms * hz / 1000.0), level, dtype=np.int16)


def decoded(wav: bytes) -> np.ndarray:
    """Return the samples, shape (n, channels)."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getframerate() == HZ
        assert file.getsampwidth() == 2
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        return frames.reshape(-1, file.getnchannels())


def loud_ms(channel: np.ndarray) -> tuple[float, float]:
    """Return where the sound in a channel begins and ends, ms."""
    [at] = np.nonzero(np.abs(channel.astype(np.int32)) > 1000)
    return at[0] / HZ * 1000.0, (at[-1] + 1) / HZ * 1000.0


def voice_end_ms(channel: np.ndarray) -> float:
    """Return where a voice ends: the last 10 ms above -50 dBFS, or 38 dB below its loudest."""
    step = HZ // 100
    blocks = channel[: channel.size // step * step].reshape(-1, step).astype(np.float64) / 32768.0
    dbfs = 20 * np.log10(np.sqrt(np.mean(blocks**2, axis=1)) + 1e-9)
    [above] = np.nonzero(dbfs > max(-50.0, dbfs.max() - 38.0))
    return float(above[-1] + 1) * 10.0


def test_each_side_is_where_it_was_in_time() -> None:
    """The agent's 48 kHz becomes 16 kHz; silence stays as long as it was."""
    user, agent = Track(HZ), Track(48_000)
    for number in range(10):
        user.add(1000.0 + 20 * number, tone(20))
        agent.add(1500.0 + 20 * number, tone(20, 48_000))
    sides = [(track.between(900, 2000), track.hz) for track in (user, agent)]
    made = decoded(encode(sides, 900.0, 2000.0))
    assert made.shape == (HZ * 1100 // 1000, 2)
    assert loud_ms(made[:, 0]) == pytest.approx((100, 300), abs=1)
    assert loud_ms(made[:, 1]) == pytest.approx((600, 800), abs=1)


def test_packets_of_a_busy_loop_leave_no_gaps() -> None:
    """They left late and in bunches; what was heard was one stream."""
    track = Track(HZ)
    for number, late_ms in enumerate((0, 13, 2, 19, 7, 0)):
        track.add(20.0 * number + late_ms, tone(20))
    made = decoded(encode([(track.between(0, 200), HZ)], 0.0, 200.0))
    begin, end = loud_ms(made[:, 0])
    assert end - begin == pytest.approx(120, abs=0.1)
    assert np.count_nonzero(made) == round(0.12 * HZ)


def test_a_pause_stays_a_pause() -> None:
    """Two words half a second apart."""
    track = Track(HZ)
    for at in (0.0, 500.0):
        track.add(at, tone(20))
    made = decoded(encode([(track.between(0, 600), HZ)], 0.0, 600.0))
    assert np.count_nonzero(made[: HZ // 2]) == np.count_nonzero(made[HZ // 2 :]) == HZ // 50


def test_a_turn_is_cut_from_before_the_voice_to_the_end_of_the_answer() -> None:
    """By the turn's own times."""
    recorder = Recorder(16_000, epoch_s=1000.0)
    turn = a_turn(
        started_at=1010.0, ended_ms=900.0, spans=(Span("user", -400.0, 0.0),), v2v_ms=250.0
    )
    for number in range(20):
        recorder.user.add(9600.0 + 20 * number, tone(20))
        recorder.agent.add(10_250.0 + 20 * number, tone(20))
    made = decoded(recorder.cut(turn)())
    assert made.shape[0] == pytest.approx((300 + 400 + 900) * HZ / 1000.0, abs=2)
    assert loud_ms(made[:, 0]) == pytest.approx((300, 700), abs=1)
    assert loud_ms(made[:, 1])[0] == pytest.approx(950, abs=1)


def test_no_more_than_two_minutes_are_kept() -> None:
    """A caller who never stops costs 4 MB, not all the memory."""
    track = Track(HZ)
    for number in range(400):
        track.add(1000.0 * number, tone(1000))
    kept = track.between(0, 1e9)
    assert len(kept) == KEPT_MS / 1000 + 1


class Ahead:
    """A source that is pulled ahead and recalls."""

    def __init__(self) -> None:
        self.recall = lambda: None

    def pull_ahead(self, samples: int) -> Pcm:
        return tone(samples / HZ * 1000.0)

    def played(self, samples: int) -> None:
        pass

    def on_recall(self, recall: object) -> None:
        self.recall = recall  # type: ignore[assignment]


def test_what_was_pulled_ahead_and_recalled_was_not_heard() -> None:
    """Only what was played is in the recording, when it was played."""
    track, ahead = Track(HZ), Ahead()
    source = _RecordedSource(ahead, track)  # type: ignore[arg-type]
    recalled: list[bool] = []
    source.on_recall(lambda: recalled.append(True))
    for _ in range(5):
        source.pull_ahead(320)
    source.played(480)
    ahead.recall()
    source.played(320)
    heard = sum(packet.pcm.size for packet in track.between(0, now_ms() + 1e6))
    assert (heard, recalled) == (480, [True])


def test_what_could_no_longer_be_taken_back_was_heard() -> None:
    """The line says so when it is recalled."""
    track, ahead = Track(HZ), Ahead()
    source = _RecordedSource(ahead, track)  # type: ignore[arg-type]
    source.on_recall(lambda: source.played(160))
    source.pull_ahead(320)
    ahead.recall()
    assert sum(packet.pcm.size for packet in track.between(0, now_ms() + 1e6)) == 160


@pytest.mark.slow
async def test_the_recording_of_a_call_agrees_with_its_trace(tmp_path: Path) -> None:
    """The silence between the two voices in the file is the turn's voice-to-voice latency."""
    switched_on = ("--set=trace.audio=true", "--pipeline=fixed-latency")
    with Server(tmp_path, *switched_on) as server:
        async with Caller(server.url) as caller:
            await caller.say(read_wav(FIXTURES / "what-time-do-you-open-on-sunday.wav"))
        server.wait_until_idle()

        def get(path: str) -> bytes:
            with urllib.request.urlopen(f"{server.url}/api/traces{path}", timeout=30) as answer:
                return bytes(answer.read())

        [turn] = json.loads(get("/turns?kind=answered"))["turns"]
        assert turn["audio"]
        made = decoded(get(f"/turns/{turn['id']}/audio"))
        assert server.stop() == 0
    agent_began_ms, _ = loud_ms(made[:, 1])
    silence_ms = agent_began_ms - voice_end_ms(made[:, 0])
    assert silence_ms == pytest.approx(turn["v2v_ms"], abs=40), "two packets of 20 ms"
