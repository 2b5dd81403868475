"""A TTS of known latency: the instrument other stages are measured with.

It makes no speech. Every clause is a steady buzz, loud from its first sample on, that starts
exactly ``ttfb_ms`` after the clause was asked for and is delivered ``speed`` times faster than it
plays, whatever the machine is doing meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import lru_cache

import numpy as np
from pydantic import Field

from voice_agent.engines import Engine, EngineSettings, SessionInfo
from voice_agent.tts.clauses import ClauseRules
from voice_agent.tts.normalise import Speech, SpokenWord
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.service import SpeechService, SpokenAudio
from voice_agent.tts.words import TimedWord

PITCH_HZ = 150
BLOCK_MS = 100


class ScriptedSettings(EngineSettings):
    """``[tts]`` with ``engine = "scripted"``."""

    ttfb_ms: float = Field(80.0, ge=0)
    """From a clause asked for to its first audio, ms."""
    speed: float = Field(10.0, gt=0)
    """How many times faster than it plays the audio is delivered."""
    ms_per_word: float = Field(110.0, ge=0)
    """Length of a spoken word, ms; a sentence of ten words takes 1.1 s."""
    ms_per_char: float = Field(0.0, ge=0)
    """Added for every character of a word, ms."""
    level_dbfs: float = Field(-12.0, le=-3.0)
    """RMS level of the buzz, dB below full scale."""
    first_clause_max_words: int = Field(ClauseRules.first_clause_max_words, ge=1)
    """The first clause of a reply is cut after this many words at the latest."""


@lru_cache(maxsize=16)
def buzz(rate_hz: int, level_dbfs: float) -> bytes:
    """Return a second of voice-like buzz (int16 mono) that loops without a seam.

    Harmonics of 150 Hz under three formants (700, 1200 and 2600 Hz), phases spread so that the
    peaks are low, rotated so that it starts at full level.
    """
    numbers = np.arange(1, min(rate_hz // 2, 4000) // PITCH_HZ)
    hertz = numbers * PITCH_HZ
    formants = ((700, 130), (1200, 160), (2600, 250))
    weights = 0.05 + sum(np.exp(-(((hertz - centre) / width) ** 2)) for centre, width in formants)
    spectrum = np.zeros(rate_hz // 2 + 1, np.complex128)
    spectrum[hertz] = weights * np.exp(1j * np.pi * numbers * (numbers - 1) / len(numbers))
    wave = np.fft.irfft(spectrum, rate_hz)
    wave *= 32768 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(wave**2))
    wave = np.roll(wave, -int(np.argmax(np.abs(wave))))
    return np.clip(wave, -32768, 32767).astype(np.int16).tobytes()


class ScriptedSpeech(SpeechService):
    """The service of one conversation."""

    def __init__(self, settings: ScriptedSettings, session: SessionInfo) -> None:
        super().__init__(
            sample_rate=session.audio_out_hz,
            rules=ClauseRules(first_clause_max_words=settings.first_clause_max_words),
        )
        self._script = settings
        self._buzz = buzz(session.audio_out_hz, settings.level_dbfs)

    async def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Deliver the clause block by block; see ``SpeechService.speak``."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        start = reply.position
        words = self._words(speech.words, start, reply.out_hz)
        end = words[-1].end if words else start
        block = BLOCK_MS * reply.out_hz // 1000
        for begin in range(start, end, block):
            # Deadlines count from the request, so that a late wake-up does not add up.
            played_s = (begin - start) / reply.out_hz
            due = asked + self._script.ttfb_ms / 1000 + played_s / self._script.speed
            await asyncio.sleep(max(0.0, due - loop.time()))
            until = min(begin + block, end)
            reply.position = until
            yield SpokenAudio(
                audio=self._cut(begin, until),
                words=tuple(word for word in words if begin <= word.start < until),
            )

    def _words(self, words: tuple[SpokenWord, ...], start: int, rate_hz: int) -> list[TimedWord]:
        timed = []
        ms = 0.0
        for word in words:
            begin = start + round(ms * rate_hz / 1000)
            length_ms = self._script.ms_per_word + self._script.ms_per_char * len(word.original)
            ms += length_ms / self.speed
            timed.append(TimedWord(word.original, begin, start + round(ms * rate_hz / 1000)))
        return timed

    def _cut(self, begin: int, until: int) -> bytes:
        """Return samples ``begin`` to ``until`` of the endless buzz."""
        second = len(self._buzz) // 2
        offset = begin % second
        length = until - begin
        turns = (offset + length) // second + 1
        return (self._buzz * turns)[2 * offset : 2 * (offset + length)]


class ScriptedEngine(Engine[ScriptedSettings]):
    """Nothing to load: what it says is computed."""

    Settings = ScriptedSettings
    speeds = True

    async def start(self) -> None:
        """Make the buzz at the usual rates, so that no conversation has to."""
        for rate_hz in (8_000, 16_000, 24_000, 48_000):
            await asyncio.to_thread(buzz, rate_hz, self.settings.level_dbfs)

    def service(self, session: SessionInfo) -> ScriptedSpeech:
        """Make the service of one conversation."""
        return ScriptedSpeech(self.settings, session)
