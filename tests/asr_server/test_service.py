"""Our ASR server over real sockets, with NVIDIA's own client and with bare messages."""

import asyncio
import contextlib
import gc
import wave
from collections.abc import AsyncIterator

import grpc
import pytest
import riva.client
from riva.client.proto import riva_asr_pb2 as asr
from riva.client.proto import riva_asr_pb2_grpc as asr_grpc

from tests.asr_server.listening import TEXTS, Served, requests, said, serving
from voice_agent.riva.channel import open_channel

TABLE = "a-table-for-four-people-tomorrow-at-seven"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as running:
        yield running


def _streamed(address: str, path: str) -> list[str]:
    """Return the finals of a file, transcribed as NVIDIA's examples do."""
    auth = riva.client.Auth(uri=address)
    config = riva.client.StreamingRecognitionConfig(
        config=riva.client.RecognitionConfig(
            encoding=riva.client.AudioEncoding.LINEAR_PCM,
            language_code="en-US",
            max_alternatives=1,
            enable_word_time_offsets=True,
        ),
        interim_results=True,
    )
    riva.client.add_audio_file_specs_to_config(config, path)
    finals = []
    with riva.client.AudioChunkFileIterator(path, 1600) as chunks:
        answers = riva.client.ASRService(auth).streaming_response_generator(chunks, config)
        for response in answers:
            finals += [result.alternatives[0] for result in response.results if result.is_final]
    assert [w.word for w in finals[0].words] == finals[0].transcript.split()
    assert all(w.start_time < w.end_time for w in finals[0].words)
    return [final.transcript for final in finals]


async def test_nvidias_client_transcribes_a_file(served, tmp_path):
    """The WAV as it lies there, header and all, streamed by the Riva client: the text with the
    times of its words; and the same text offline."""
    path = tmp_path / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(said(TABLE))
    assert await asyncio.to_thread(_streamed, served.address, str(path)) == [TEXTS[TABLE]]

    def offline() -> str:
        service = riva.client.ASRService(riva.client.Auth(uri=served.address))
        config = riva.client.RecognitionConfig(max_alternatives=1)
        answer = service.offline_recognize(path.read_bytes(), config)
        return answer.results[0].alternatives[0].transcript

    assert await asyncio.to_thread(offline) == TEXTS[TABLE]


async def test_a_forced_final_is_always_answered(served):
    """Asked in the middle and at the end, on one stream: each request gets its own answer, by its
    id, empty where nothing was said; together they are the text."""
    pcm = said(TABLE, after_ms=200) + said("please-cancel-my-reservation")
    cut = len(said(TABLE, after_ms=200))

    async def messages():
        for message in requests(pcm[:cut]):
            yield message
        for number in (1, 2):
            forced = asr.StreamingRecognizeRequest()
            forced.runtime_config["force_eou"] = "true"
            forced.id.value = str(number)
            yield forced
        for at in range(cut, len(pcm), 640):
            yield asr.StreamingRecognizeRequest(audio_content=pcm[at : at + 640])

    finals = []
    async with open_channel(served.address) as channel:
        stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        async for response in stub.StreamingRecognize(messages()):
            for result in response.results:
                if result.is_final:
                    finals.append((response.id.value, result.alternatives[0].transcript))
    assert finals == [
        ("1", TEXTS[TABLE]),
        ("2", ""),
        ("", "please cancel my reservation"),
    ]


async def test_endpoints_for_clients_that_ask_for_them(served):
    """With ``stop_history_eou`` an utterance ends by itself after so much silence."""
    config = asr.RecognitionConfig(sample_rate_hertz=16_000)
    config.endpointing_config.stop_history_eou = 600
    pcm = said(TABLE, after_ms=2000) + said("please-cancel-my-reservation", after_ms=2000)
    finals = []
    async with open_channel(served.address) as channel:
        stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        async for response in stub.StreamingRecognize(iter(requests(pcm, config=config))):
            finals += [r.alternatives[0].transcript for r in response.results if r.is_final]
    assert finals == [TEXTS[TABLE], "please cancel my reservation"]


async def test_bad_requests_are_told_what_is_possible(served):
    """Stereo, an encoding it does not know, no configuration: a status and a sentence."""
    async with open_channel(served.address) as channel:
        stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        stereo = asr.RecognitionConfig(sample_rate_hertz=16_000, audio_channel_count=2)
        flac = asr.RecognitionConfig(encoding=riva.client.AudioEncoding.FLAC)
        slow = asr.RecognitionConfig(sample_rate_hertz=4_000)
        for config, said_of in ((stereo, "mono"), (flac, "LINEAR_PCM"), (slow, "8000 to 96000")):
            with pytest.raises(grpc.aio.AioRpcError, match=said_of) as caught:
                await _drain(stub.StreamingRecognize(iter(requests(b"", config=config))))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        audio = asr.StreamingRecognizeRequest(audio_content=b"12")
        with pytest.raises(grpc.aio.AioRpcError, match="streaming_config"):
            await _drain(stub.StreamingRecognize(iter([audio])))


async def test_a_full_server_refuses(served):
    """Beyond its streams nobody is queued: the call fails at once, and others go on."""
    served.server._admissions[0].limit = 1
    async with open_channel(served.address) as channel:
        stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        first = stub.StreamingRecognize()
        await first.write(next(iter(requests(b""))))
        await first.write(asr.StreamingRecognizeRequest(audio_content=said(TABLE)))
        await _until(lambda: served.server._admissions[0].open == 1)
        with pytest.raises(grpc.aio.AioRpcError, match="streams are taken") as caught:
            await _drain(stub.StreamingRecognize(iter(requests(b""))))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.done_writing()
        texts = [r.alternatives[0].transcript async for a in first for r in a.results]
        assert texts[-1] == TEXTS[TABLE]


async def test_callers_who_come_and_go_leave_nothing(served):
    """Two hundred connections, hung up politely or not, before, in and after speech: no stream, no
    task and no place is left."""
    tasks = len(asyncio.all_tasks())
    pcm = said("please-cancel-my-reservation")[:16_000]
    async with open_channel(served.address) as channel:
        stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        await _drain(stub.StreamingRecognize(iter(requests(pcm))))

        async def come_and_go(number: int) -> None:
            call = stub.StreamingRecognize()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                for message in list(requests(pcm, step_ms=100))[: number % 6]:
                    await call.write(message)
                if number % 3:
                    call.cancel()
                else:
                    await call.done_writing()
                    await _drain(call)

        for number in range(0, 200, 4):
            await asyncio.gather(*(come_and_go(number + n) for n in range(4)))
        await _until(lambda: served.server._admissions[0].open == 0)
    gc.collect()
    await _until(lambda: len(asyncio.all_tasks()) <= tasks)


async def _drain(call) -> None:
    async for _ in call:
        pass


async def _until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
