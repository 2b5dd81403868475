"""eSpeak NG behind the protocol: a whole voice server that runs anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from voice_agent.engines import EngineError
from voice_agent.tts.espeak import EspeakSettings
from voice_agent.tts.espeak_clause import LevelLibrary, speak_clause
from voice_agent.tts.espeak_library import espeak
from voice_agent.tts.normalise import spoken
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.service import SpokenAudio
from voice_agent.tts_server.backend import Backend, Made, ServedVoice, Texts

_VOICES = {
    "en-US": ("en-us+klatt4", "en-us", "en-us+f2", "en-us+m3"),
    "en-GB": ("en-gb+klatt4", "en-gb", "en-gb+f3"),
    "de-DE": ("de", "de+f3"),
    "es-ES": ("es", "es+f3"),
    "fr-FR": ("fr-fr", "fr-fr+f3"),
    "it-IT": ("it", "it+f3"),
}
"""Those that are listed. eSpeak makes all of them from its own data."""


class EspeakBackend(Backend):
    """The engine ``espeak``, for other processes."""

    model = "eSpeak-NG"
    voices = tuple(
        ServedVoice(name, language) for language, names in _VOICES.items() for name in names
    )

    def __init__(self, settings: EspeakSettings | None = None, streams: int = 64) -> None:
        self.streams = streams
        self.sample_rate = 22_050
        self._settings = settings or EspeakSettings.model_validate({})
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
        self._library: LevelLibrary | None = None

    async def warm(self) -> None:
        """Load the library and the first voice."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def _load(self) -> None:
        library = LevelLibrary(espeak(), self._settings.loudness_lufs)
        library.gain(self._settings.voice_of(self._settings.voice))
        self.sample_rate = library.sample_rate
        self._library = library

    async def speak(
        self, texts: Texts, voice: ServedVoice, out_hz: int
    ) -> AsyncGenerator[Made, None]:
        """See ``Backend.speak``."""
        if self._library is None:
            raise EngineError("the backend is not warm yet")
        how = self._settings.voice_of(voice.name)
        reply = ReplyAudio(self._library.sample_rate, out_hz)
        last = None
        while (text := await texts.take()) is not None:
            last = text
            speech = spoken(text.text, voice.language.partition("-")[0])
            pause_ms = self._settings.pause_after(speech.text)
            pieces = speak_clause(self._thread, self._library, speech, reply, how, pause_ms)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield Made(text, piece)
        if last is not None:
            finish = asyncio.get_running_loop().run_in_executor(self._thread, reply.finish)
            yield Made(last, SpokenAudio(await finish))

    async def close(self) -> None:
        """End the thread."""
        await asyncio.to_thread(self._thread.shutdown)
