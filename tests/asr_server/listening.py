"""What the tests of the ASR server share: the small model, speech, and a server on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from riva.client.proto import riva_asr_pb2 as asr

from tests.asr.hearing import silence, speech
from voice_agent.asr_server import run as running
from voice_agent.asr_server.mel import Floats
from voice_agent.asr_server.stream import Recogniser, Stream, to_floats
from voice_agent.paths import models_dir
from voice_agent.riva.server import SpeechServer

MODEL = models_dir() / "nemotron-speech-tiny"
TEXTS = {
    "a-table-for-four-people-tomorrow-at-seven": "a table for four people tomorrow at seven",
    "please-cancel-my-reservation": "please cancel my reservation",
    "what-time-do-you-open-on-sunday": "what time do you open on sunday",
}
"""Recordings and what is said in them."""
STEP = 20 * 16


def noisy(pcm: bytes, seed: int = 0) -> bytes:
    """Lay a faint noise under audio, as every microphone does."""
    samples = np.frombuffer(pcm, np.int16).astype(np.int32)
    noise = np.random.default_rng(seed).normal(0, 8, len(samples)).astype(np.int32)
    return (samples + noise).clip(-32768, 32767).astype(np.int16).tobytes()


def said(name: str, *, before_ms: int = 200, after_ms: int = 400) -> bytes:
    """Return a recording with silence around it, 16 kHz PCM."""
    return noisy(silence(before_ms) + speech(name) + silence(after_ms))


def feed(recogniser: Recogniser, stream: Stream, pcm: Floats, step: int = STEP) -> None:
    """Let a stream hear audio, in pieces as they arrive, and work on it."""
    for at in range(0, len(pcm), step):
        recogniser.hear(stream, pcm[at : at + step])
        while recogniser.ready(stream):
            recogniser.advance([stream])


def finish(recogniser: Recogniser, stream: Stream) -> list[str]:
    """Return the words of a stream as if its audio ended here; it stays as it is."""
    copy = recogniser.ended(stream)
    while recogniser.ready(copy):
        recogniser.advance([copy])
    return [word.text for word in recogniser.words(copy)]


def transcribed(recogniser: Recogniser, pcm: bytes) -> list[str]:
    """Return the words of a recording, heard in one piece."""
    stream = recogniser.open()
    feed(recogniser, stream, to_floats(pcm), step=len(pcm))
    return finish(recogniser, stream)


@dataclass(slots=True)
class Served:
    """A server in this process."""

    address: str
    server: SpeechServer


@asynccontextmanager
async def serving(
    model: Path = MODEL,
    *,
    backend: running.Backend = "sherpa",
    streams: int = 8,
    chunk_ms: int = 560,
) -> AsyncIterator[Served]:
    """Serve a model on a free port of this machine."""
    ready: asyncio.Future[SpeechServer] = asyncio.get_running_loop().create_future()
    settings = running.Settings(
        backend, model, port=0, streams=streams, threads=1, chunk_ms=chunk_ms, max_batch=8
    )
    task = asyncio.create_task(
        running.run(settings, lambda server, _name, _streams: ready.set_result(server))
    )
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    server = await ready
    try:
        yield Served(server.address, server)
    finally:
        server.stop()
        await task


def requests(
    pcm: bytes, *, step_ms: int = 20, config: asr.RecognitionConfig | None = None
) -> Iterable[asr.StreamingRecognizeRequest]:
    """Yield a stream's messages: the configuration, then the audio in pieces."""
    config = config or asr.RecognitionConfig(sample_rate_hertz=16_000, audio_channel_count=1)
    streaming = asr.StreamingRecognitionConfig(config=config, interim_results=True)
    yield asr.StreamingRecognizeRequest(streaming_config=streaming)
    step = step_ms * 32
    for at in range(0, len(pcm), step):
        yield asr.StreamingRecognizeRequest(audio_content=pcm[at : at + step])
