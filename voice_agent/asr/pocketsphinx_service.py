"""PocketSphinx as an ordinary Pipecat STT service; the recognising is done in ``RecognitionPool``.

Audio is taken in all the time, but an utterance is begun only at a voice, with the half second
before it: PocketSphinx hears words in silence, and a word of 200 ms is over before any VAD has
said that there is a voice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

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

from voice_agent.asr.pocketsphinx_pool import RecognitionPool, RecognitionStream
from voice_agent.asr.voice_gate import VoiceGate
from voice_agent.asr.wire import SAMPLE_RATE_HZ
from voice_agent.frames import FinalizeTranscriptFrame, VoicePausedFrame

_TTFS_P99_S = 0.1
"""From the end of speech to the final transcript once it was asked for: measured 31 ms
p95 with all streams of a worker busy."""
_LAST_WORDS_S = 10.0
"""How long the end of a conversation waits for transcripts that were asked for."""


class PocketSphinxSTTService(STTService):
    """Streaming recognition of one conversation.

    Interim transcripts are the whole utterance since the last final one, sent when words change.
    An utterance ends at ``VADUserStoppedSpeakingFrame`` and at ``FinalizeTranscriptFrame``; the
    latter is always answered by one final transcript, which may be empty; when both come for the
    same silence, the text is sent once.
    """

    def __init__(self, pool: RecognitionPool, gate: VoiceGate, max_utterance_s: float) -> None:
        """Make the service; it takes a place in ``pool`` when its pipeline is set up."""
        super().__init__(
            audio_passthrough=False,
            enable_direct_mode=True,  # nothing here waits: fifty packets a second need no queue
            ttfs_p99_latency=_TTFS_P99_S,
            settings=STTSettings(model="pocketsphinx-bella-notte", language=Language.EN),
        )
        self._pool = pool
        self._gate = gate
        self._max_utterance_s = max_utterance_s
        self._stream: RecognitionStream | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._results: asyncio.Queue[Frame] = asyncio.Queue()
        self._pusher: asyncio.Task[None] | None = None
        self._ends_pending = 0
        """Finals asked of the stream and not yet there."""
        self._settled = asyncio.Event()
        self._settled.set()
        self._answer_owed = False
        """Somebody waits for the next final, be it empty."""
        self._stop_to_come = False
        """Finalized by our turn machine, which says it again as Pipecat's VAD stop."""

    async def setup(self, setup: FrameProcessorSetup) -> None:  # type: ignore[override]
        """Take a place in the pool.

        Raises:
            EngineError: All are taken.
        """
        await super().setup(setup)
        if self.sample_rate != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(
                self.sample_rate, SAMPLE_RATE_HZ, 1, dtype="int16", quality="MQ"
            )
        self._stream = self._pool.open(self._on_partial, self._on_final, self._on_failure)
        self._pusher = self.create_task(self._push_results(), name="results")

    async def cleanup(self) -> None:
        """Give the place back."""
        await self._close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def stop(self, frame: EndFrame) -> None:
        """Let the last words out, then give the place back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._settled.wait()
                await self._results.join()
        await super().stop(frame)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Give the place back."""
        await super().cancel(frame)
        await self._close()

    async def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._pusher is not None:
            pusher, self._pusher = self._pusher, None
            await self.cancel_task(pusher)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Begin and end utterances; the rest is Pipecat's."""
        if isinstance(frame, FinalizeTranscriptFrame):
            self._stop_to_come = True
            self._finalize(answer=True)
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._stop_to_come = False
            self._feed(self._gate.voice_started())
        elif isinstance(frame, VoicePausedFrame):
            self._gate.voice_stopped()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            if self._stop_to_come and direction is FrameDirection.UPSTREAM:
                # It repeats the request. Of the voice it says nothing: that may go on.
                self._stop_to_come = False
                return
            self._gate.voice_stopped()
            self._finalize(answer=False)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Take in audio; the words come later, by themselves."""
        if self._resampler is not None:
            audio = self._resampler.resample_chunk(np.frombuffer(audio, np.int16)).tobytes()
        self._feed(self._gate.audio(audio))
        length_s = self._stream.utterance_s if self._stream else 0.0
        if self._gate.ended_by_silence or length_s >= self._max_utterance_s:
            self._finalize(answer=False)
        yield None

    def _feed(self, pcm: bytes) -> None:
        if pcm and self._stream is not None:
            self._stream.hear(pcm)

    def _finalize(self, *, answer: bool) -> None:
        """End the utterance. With ``answer``, a final transcript follows in any case."""
        if self._stream is None:
            return
        begun = self._stream.utterance_s > 0
        if begun:
            self._gate.utterance_ended()
            self._ends_pending += 1
            self._settled.clear()
            self._stream.end()
        if answer:
            if self._ends_pending:
                self._answer_owed = True
            else:
                self._results.put_nowait(self._transcription(""))

    def _on_partial(self, text: str) -> None:
        if text:
            self._results.put_nowait(
                InterimTranscriptionFrame(
                    text, self._user_id, time_now_iso8601(), language=Language.EN
                )
            )

    def _on_final(self, text: str) -> None:
        self._ends_pending -= 1
        last = not self._ends_pending
        if text or (last and self._answer_owed):
            self._results.put_nowait(self._transcription(text))
        if last:
            self._answer_owed = False
            self._settled.set()

    def _on_failure(self, reason: str) -> None:
        self._results.put_nowait(ErrorFrame(error=reason, processor=self))

    def _transcription(self, text: str) -> TranscriptionFrame:
        return TranscriptionFrame(
            text, self._user_id, time_now_iso8601(), language=Language.EN, finalized=True
        )

    async def _push_results(self) -> None:
        while True:
            frame = await self._results.get()
            if isinstance(frame, ErrorFrame):
                await self.push_error_frame(frame, force_treat_as_permanent=True)
            else:
                await self.push_frame(frame)
            self._results.task_done()
