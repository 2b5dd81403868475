"""Smart Turn, shared: one model, one thread, and no question queued behind an older one."""

from __future__ import annotations

import asyncio
import threading
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pipecat.audio.turn.smart_turn._whisper_features import compute_whisper_log_mel_features

from voice_agent.turns.smart_turn_features import SAMPLES, log_mel
from voice_agent.turns.sound import Asker, SoundModel, SoundModelError

SPOKEN = Path(__file__).parent / "spoken.wav"


def spoken() -> NDArray[np.int16]:
    """A synthetic voice saying "i'd like a table for four please", 16 kHz."""
    with wave.open(str(SPOKEN)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.fixture
async def model() -> AsyncIterator[SoundModel]:
    model = SoundModel()
    await model.load()
    yield model
    model.close()


class Held(SoundModel):
    """The real model behind a door: inference waits until the test opens it."""

    def __init__(self) -> None:
        super().__init__()
        self.door = threading.Event()
        self.door.set()
        self.started = threading.Event()
        self.computed: list[int] = []

    def _infer(self, pcm: NDArray[np.int16]) -> float:
        self.started.set()
        assert self.door.wait(10)
        self.computed.append(len(pcm))
        return super()._infer(pcm)


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    model = Held()
    await model.load()
    model.computed.clear()
    model.started.clear()
    model.door.clear()
    yield model
    model.door.set()
    model.close()


async def asked(asker: Asker, samples: int) -> asyncio.Task[float | None]:
    """Ask and return once the question is in the queue."""
    task = asyncio.create_task(asker.end_probability(np.zeros(samples, np.int16)))
    await asyncio.sleep(0)
    return task


async def computing(model: Held) -> asyncio.Task[float | None]:
    """Another conversation's question, already being computed behind the door."""
    task = await asked(model.asker(), 1)
    await asyncio.to_thread(model.started.wait, 10)
    return task


async def test_speech_gets_a_probability(model: SoundModel) -> None:
    """Real audio of any length, none and more than 8 s included."""
    asker = model.asker()
    for pcm in (spoken(), spoken()[:8000], np.tile(spoken(), 8), np.zeros(0, np.int16)):
        end_p = await asker.end_probability(pcm)
        assert end_p is not None
        assert 0.0 <= end_p <= 1.0


async def test_only_the_last_eight_seconds_count(model: SoundModel) -> None:
    """What was said before does not change the answer."""
    asker = model.asker()
    long = np.tile(spoken(), 8)
    assert await asker.end_probability(long) == await asker.end_probability(long[-SAMPLES:])


async def test_the_loop_is_free_while_it_computes(held: Held) -> None:
    """The loop runs on while the model is busy."""
    task = await asked(held.asker(), 16_000)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    held.door.set()
    assert await task is not None


async def test_a_newer_question_replaces_a_waiting_one(held: Held) -> None:
    """The older one gets None at once; only the newest is computed."""
    busy = await computing(held)
    asker = held.asker()
    first, second = await asked(asker, 100), await asked(asker, 200)
    third = await asked(asker, 300)
    assert await first is None
    assert await second is None
    held.door.set()
    assert await third is not None
    assert await busy is not None
    assert held.computed == [1, 300]


async def test_conversations_do_not_replace_each_other(held: Held) -> None:
    """Each conversation's newest question is answered, in the order they first came."""
    busy = await computing(held)
    one, other = held.asker(), held.asker()
    stale = await asked(one, 100)
    others, newest = await asked(other, 200), await asked(one, 300)
    held.door.set()
    assert await others is not None
    assert await newest is not None
    assert await stale is None
    await busy
    assert held.computed == [1, 300, 200]


async def test_a_cancelled_question_is_not_computed(held: Held) -> None:
    """Nobody waits for it: the next one has the model to itself."""
    busy = await computing(held)
    gone, kept = await asked(held.asker(), 100), await asked(held.asker(), 200)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    held.door.set()
    assert await kept is not None
    await busy
    assert held.computed == [1, 200]


async def test_the_caller_may_reuse_its_buffer(held: Held, model: SoundModel) -> None:
    """The audio is copied when asked, not when computed."""
    pcm = spoken().copy()
    expected = await model.asker().end_probability(pcm)
    task = asyncio.create_task(held.asker().end_probability(pcm))
    await asyncio.sleep(0)
    pcm[:] = 0
    held.door.set()
    assert await task == expected


async def test_closing_answers_who_waits(held: Held) -> None:
    """No conversation hangs on a model that is going away."""
    busy = await computing(held)
    waiting = await asked(held.asker(), 100)
    held.close()
    assert await waiting is None
    held.door.set()
    assert await busy is not None
    with pytest.raises(SoundModelError, match="not loaded"):
        await held.asker().end_probability(spoken())


async def test_a_failed_inference_is_an_error_not_a_hang(model: SoundModel) -> None:
    """Whoever waits hears of it, and the next question is answered."""
    asker = model.asker()
    with pytest.raises(ValueError, match="broadcast"):
        await asker.end_probability(np.zeros((2, 2), np.int16))
    assert await asker.end_probability(spoken()) is not None


async def test_it_must_be_loaded_first() -> None:
    """The error says what is missing."""
    model = SoundModel()
    with pytest.raises(SoundModelError, match="load"):
        await model.asker().end_probability(spoken())
    model.close()


@given(
    seconds=st.one_of(
        st.floats(0.01, 10), st.sampled_from([0.0125, 0.025, 7.98, 7.9875, 7.99, 8.0, 8.01])
    ),
    offset=st.integers(-2000, 2000),
    loudness=st.floats(1, 8000),
)
@settings(max_examples=40, deadline=None)
def test_features_are_pipecats(seconds: float, offset: int, loudness: float) -> None:
    """Whatever the length, level or offset of the audio, the numbers are Pipecat's."""
    noise = np.random.default_rng(1).normal(offset, loudness, int(seconds * 16_000))
    pcm = np.clip(noise, -32768, 32767).astype(np.int16)
    heard = pcm[-SAMPLES:].astype(np.float32) / 32768
    padded = np.pad(heard, (SAMPLES - len(heard), 0))
    assert np.abs(log_mel(pcm) - compute_whisper_log_mel_features(padded)).max() < 2e-3
