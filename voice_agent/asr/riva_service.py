"""A Riva server as an ordinary Pipecat STT service.

Not built on Pipecat's NvidiaSTTService: that one has a thread a stream, cannot force the end of an
utterance, and loses what was said while its connection was down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np
import soxr
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from voice_agent.asr.riva_stream import RivaStream
from voice_agent.frames import FinalizeTranscriptFrame
from voice_agent.riva.words import Word

RATE_HZ = 16_000
_TTFS_P99_S = 0.25
_LAST_WORDS_S = 3.0
"""How long the end of a conversation waits for a transcript that was asked for."""

Open = Callable[
    [
        Callable[[Sequence[Word]], None],
        Callable[[Sequence[Word], bool], None],
        Callable[[str, bool], None],
    ],
    RivaStream,
]
"""Opens a stream with these callbacks: partial, final, failure."""


class RivaSTTService(STTService):
    """Streaming recognition of one conversation.

    Interim transcripts are the whole utterance since the last final one.
    ``FinalizeTranscriptFrame`` is always answered by one final transcript, which may be empty;
    Pipecat's own VAD stop ends the utterance too, for bots without our turn machine. Words carry
    their times in ``result``, as a list of ``voice_agent.riva.words.Word``, where the server tells
    them.
    """

    def __init__(self, open_stream: Open, model: str, language: Language) -> None:
        """Make the service; it connects when its pipeline is set up."""
        super().__init__(
            audio_passthrough=False,
            ttfs_p99_latency=_TTFS_P99_S,
            settings=STTSettings(model=model, language=language),
        )
        self._open = open_stream
        self._language = language
        self._stream: RivaStream | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._results: asyncio.Queue[Frame] = asyncio.Queue()
        self._pusher: asyncio.Task[None] | None = None
        self._owed = 0
        """Finals asked for and not yet there."""
        self._unanswered = 0
        """Of those, how many must be answered even if nothing was said."""
        self._settled = asyncio.Event()
        self._settled.set()
        self._stop_to_come = False
        """Finalized by our turn machine, which says it again as Pipecat's VAD stop."""

    def figures(self) -> dict[str, float]:
        """Return what a trace should know: ``asr_lag_ms``, audio whose words are not known yet."""
        if self._stream is None:
            return {}
        return {
            "asr_lag_ms": round(self._stream.lag_ms, 1),
            "asr_reconnects": float(self._stream.reconnects),
        }

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Connect."""
        await super().setup(setup)
        if self.sample_rate != RATE_HZ:
            self._resampler = soxr.ResampleStream(
                self.sample_rate, RATE_HZ, 1, dtype="int16", quality="MQ"
            )
        self._stream = self._open(self._on_partial, self._on_final, self._on_failure)
        self._pusher = self.create_task(self._push_results(), name="results")

    async def cleanup(self) -> None:
        """Hang up."""
        await self._close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def stop(self, frame: EndFrame) -> None:
        """Let the last words out, then hang up."""
        if self._stream is not None:
            self._end(answer=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._settled.wait()
                await self._results.join()
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Hang up."""
        await super().cancel(frame)
        await self._close()

    async def _close(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()
        if self._pusher is not None:
            pusher, self._pusher = self._pusher, None
            await self.cancel_task(pusher)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """End utterances; the rest is Pipecat's."""
        if isinstance(frame, FinalizeTranscriptFrame):
            self._stop_to_come = True
            self._end(answer=True)
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._stop_to_come = False
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            if self._stop_to_come and direction is FrameDirection.UPSTREAM:
                self._stop_to_come = False  # it repeats the request
                return
            self._end(answer=False)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Take in audio; the words come later, by themselves."""
        if self._resampler is not None:
            audio = self._resampler.resample_chunk(np.frombuffer(audio, np.int16)).tobytes()
        if self._stream is not None and audio:
            self._stream.hear(audio)
        yield None

    def _end(self, *, answer: bool) -> None:
        if self._stream is None:
            return
        self._owed += 1
        self._unanswered += answer
        self._settled.clear()
        self._stream.end()

    def _on_partial(self, words: Sequence[Word]) -> None:
        if words:
            frame = InterimTranscriptionFrame(
                _text(words), self._user_id, time_now_iso8601(), language=self._language
            )
            self._results.put_nowait(frame)

    def _on_final(self, words: Sequence[Word], asked: bool) -> None:
        answers = asked and self._unanswered > 0
        if asked:
            self._owed -= 1
        if words or answers:
            frame = TranscriptionFrame(
                _text(words),
                self._user_id,
                time_now_iso8601(),
                language=self._language,
                result=list(words),
                finalized=True,
            )
            self._results.put_nowait(frame)
        if answers:
            self._unanswered -= 1
        if not self._owed:
            self._settled.set()

    def _on_failure(self, reason: str, permanent: bool) -> None:
        error = f"speech recognition cannot be reached ({reason})"
        self._results.put_nowait(ErrorFrame(error=error, processor=self, fatal=permanent))

    async def _push_results(self) -> None:
        while True:
            frame = await self._results.get()
            if isinstance(frame, ErrorFrame):
                await self.push_error_frame(frame, force_treat_as_permanent=frame.fatal)
            else:
                await self.push_frame(frame)
            self._results.task_done()


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
