"""The recogniser with fixed latencies: an instrument to measure everything else with.

It does not recognise. While the VAD hears a voice it says one more word at a steady pace, by the
clock of the audio, and its final transcript comes a fixed time after it was asked for. The words
are neutral and say so (``NEUTRAL``), unless a client has told which words it is about to play and
when each one ends (``ExpectedWordsFrame``): then they come as a real recogniser would hear them,
each ``word_delay_ms`` after its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

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
from voice_agent.frames import (
    NEUTRAL,
    ExpectedWordsFrame,
    FinalizeTranscriptFrame,
    VoicePausedFrame,
)

_Transcript = TypeVar("_Transcript", InterimTranscriptionFrame, TranscriptionFrame)


class ScriptedSettings(EngineSettings):
    """``[asr]`` with ``engine = "scripted"``."""

    word: str = Field("word", min_length=1)
    """What every word is."""
    word_ms: float = Field(300.0, gt=0)
    """One word for so much voice."""
    final_ms: float = Field(30.0, ge=0)
    """From the request to the final transcript."""
    word_delay_ms: float = Field(60.0, ge=0)
    """From the end of an expected word to the partial transcript that holds it: what a recogniser
    of 80 ms chunks takes on average, with a few ms for its model."""


class ScriptedSTTService(STTService):
    """Words by the clock of the audio; see the module."""

    def __init__(self, settings: ScriptedSettings) -> None:
        """Make the service of one conversation."""
        super().__init__(
            audio_passthrough=False,
            enable_direct_mode=True,  # nothing here waits: fifty packets a second need no queue
            ttfs_p99_latency=settings.final_ms / 1000,
            settings=STTSettings(model="scripted", language=Language.EN),
        )
        self._script = settings
        self._voice = False
        self._voiced_ms = 0.0
        """Voice since the last final transcript."""
        self._words = 0
        self._final: asyncio.Task[None] | None = None
        self._final_text = ""
        self._answer_owed = False
        self._expected: list[tuple[str, float]] | None = None
        """Words to come: (text, ms from the onset of the utterance to the word's end)."""
        self._onset_ms: float | None = None
        """Media time since the onset of the expected utterance."""

    async def cleanup(self) -> None:
        """Drop a final transcript that is under way."""
        await self._cancel_final()
        await super().cleanup()  # type: ignore[no-untyped-call]

    async def stop(self, frame: EndFrame) -> None:
        """Let a final transcript that is under way out first."""
        if self._final is not None:
            await self._final
        await super().stop(frame)

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
        if isinstance(frame, ExpectedWordsFrame):
            self._expected, self._onset_ms = list(frame.words), None
            self._words = 0
            return
        if isinstance(frame, VoicePausedFrame):
            self._voice = False
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._voice = True
            if self._onset_ms is None:
                self._onset_ms = frame.start_secs * 1000
            await self._heard(frame.start_secs * 1000 if not self._voiced_ms else 0.0)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._voice = False
            self._finalize(answer=False)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Count audio while there is a voice."""
        ms = 1000 * len(audio) / (2 * self.sample_rate)
        if self._onset_ms is not None:
            self._onset_ms += ms
        if self._voice or self._expected:
            await self._heard(ms if self._voice else 0.0)
        yield None

    async def _heard(self, ms: float) -> None:
        """Say the words that so much more voice makes."""
        self._voiced_ms += ms
        if self._expected is None:
            words = int(self._voiced_ms / self._script.word_ms + 0.5)
        else:
            heard_ms = (self._onset_ms or 0.0) - self._script.word_delay_ms
            words = sum(at_ms <= heard_ms for _, at_ms in self._expected)
        if words != self._words:
            self._words = words
            await self.push_frame(self._transcript(InterimTranscriptionFrame, self._text(words)))

    def _text(self, words: int) -> str:
        if self._expected is None:
            return " ".join([self._script.word] * words)
        return " ".join(text for text, _ in self._expected[:words])

    def _transcript(self, kind: type[_Transcript], text: str) -> _Transcript:
        result = NEUTRAL if self._expected is None else None
        frame = kind(text, self._user_id, time_now_iso8601(), language=Language.EN, result=result)
        if isinstance(frame, TranscriptionFrame):
            frame.finalized = True
        return frame

    def _finalize(self, *, answer: bool) -> None:
        if self._expected is not None:
            # Asked for its final words a recogniser says what it heard to the end of the voice.
            until_ms = self._onset_ms or 0.0
            self._words = sum(at_ms <= until_ms for _, at_ms in self._expected)
        elif self._voiced_ms:
            self._words = max(1, self._words)
        text, words = self._text(self._words), self._words
        self._words, self._voiced_ms = 0, 0.0
        if self._expected is not None:
            self._expected = self._expected[words:]
        self._final_text = " ".join(part for part in (self._final_text, text) if part)
        self._answer_owed |= answer
        if (words or answer) and self._final is None:
            self._final = self.create_task(self._say_final(), name="final")

    async def _say_final(self) -> None:
        await asyncio.sleep(self._script.final_ms / 1000)
        text, self._final_text = self._final_text, ""
        self._answer_owed, self._final = False, None
        await self.push_frame(self._transcript(TranscriptionFrame, text))


class ScriptedEngine(Engine[ScriptedSettings]):
    """Nothing to load."""

    Settings = ScriptedSettings

    async def start(self) -> None:
        """Nothing to do."""

    def service(self, session: SessionInfo) -> ScriptedSTTService:
        """Make the service of one conversation."""
        return ScriptedSTTService(self.settings)
