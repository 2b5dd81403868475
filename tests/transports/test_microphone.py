"""The local microphone and speaker, with PortAudio's thread played by a thread of ours."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voice_agent.media import Pcm
from voice_agent.transports.microphone import (
    AHEAD,
    HEARD_PACKET,
    PACKET,
    Microphone,
    NoSound,
    load_sounddevice,
)


class Counting:
    """A voice whose packets are numbered 1, 2, 3."""

    def __init__(self) -> None:
        self.pulled = 0

    def pull(self, samples: int) -> Pcm:
        self.pulled += 1
        return np.full(samples, self.pulled, dtype=np.int16)

    async def wait_audible(self) -> None:
        return None


def portaudio_records(microphone: Microphone, value: int, age_s: float) -> None:
    times = SimpleNamespace(currentTime=100.0, inputBufferAdcTime=100.0 - age_s)
    recorded = np.full(HEARD_PACKET, value, dtype=np.int16).tobytes()
    microphone._recorded(recorded, HEARD_PACKET, times, None)


def portaudio_plays(microphone: Microphone) -> int:
    played = bytearray(2 * PACKET)
    microphone._plays(memoryview(played), PACKET, None, None)
    return int(np.frombuffer(played, dtype=np.int16)[0])


async def test_what_is_recorded_is_heard_with_the_time_it_was_spoken():
    """The age PortAudio reports is taken off the time of arrival."""
    microphone = Microphone(lambda message: None)
    await asyncio.to_thread(portaudio_records, microphone, 7, 0.030)
    audio = await anext(microphone.heard())
    assert np.frombuffer(audio.pcm, dtype=np.int16).tolist() == [7] * HEARD_PACKET
    assert audio.arrived_ms - audio.captured_ms == pytest.approx(30.0, abs=0.01)


async def test_the_voice_is_played_in_order_and_never_far_ahead():
    """Two packets lie ready; each one played makes room for one pull."""
    microphone = Microphone(lambda message: None)
    voice = Counting()
    microphone.play(voice)
    assert voice.pulled == AHEAD
    played = []
    for _ in range(5):
        played.append(await asyncio.to_thread(portaudio_plays, microphone))
        await asyncio.sleep(0)
    assert played == [1, 2, 3, 4, 5]
    assert voice.pulled == 5 + AHEAD


async def test_before_and_after_the_conversation_there_is_silence():
    """PortAudio always gets its packet."""
    microphone = Microphone(lambda message: None)
    assert portaudio_plays(microphone) == 0
    microphone.play(Counting())
    await microphone.close()
    for _ in range(AHEAD):
        portaudio_plays(microphone)
    assert portaudio_plays(microphone) == 0


async def test_closing_ends_what_waits():
    """Both streams of a closed microphone end, and closing twice is one closing."""
    microphone = Microphone(lambda message: None)
    hearing = asyncio.create_task(anext(microphone.heard(), None))
    messages = microphone.messages()
    assert (await anext(messages))["type"] == "client-ready"
    saying = asyncio.create_task(anext(messages, None))
    await microphone.close()
    await microphone.close()
    assert await hearing is None
    assert await saying is None


async def test_a_listener_that_stops_listening_does_not_fill_the_memory():
    """Of more than 10 s unheard the oldest is dropped."""
    microphone = Microphone(lambda message: None)
    for value in range(600):
        portaudio_records(microphone, value, 0.0)
    await asyncio.sleep(0)
    audio = await anext(microphone.heard())
    assert np.frombuffer(audio.pcm, dtype=np.int16)[0] == 100


def test_without_the_package_the_way_to_it_is_said(monkeypatch: Any):
    """`talk` is an extra: the message names it."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(NoSound, match="--extra talk"):
        load_sounddevice()


def test_without_a_device_the_page_is_named(monkeypatch: Any):
    """A machine with PortAudio and no microphone: sounddevice raises its own error."""

    class PortAudioError(Exception):
        pass

    def query_devices(kind: str) -> None:
        raise PortAudioError("Error querying device -1")

    fake = SimpleNamespace(PortAudioError=PortAudioError, query_devices=query_devices)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    with pytest.raises(NoSound, match=r"no microphone.*voice-agent serve"):
        load_sounddevice()
