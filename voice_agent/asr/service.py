"""What every recogniser that works elsewhere is to its conversation: a Pipecat STT service.

It takes audio in without waiting, at the recogniser's rate, and sends what comes back in the order
in which it came. What an utterance is and how words are asked for is the engine's: see its service.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Any

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

from voice_agent.asr.wire import SAMPLE_RATE_HZ
from voice_agent.frames import FinalizeTranscriptFrame, VoicePausedFrame

__all__ = ["StreamSTTService"]


class StreamSTTService(STTService):
    """See the module's docstring.

    Interim transcripts are the whole utterance since the last final one.
    ``FinalizeTranscriptFrame`` is always answered by one final transcript, which may be empty;
    Pipecat's own VAD stop ends the utterance too, for bots without our turn machine.

    Args:
        model: What is heard with.
        language: What transcripts say they are in.
        ttfs_p99_s: From the request for a final transcript to it, seconds.
        last_words_s: How long the end of a conversation waits for transcripts that were asked for.
        direct: Nothing here waits, and fifty packets a second need no queue.
    """

    def __init__(
        self,
        model: str,
        language: Language,
        *,
        ttfs_p99_s: float,
        last_words_s: float,
        direct: bool = False,
    ) -> None:
        super().__init__(
            audio_passthrough=False,
            enable_direct_mode=direct,
            ttfs_p99_latency=ttfs_p99_s,
            settings=STTSettings(model=model, language=language),
        )
        self._language = language
        self._last_words_s = last_words_s
        self._resampler: soxr.ResampleStream | None = None
        self._results: asyncio.Queue[tuple[Frame, bool]] = asyncio.Queue()
        """Frames, and whether one is an error after which nothing more is heard."""
        self._pusher: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        """Every final that was asked for has come."""
        self._settled.set()
        self._stop_to_come = False
        """Finalized by our turn machine, which says it again as Pipecat's VAD stop."""

    # ----- the engine's part -----

    @abstractmethod
    def _open_stream(self) -> None:
        """Begin to listen."""

    @abstractmethod
    async def _close_stream(self) -> None:
        """Listen no more; may be called twice."""

    @abstractmethod
    def _hear(self, pcm: bytes) -> None:
        """Take in audio of ``SAMPLE_RATE_HZ``; must not wait."""

    @abstractmethod
    def _finalize(self, *, answer: bool) -> None:
        """End the utterance. With ``answer``, a final transcript follows in any case."""

    def _voice_started(self) -> None:
        """The VAD hears a voice."""

    def _voice_paused(self) -> None:
        """The VAD hears no voice any more."""

    def _last_words(self) -> None:
        """The conversation ends; what was said last is still waited for."""

    # ----- what comes back -----

    def _partial(self, text: str) -> None:
        frame = InterimTranscriptionFrame(
            text, self._user_id, time_now_iso8601(), language=self._language
        )
        self._results.put_nowait((frame, False))

    def _final(self, text: str, result: Any = None) -> None:
        frame = TranscriptionFrame(
            text,
            self._user_id,
            time_now_iso8601(),
            language=self._language,
            result=result,
            finalized=True,
        )
        self._results.put_nowait((frame, False))

    def _failed(self, error: ErrorFrame, *, permanent: bool) -> None:
        self._results.put_nowait((error, permanent))

    async def _push_results(self) -> None:
        while True:
            frame, permanent = await self._results.get()
            if isinstance(frame, ErrorFrame):
                await self.push_error_frame(frame, force_treat_as_permanent=permanent)
            else:
                await self.push_frame(frame)
            self._results.task_done()

    # ----- Pipecat's part -----

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Begin to listen.

        Raises:
            EngineError: The engine has no place for another stream.
        """
        await super().setup(setup)
        if self.sample_rate != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(
                self.sample_rate, SAMPLE_RATE_HZ, 1, dtype="int16", quality="MQ"
            )
        self._open_stream()
        self._pusher = self.create_task(self._push_results(), name="results")

    async def cleanup(self) -> None:
        """Listen no more."""
        await self._close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def stop(self, frame: EndFrame) -> None:
        """Let the last words out, then listen no more."""
        self._last_words()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._last_words_s):
                await self._settled.wait()
                await self._results.join()
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Listen no more."""
        await super().cancel(frame)
        await self._close()

    async def _close(self) -> None:
        await self._close_stream()
        if self._pusher is not None:
            pusher, self._pusher = self._pusher, None
            await self.cancel_task(pusher)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follow the voice and end utterances; the rest is Pipecat's."""
        if isinstance(frame, FinalizeTranscriptFrame):
            self._stop_to_come = True
            self._finalize(answer=True)
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._stop_to_come = False
            self._voice_started()
        elif isinstance(frame, VoicePausedFrame):
            self._voice_paused()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            if self._stop_to_come and direction is FrameDirection.UPSTREAM:
                # It repeats the request. Of the voice it says nothing: that may go on.
                self._stop_to_come = False
                return
            self._voice_paused()
            self._finalize(answer=False)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Take in audio; the words come later, by themselves."""
        if self._resampler is not None:
            audio = self._resampler.resample_chunk(np.frombuffer(audio, np.int16)).tobytes()
        self._hear(audio)
        yield None
