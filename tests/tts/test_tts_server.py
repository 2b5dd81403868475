"""Our voice server as others see it: NVIDIA's own client, callers who hang up, crowds, errors."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import riva.client
from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame
from riva.client.proto import riva_audio_pb2, riva_tts_pb2, riva_tts_pb2_grpc

from tests.tts.line import line_to
from tests.tts.serving import served
from tests.tts.voices import session
from voice_agent.engines import EngineContext, EngineError
from voice_agent.riva.channel import open_channel, serving
from voice_agent.riva.server import SpeechServer
from voice_agent.tts.riva import RivaVoiceEngine, RivaVoiceSettings
from voice_agent.tts_server.espeak import EspeakBackend

GREETING = "Good evening, this is Bella Notte."
LONG = "This is one of a great many sentences. " * 45


@pytest.fixture
async def server() -> AsyncIterator[SpeechServer]:
    async with served(EspeakBackend(streams=2)) as running:
        yield running


@pytest.fixture
async def stub(server: SpeechServer) -> AsyncIterator[Any]:
    async with open_channel(server.address) as channel:
        yield riva_tts_pb2_grpc.RivaSpeechSynthesisStub(channel)


def request(text: str, **more: Any) -> Any:
    return riva_tts_pb2.SynthesizeSpeechRequest(text=text, **more)


def samples(audio: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(audio, np.int16)


def figure(server: SpeechServer, name: str) -> float:
    return server.registry.get_sample_value(name) or 0.0


async def settled(server: SpeechServer) -> None:
    """Wait until no stream is open."""
    async with asyncio.timeout(60):
        while figure(server, "tts_streams"):  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.01)


async def test_nvidias_own_client_synthesizes_and_lists_voices(server: SpeechServer) -> None:
    """The Riva Python client, as its scripts use it: whole, streamed, and the list of voices."""

    def work() -> tuple[bytes, list[bytes], Any]:
        auth = riva.client.Auth(uri=server.address)
        speech = riva.client.SpeechSynthesisService(auth)
        whole = speech.synthesize(
            "Good evening.", "eSpeak-NG.en-gb", "en-GB", sample_rate_hz=16_000
        )
        online = speech.synthesize_online(
            ["Good evening, ", "this is Bella Notte."],
            "eSpeak-NG.en-us",
            enable_word_time_offsets=True,
        )
        parts = [answer.audio for answer in online]
        config = speech.stub.GetRivaSynthesisConfig(riva_tts_pb2.RivaSynthesisConfigRequest())
        return whole.audio, parts, config

    whole, parts, config = await asyncio.to_thread(work)
    assert 0.5 < len(samples(whole)) / 16_000 < 2.0
    assert len(parts) > 2
    assert 1.0 < sum(map(len, parts)) / 2 / 22_050 < 4.0
    english = next(m for m in config.model_config if m.parameters["language_code"] == "en-US")
    assert english.parameters["voice_name"] == "eSpeak-NG"
    assert english.parameters["subvoices"].startswith("en-us+klatt4:0,")


async def test_words_are_timed_in_the_stream(stub: Any) -> None:
    """Milliseconds of the stream, over all its texts, each answer with its request's number."""
    call = stub.SynthesizeOnline()
    for number, text in enumerate(("One potato,", "two potatoes.")):
        message = request(text, sample_rate_hz=24_000)
        message.id.value = str(number)
        await call.write(message)
    await call.done_writing()
    words, length, numbers = [], 0, []
    async for answer in call:
        words += [(w.word, w.start_time, w.end_time) for w in answer.meta.words]
        length += len(answer.audio) // 2
        numbers.append(answer.id.value)
    assert [word for word, _, _ in words] == ["One", "potato,", "two", "potatoes."]
    edges = [edge for _, start, end in words for edge in (start, end)]
    assert edges == sorted(edges)
    assert edges[-1] == pytest.approx(length / 24, abs=30)
    assert numbers == sorted(numbers)
    assert set(numbers) == {"0", "1"}


async def test_two_texts_in_one_stream_sound_as_one_reply(stub: Any) -> None:
    """They join without a click: no step at the seam is larger than within speech."""
    call = stub.SynthesizeOnline()
    for text in ("Of course, ", "we have a table for you."):
        await call.write(request(text, sample_rate_hz=48_000))
    await call.done_writing()
    pieces = [samples(answer.audio) async for answer in call]
    pieces = [piece for piece in pieces if len(piece)]
    steps = np.abs(np.diff(np.concatenate(pieces).astype(int)))
    at, seams = 0, []
    for piece in pieces[:-1]:
        at += len(piece)
        seams.append(steps[at - 1])
    assert max(seams) < steps.max()


async def test_a_caller_who_hangs_up_stops_the_work(server: SpeechServer, stub: Any) -> None:
    """The stream's place is free at once, and what was not spoken never is."""
    call = stub.SynthesizeOnline()
    for _ in range(5):
        await call.write(request(LONG))
    await call.read()
    call.cancel()
    await settled(server)
    made_s = figure(server, "tts_audio_seconds_total")
    assert figure(server, "tts_cancelled_total") == 1
    whole = await stub.Synthesize(request("And now something else."))
    # A thread that still worked at five long texts would be heard here.
    after_s = figure(server, "tts_audio_seconds_total") - made_s
    assert after_s == pytest.approx(len(whole.audio) / 2 / 22_050, abs=0.01)


