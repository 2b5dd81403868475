"""eSpeak NG: every sentence in a millisecond, on any CPU, from a wheel of some megabytes.

Synthesis runs in one thread for all conversations. Each has at most one clause under way, so first
come, first served is fair: a clause takes about a thousandth of its length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from pydantic import Field

from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo
from voice_agent.tts.espeak_library import EspeakLibrary, Voice, espeak
from voice_agent.tts.loudness import REFERENCE, gain_to
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import ReplyAudio, Samples
from voice_agent.tts.service import SpeechService, SpeechSettings, SpokenAudio
from voice_agent.tts.words import TimedWord, WordTimer

# Quieter than this is silence, which eSpeak puts before a clause: waiting that nobody asked for.
_SILENCE = 100
_LEAD_MS = 2
_TAIL_MS = 20
# After its first word, a clause is handed over in pieces of this length: fewer frames.
_PIECE_MS = 300


class EspeakSettings(SpeechSettings):
    """``[tts]`` with ``engine = "espeak"``."""

    voice: str = "en-us"
    """A voice or language of eSpeak NG, with an optional variant: "en-us", "en-gb+f3"."""
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


class LevelLibrary:
    """eSpeak with every voice at one loudness; used by one thread.

    Args:
        library: The process's eSpeak.
        lufs: What every voice is brought to.
    """

    def __init__(self, library: EspeakLibrary, lufs: float) -> None:
        self.synthesize = library.synthesize
        self.sample_rate = library.sample_rate
        self._lufs = lufs
        self._gains: dict[Voice, float] = {}

    def gain(self, voice: Voice) -> float:
        """Return the gain of a voice; measured when it is first used, which takes some ms."""
        known = replace(voice, words_per_minute=0)  # how fast it speaks hardly matters
        if known not in self._gains:
            parts: list[Samples] = []

            def keep(samples: Samples, words: object) -> bool:
                parts.append(samples)
                return True

            for sentence in REFERENCE:
                self.synthesize(sentence, voice, keep)
            self._gains[known] = gain_to(self._lufs, np.concatenate(parts), self.sample_rate)
        return self._gains[known]


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

    async def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Synthesize one clause in the thread; see ``SpeechService.speak``."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[SpokenAudio | None] = asyncio.Queue()
        clause = _Clause(
            speech,
            reply,
            self._current_voice(),
            lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece),
            self._pause_after(speech.text),
        )
        work = loop.run_in_executor(self._thread, clause.synthesize, self._library)
        work.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await work
        finally:
            clause.cancelled = True

    async def finish(self, reply: ReplyAudio) -> bytes:
        """Return the end of the resampler, computed where the rest was."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, reply.finish)

    def _current_voice(self) -> Voice:
        name = self._settings.voice
        return self._espeak.voice_of(
            name if isinstance(name, str) else self._espeak.voice, self.speed
        )

    def _pause_after(self, text: str) -> float:
        settings = self._espeak
        if text.endswith((".", "!", "?")):
            return settings.sentence_pause_ms
        return settings.clause_pause_ms if text.endswith((",", ";", ":")) else 0.0


class _Clause:
    """One clause on its way through eSpeak; everything but ``cancelled`` is the thread's."""

    def __init__(
        self,
        speech: Speech,
        reply: ReplyAudio,
        voice: Voice,
        post: Callable[[SpokenAudio], object],
        pause_after_ms: float,
    ) -> None:
        self.cancelled = False
        self._speech = speech
        self._reply = reply
        self._voice = voice
        self._post = post
        self._pause_after_ms = pause_after_ms
        self._timer = WordTimer(speech.words)
        self._held = np.zeros(0, np.int16)
        self._held_from = 0  # sample of the clause, its silent lead not counted
        self._lead = 0
        self._begun = False
        self._ready: list[TimedWord] = []
        self._from = 0  # sample of the reply

    def synthesize(self, library: LevelLibrary) -> None:
        """Speak the clause, posting pieces that end where a word does."""
        if self._gone():
            return
        self._reply.gain = library.gain(self._voice)
        pause = self._reply.write_silence(self._reply.pause_ms)
        self._reply.pause_ms = self._pause_after_ms
        self._from = self._reply.position
        if pause:
            self._post(SpokenAudio(pause))
        text = self._speech.text
        # eSpeak lowers its voice at the end of a text; a clause cut between words goes on.
        going_on = text[-1:].isalnum()
        library.synthesize(f"{text}," if going_on else text, self._voice, self._on_audio)
        if self._gone():
            return
        loud = (
            np.flatnonzero(np.abs(self._held) > _SILENCE) if self._begun else np.zeros(0, np.int64)
        )
        tail = self._reply.in_hz * _TAIL_MS // 1000
        end = self._held_from + (min(len(self._held), int(loud[-1]) + 1 + tail) if len(loud) else 0)
        self._ready += self._timer.finish(end)
        self._hand_over(end)

    def _gone(self) -> bool:
        return self.cancelled or self._reply.cancelled

    def _on_audio(self, samples: Samples, words: list[tuple[int, int]]) -> bool:
        if self._gone():
            return False
        if not self._begun:
            samples = self._skip_lead(samples)
        self._held = np.concatenate([self._held, samples])
        for position, sample in words:
            self._ready += self._timer.reached(position, max(0, sample - self._lead))
            # Up to a written word, which may be several spoken ones ("7:30").
            until = self._timer.complete_until
            long_enough = until - self._held_from >= self._reply.in_hz * _PIECE_MS // 1000
            if self._begun and self._ready and (long_enough or not self._held_from):
                self._hand_over(until)
        return True

    def _skip_lead(self, samples: Samples) -> Samples:
        loud = np.flatnonzero(np.abs(samples) > _SILENCE)
        skip = len(samples)
        if len(loud):
            self._begun = True
            skip = max(0, int(loud[0]) - self._reply.in_hz * _LEAD_MS // 1000)
        self._lead += skip
        return samples[skip:]

    def _hand_over(self, until: int) -> None:
        """Post the audio up to sample ``until`` of the clause, and the words that ended in it."""
        count = until - self._held_from
        samples, self._held = self._held[:count], self._held[count:]
        self._held_from = until
        place = self._reply.place
        words = tuple(
            TimedWord(word.text, place(self._from + word.start), place(self._from + word.end))
            for word in self._ready
        )
        self._ready.clear()
        self._post(SpokenAudio(self._reply.write(samples), words))


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
