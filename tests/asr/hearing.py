"""What the tests of hearing share: recorded speech, its frames, and a pool to hear it with."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.tests.utils import run_test

from voice_agent.asr.pocketsphinx import DEFAULT_MODEL
from voice_agent.asr.pocketsphinx_pool import RecognitionPool, RecognitionStream
from voice_agent.paths import models_dir

BYTES_PER_MS = 32
MODEL = models_dir() / DEFAULT_MODEL


def speech(name: str) -> bytes:
    """Return a recording of tests/asr/speech as 16 kHz PCM."""
    with wave.open(str(Path(__file__).parent / "speech" / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def silence(ms: int) -> bytes:
    return bytes(ms * BYTES_PER_MS)


def frames(pcm: bytes) -> list[Frame]:
    """Cut into the 20 ms frames a transport delivers."""
    step = 20 * BYTES_PER_MS
    return [InputAudioRawFrame(pcm[at : at + step], 16_000, 1) for at in range(0, len(pcm), step)]


async def transcripts(
    service: FrameProcessor, sent: Sequence[Frame]
) -> tuple[list[InterimTranscriptionFrame], list[TranscriptionFrame]]:
    """Run frames through a service and return its interim and its final transcripts."""
    down, _ = await run_test(service, frames_to_send=sent)
    assert not [f for f in down if isinstance(f, InputAudioRawFrame)]
    return (
        [f for f in down if isinstance(f, InterimTranscriptionFrame)],
        [f for f in down if isinstance(f, TranscriptionFrame)],
    )


class Listener:
    """A stream of a pool, its words so far, and a way to wait for the next final ones."""

    def __init__(self, pool: RecognitionPool) -> None:
        self.partials: list[str] = []
        self.failures: asyncio.Queue[str] = asyncio.Queue()
        self._finals: asyncio.Queue[str] = asyncio.Queue()
        self.stream: RecognitionStream = pool.open(
            self.partials.append, self._finals.put_nowait, self.failures.put_nowait
        )

    async def said(self, pcm: bytes) -> str:
        """Hear an utterance to its end and return its words."""
        self.stream.hear(pcm)
        return await self.end()

    async def end(self) -> str:
        self.stream.end()
        async with asyncio.timeout(20):
            return await self._finals.get()

    async def decoded(self) -> None:
        """Wait until (nearly) everything heard so far has been decoded."""
        async with asyncio.timeout(20):
            while self.stream.lag_s > 0.1:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)


@asynccontextmanager
async def pool_of(workers: int, streams: int) -> AsyncIterator[RecognitionPool]:
    pool = RecognitionPool(MODEL, workers=workers, streams_per_worker=streams, max_lag_s=10)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()
