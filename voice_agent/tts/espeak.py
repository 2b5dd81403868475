"""eSpeak NG: every sentence in a millisecond, on any CPU, from a wheel of some megabytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from pydantic import Field

from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo
from voice_agent.tts.espeak_clause import LevelLibrary, speak_clause
from voice_agent.tts.espeak_library import Voice, espeak
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.service import SpeechService, SpeechSettings, SpokenAudio


class EspeakSettings(SpeechSettings):
    """``[tts]`` with ``engine = "espeak"``."""

    voice: str = "en-us+klatt4"
    """A voice or language of eSpeak NG, with an optional variant: "en-us", "en-gb+f3". Klatt's way
    of making it is the one that a recogniser understands best (docs/voices.md)."""
    rate: int = Field(175, ge=80, le=450)
    """Words per minute."""
    pitch: int = Field(50, ge=0, le=99)
    pitch_range: int = Field(50, ge=0, le=100)
    """How far the voice rises and falls: 0 is monotone."""
    clause_pause_ms: float = Field(120.0, ge=0, le=2000)
    """Silence between clauses, ms."""
    sentence_pause_ms: float = Field(250.0, ge=0, le=2000)
    """Silence between sentences, ms."""

    def voice_of(self, name: str, speed: float = 1.0) -> Voice:
        """Return how eSpeak is to speak as ``name``, ``speed`` times as fast as the rate says."""
        rate = min(max(round(self.rate * speed), 80), 450)
        return Voice(name, rate, self.pitch, self.pitch_range)

    def pause_after(self, text: str) -> float:
        """Return the silence behind a clause, ms."""
        if text.endswith((".", "!", "?")):
            return self.sentence_pause_ms
        return self.clause_pause_ms if text.endswith((",", ";", ":")) else 0.0


class EspeakSpeech(SpeechService):
    """The service of one conversation."""

    def __init__(
        self,
        settings: EspeakSettings,
        session: SessionInfo,
        library: LevelLibrary,
        thread: ThreadPoolExecutor,
    ) -> None:
        super().__init__(
            sample_rate=session.audio_out_hz,
            native_hz=library.sample_rate,
            voice=settings.voice,
            model="espeak-ng",
            language=settings.voice.partition("-")[0].partition("+")[0],
            rules=settings.clause_rules(),
        )
        self._espeak = settings
        self._library = library
        self._thread = thread

    def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Synthesize one clause in the thread; see ``SpeechService.speak``."""
        pause_ms = self._espeak.pause_after(speech.text)
        voice = self._current_voice()
        return speak_clause(self._thread, self._library, speech, reply, voice, pause_ms)

    async def finish(self, reply: ReplyAudio) -> bytes:
        """Return the end of the resampler, computed where the rest was."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, reply.finish)

    def _current_voice(self) -> Voice:
        name = self._settings.voice
        return self._espeak.voice_of(
            name if isinstance(name, str) else self._espeak.voice, self.speed
        )


class EspeakEngine(Engine[EspeakSettings]):
    """The library, and the thread it runs in."""

    Settings = EspeakSettings
    speeds = True

    def __init__(self, settings: EspeakSettings, context: EngineContext) -> None:
        super().__init__(settings, context)
        self._library: LevelLibrary | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Load the library and the voice, and speak a word nobody hears."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._load)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        self._thread = thread

    def _load(self) -> None:
        library = LevelLibrary(espeak(), self.settings.loudness_lufs)
        library.gain(self.settings.voice_of(self.settings.voice))
        self._library = library

    def service(self, session: SessionInfo) -> EspeakSpeech:
        """Make the service of one conversation.

        Raises:
            EngineError: The engine is not started.
        """
        if self._library is None or self._thread is None:
            raise EngineError("the espeak engine must be started before it makes a service")
        return EspeakSpeech(self.settings, session, self._library, self._thread)

    async def stop(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        if thread:
            await asyncio.to_thread(thread.shutdown)
