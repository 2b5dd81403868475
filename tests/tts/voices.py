"""The engines that the contract binds, each started for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.tts.serving import tts_server
from tests.tts.tiny_piper import make_voice
from voice_agent.engines import Engine, EngineContext, SessionInfo
from voice_agent.tts.espeak import EspeakEngine, EspeakSettings
from voice_agent.tts.local import PiperEngine, PiperSettings
from voice_agent.tts.riva import RivaVoiceEngine, RivaVoiceSettings
from voice_agent.tts.scripted import ScriptedEngine, ScriptedSettings
from voice_agent.tts.service import SpeechService


def session(rate_hz: int = 48_000) -> SessionInfo:
    return SessionInfo("test", audio_out_hz=rate_hz)


Make = Callable[[int], SpeechService]


@asynccontextmanager
async def _started(engine: Engine[Any]) -> AsyncIterator[Make]:
    await engine.start()
    try:
        yield lambda rate_hz: engine.service(session(rate_hz))
    finally:
        await engine.stop()


def espeak() -> AbstractAsyncContextManager[Make]:
    return _started(EspeakEngine(EspeakSettings(), EngineContext([])))


def scripted() -> AbstractAsyncContextManager[Make]:
    return _started(ScriptedEngine(ScriptedSettings(ttfb_ms=0, speed=200), EngineContext([])))


@asynccontextmanager
async def riva() -> AsyncIterator[Make]:
    """The engine ``riva`` and a server of ours in this process, with a socket between them."""
    async with tts_server() as address:
        settings = RivaVoiceSettings.model_validate({"server": address})
        async with _started(RivaVoiceEngine(settings, EngineContext([]))) as make:
            yield make


@asynccontextmanager
async def piper() -> AsyncIterator[Make]:
    """Piper itself, with a voice that makes a tone of every phoneme."""
    with TemporaryDirectory() as folder:
        make_voice(Path(folder) / "piper")
        settings = PiperSettings(voice="en_US-tones-low")
        async with _started(PiperEngine(settings, EngineContext([Path(folder)]))) as make:
            yield make


VOICES: dict[str, Callable[[], AbstractAsyncContextManager[Make]]] = {
    "espeak": espeak,
    "scripted": scripted,
    "riva": riva,
    "piper": piper,
}
SPEAKING = [name for name in VOICES if name != "scripted"]
"""Those that make speech; the scripted one is an instrument, as loud as its settings say."""
EXACT = [name for name in VOICES if name != "piper"]
"""Those that know where a word is, and need not estimate it."""
