"""The recogniser with fixed latencies: an instrument to measure everything else with.

It does not recognise. While the VAD hears a voice it says one more neutral word at a steady pace,
by the clock of the audio, and its final transcript comes a fixed time after it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601
from pydantic import Field

from voice_agent.engines import Engine, EngineSettings, SessionInfo
from voice_agent.frames import FinalizeTranscriptFrame


class ScriptedSettings(EngineSettings):
    """``[asr]`` with ``engine = "scripted"``."""

    word: str = Field("word", min_length=1)
    """What every word is."""
    word_ms: float = Field(300.0, gt=0)
    """One word for so much voice."""
    final_ms: float = Field(30.0, ge=0)
    """From the request to the final transcript."""


class ScriptedSTTService(STTService):
    """Words by the clock of the audio; see the module."""

    def __init__(self, settings: ScriptedSettings) -> None:
        """Make the service of one conversation."""
        super().__init__(
            audio_passthrough=False,
            ttfs_p99_latency=settings.final_ms / 1000,
            settings=STTSettings(model="scripted", language=Language.EN),
        )
        self._script = settings
        self._voice = False
        self._voiced_ms = 0.0
        """Voice since the last final transcript."""
        self._words = 0
        self._final: asyncio.Task[None] | None = None
        self._final_words = 0
        self._answer_owed = False

    async def cleanup(self) -> None:
        """Drop a final transcript that is under way."""
        await self._cancel_final()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def stop(self, frame: EndFrame) -> None:
        """Drop a final transcript that is under way."""
        await super().stop(frame)
        await self._cancel_final()

    async def cancel(self, frame: CancelFrame) -> None:
        """Drop a final transcript that is under way."""
        await super().cancel(frame)
        await self._cancel_final()

    async def _cancel_final(self) -> None:
        if self._final is not None:
            final, self._final = self._final, None
            await self.cancel_task(final)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follow the voice and answer requests; the rest is Pipecat's."""
        if isinstance(frame, FinalizeTranscriptFrame):
            self._finalize(answer=True)
            return
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._voice = True
            await self._heard(frame.start_secs * 1000)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._voice = False
            self._finalize(answer=False)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Count audio while there is a voice."""
        if self._voice:
            await self._heard(1000 * len(audio) / (2 * self.sample_rate))
        yield None

    async def _heard(self, ms: float) -> None:
        """Say the words that so much more voice makes; the first one at once."""
        self._voiced_ms += ms
        words = 1 + int(self._voiced_ms / self._script.word_ms)
        if words != self._words:
            self._words = words
            await self.push_frame(
                InterimTranscriptionFrame(
                    self._text(words), self._user_id, time_now_iso8601(), language=Language.EN
                )
            )

    def _text(self, words: int) -> str:
        return " ".join([self._script.word] * words)

    def _finalize(self, *, answer: bool) -> None:
        words, self._words, self._voiced_ms = self._words, 0, 0.0
        self._final_words += words
        self._answer_owed |= answer
        if (words or answer) and self._final is None:
            self._final = self.create_task(self._say_final(), name="final")

    async def _say_final(self) -> None:
        await asyncio.sleep(self._script.final_ms / 1000)
        words, self._final_words = self._final_words, 0
        self._answer_owed, self._final = False, None
        await self.push_frame(
            TranscriptionFrame(
                self._text(words),
                self._user_id,
                time_now_iso8601(),
                language=Language.EN,
                finalized=True,
            )
        )


class ScriptedEngine(Engine[ScriptedSettings]):
    """Nothing to load."""

    Settings = ScriptedSettings

    async def start(self) -> None:
        """Nothing to do."""

    def service(self, session: SessionInfo) -> ScriptedSTTService:
        """Make the service of one conversation."""
        return ScriptedSTTService(self.settings)