async def test_callers_do_not_hear_each_other(stub: Any) -> None:
    """Two at once get what each would have got alone."""
    texts = ["Good morning, how are you today?", "The kitchen closes at eleven, not before."]
    alone = [len((await stub.Synthesize(request(text))).audio) for text in texts]
    both = await asyncio.gather(*(stub.Synthesize(request(text)) for text in texts))
    for length, answer in zip(alone, both, strict=True):
        assert abs(len(answer.audio) - length) < 0.02 * length


async def test_more_streams_than_it_can_carry_are_refused(stub: Any) -> None:
    """With a word for the third caller, who may go elsewhere; the two are not disturbed."""
    calls = [stub.SynthesizeOnline() for _ in range(3)]
    for call in calls[:2]:
        await call.write(request("Hello,"))
        await call.read()
    await calls[2].write(request("Hello,"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calls[2].read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in calls[:2]:
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"voice_name": "eSpeak-NG.klingon"}, "en-gb"),
        ({"language_code": "tlh"}, "no voice 'tlh'"),
        ({"encoding": riva_audio_pb2.OGGOPUS}, "LINEAR_PCM"),
        ({"sample_rate_hz": 4_000}, "8000 to 48000"),
        ({"zero_shot_data": riva_tts_pb2.ZeroShotData(quality=20)}, "not cloned"),
    ],
)
async def test_what_cannot_be_done_is_said(stub: Any, wrong: dict[str, Any], says: str) -> None:
    """INVALID_ARGUMENT, with what would do."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Synthesize(request("Hello.", **wrong))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in str(refused.value.details())


async def test_a_text_that_is_too_long_is_refused(stub: Any) -> None:
    """2,000 characters are the limit, as with NVIDIA's own."""
    with pytest.raises(grpc.aio.AioRpcError, match="2000 characters"):
        await stub.Synthesize(request("a" * 2_001))


def engine(**settings: Any) -> RivaVoiceEngine:
    return RivaVoiceEngine(RivaVoiceSettings.model_validate(settings), EngineContext([]))


async def test_an_interrupted_reply_frees_the_server(server: SpeechServer) -> None:
    """What the engine cancels, the server stops making."""
    voice = engine(server=server.address)
    await voice.start()
    before = figure(server, "tts_cancelled_total")
    async with line_to(voice.service(session())) as line:
        await line.begin()
        await line.tokens(*LONG.replace(" ", "\0 ").split("\0"))
        await line.listener.hear(TTSAudioRawFrame)
        await line.interrupt()
        await settled(server)
        assert figure(server, "tts_cancelled_total") == before + 1
    await voice.stop()


async def test_a_server_that_is_full_is_an_error_the_agent_hears_of(server: SpeechServer) -> None:
    """So that another voice may stand in."""
    voice = engine(server=server.address)
    await voice.start()
    async with open_channel(server.address) as channel:
        stub = riva_tts_pb2_grpc.RivaSpeechSynthesisStub(channel)
        calls = [stub.SynthesizeOnline() for _ in range(2)]
        for call in calls:
            await call.write(request("Hello,"))
            await call.read()
        errors: list[ErrorFrame] = []
        service = voice.service(session())
        async with line_to(service) as line:
            service.add_event_handler("on_error", lambda _, frame: errors.append(frame))
            await line.reply("Good evening.")
        assert "RESOURCE_EXHAUSTED" in errors[0].error
    await voice.stop()


async def test_voices_are_listed_and_an_unknown_one_is_refused(server: SpeechServer) -> None:
    """At the start, with the names there are."""
    voice = engine(server=server.address, voice="eSpeak-NG.en-gb")
    await voice.start()
    assert "eSpeak-NG.de" in voice.voices
    assert "eSpeak-NG.en-us" in voice.about()
    await voice.stop()
    with pytest.raises(EngineError, match=r"no voice 'Aria'.*eSpeak-NG\.en-us"):
        await engine(server=server.address, voice="Aria").start()


async def test_no_server_is_a_clear_error() -> None:
    """It says where it looked and what to do."""
    with pytest.raises(EngineError, match="say where the server is"):
        await engine().start()
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9.*start one"):
        await engine(server="127.0.0.1:9", connect_timeout_s=0.3).start()
    with pytest.raises(EngineError, match=r"riva_server of NeMo-Speech\.cpp"):
        await engine(start="nemo-speech").start()


@pytest.mark.slow
async def test_the_engine_keeps_a_server_of_its_own() -> None:
    """A process of its own, warm before the engine says it is ready; killed in the middle of a call
    it is started again and the next reply is spoken; gone when the engine has stopped."""
    voice = engine(start="tts-server")
    await voice.start()
    launched = voice._launched
    async with line_to(voice.service(session())) as line:
        heard = await line.reply(GREETING)
        assert [text for text, _, _ in heard.words()] == GREETING.split()
        os.kill(launched.pid, signal.SIGKILL)
        async with asyncio.timeout(60), open_channel(voice.address) as channel:
            while not (launched.restarts and await serving(channel, 1.0)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        before = len(line.listener.audio())
        await line.reply(GREETING, 2)
        assert len(line.listener.audio()) > before + 48_000
    await voice.stop()
    assert launched.pid is None


async def test_a_model_that_is_not_there_is_said() -> None:
    """Before anything is loaded."""
    from voice_agent.tts_server.magpie import MagpieBackend

    with pytest.raises(EngineError, match=r"no file 'magpie\.nemo'.*models pull magpie"):
        MagpieBackend("magpie.nemo")
