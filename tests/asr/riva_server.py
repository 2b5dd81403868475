"""A Riva server that hears spoken numbers of bytes: for what other servers do, over real sockets.

It "recognises" audio as one word for every 3200 bytes that are not silence, named by the first of
them: ``w5``. How it ends utterances is what is told apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from riva.client.proto import riva_asr_pb2 as asr
from riva.client.proto import riva_asr_pb2_grpc as asr_grpc

from voice_agent.asr.riva_kind import Kind
from voice_agent.riva.server import SpeechServer

WORD_BYTES = 3200


def word(number: int) -> bytes:
    """Return 100 ms of audio that is heard as ``w<number>``."""
    return number.to_bytes(2, "little") * (WORD_BYTES // 2)


class NumbersServer(asr_grpc.RivaSpeechRecognitionServicer):
    """Servers as ``kind`` says; ``delay`` words behind what it was sent, as all are."""

    def __init__(self, kind: Kind, delay: int = 1) -> None:
        self.kind = kind
        self.delay = delay
        self.connections = 0

    async def GetRivaSpeechRecognitionConfig(self, request: Any, context: Any) -> Any:
        answer = asr.RivaSpeechRecognitionConfigResponse()
        config = answer.model_config.add(model_name="numbers")
        said = {"language_code": "en-US", "streaming": "True", "type": "online"}
        said["sample_rate_hertz"] = "16000"
        if self.kind is not Kind.NEMO_SPEECH:
            said["vad"] = "none"
        config.parameters.update(said)
        return answer

    async def StreamingRecognize(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        self.connections += 1
        pcm = bytearray()
        any_final = False
        async for request in requests:
            if request.HasField("streaming_config"):
                continue
            pcm += request.audio_content
            forced = request.runtime_config.get("force_eou") == "true"
            if forced and self.kind in (Kind.NEMO_SPEECH, Kind.RIVA):
                text = heard(bytes(pcm))
                pcm.clear()
                if text:
                    yield response(" " * any_final + text, final=True)
                    any_final = True
            if request.audio_content:
                text = heard(bytes(pcm), self.delay)
                if text:
                    yield response(" " * any_final + text)
                elif self.kind is Kind.NEMO_SPEECH:
                    yield asr.StreamingRecognizeResponse()


def heard(pcm: bytes, delay: int = 0) -> str:
    """Return the words of some audio, but for the last ``delay`` of them."""
    numbers = [int.from_bytes(pcm[at : at + 2], "little") for at in range(0, len(pcm), 320)]
    words = [
        f"w{n}" for n, before in zip(numbers, [0, *numbers], strict=False) if n and n != before
    ]
    return " ".join(words[: len(words) - delay])


def response(text: str, *, final: bool = False) -> Any:
    result = asr.StreamingRecognitionResult(is_final=final, channel_tag=1)
    result.alternatives.add(transcript=text)
    return asr.StreamingRecognizeResponse(results=[result])


@asynccontextmanager
async def numbers_server(kind: Kind, delay: int = 1) -> AsyncIterator[tuple[NumbersServer, str]]:
    """Serve on a free port; yields the servicer and its address."""
    server = SpeechServer("127.0.0.1", 0)
    servicer = NumbersServer(kind, delay)
    asr_grpc.add_RivaSpeechRecognitionServicer_to_server(servicer, server.grpc)
    ready = asyncio.Event()

    async def nothing() -> None:
        pass

    task = asyncio.create_task(server.serve(nothing, ready.set, drain_s=0))
    await ready.wait()
    try:
        yield servicer, server.address
    finally:
        server.stop()
        await task
