"""Larger voices on this machine, each behind Pipecat's own service: Kokoro, Piper, Pocket TTS.

Pipecat's services load their model for every conversation, fetch it if it is missing, and resample
every piece on its own. Here one of them is made a process, at the model's own rate, from weights
that somebody pulled; conversations take turns at it, clause by clause.
"""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame
from pipecat.services.tts_service import TTSService

from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo
from voice_agent.tts.loudness import REFERENCE, gain_to
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import Onset, ReplyAudio, Samples
from voice_agent.tts.service import SpeechService, SpeechSettings, SpokenAudio
from voice_agent.tts.words import TimedWord, WordEstimate


class LocalSettings(SpeechSettings):
    """What the three have in common."""

    voice: str
    language: str = "en"


SettingsT = TypeVar("SettingsT", bound=LocalSettings)


class LocalSpeech(SpeechService):
    """The service of one conversation."""

    def __init__(self, engine: LocalEngine[Any], session: SessionInfo) -> None:
        settings = engine.settings
        super().__init__(
            sample_rate=session.audio_out_hz,
            native_hz=engine.hz,
            voice=settings.voice,
            model=engine.name,
            language=settings.language.partition("-")[0],
            rules=settings.clause_rules(),
        )
        self._engine = engine

    async def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Have the engine say one clause; see ``SpeechService.speak``."""
        if not any(char.isalnum() for char in speech.text):
            return
        reply.gain = self._engine.gain
        start, words = reply.position, WordEstimate(speech.words, self._engine.pace)
        onset = Onset(self._engine.hz)
        clause = self._engine.say(speech.text, lambda: reply.cancelled)
        async with aclosing(clause) as pieces:
            async for piece in pieces:
                samples = piece if start else onset(piece)
                known = words.until(reply.position - start + len(samples))
                yield SpokenAudio(reply.write(samples), _placed(known, start, reply))
        rest = words.finish(reply.position - start)
        yield SpokenAudio(b"", _placed(rest, start, reply))


def _placed(words: list[TimedWord], start: int, reply: ReplyAudio) -> tuple[TimedWord, ...]:
    return tuple(
        TimedWord(w.text, reply.place(start + w.start), reply.place(start + w.end)) for w in words
    )


class LocalEngine(Engine[SettingsT]):
    """One of Pipecat's services, loaded once."""

    name: str
    extra: str
    """What installs it."""

    def __init__(self, settings: SettingsT, context: EngineContext) -> None:
        super().__init__(settings, context)
        self.hz = 0
        """The model's own rate."""
        self.gain = 1.0
        self.pace = 0.0
        """Samples a character takes."""
        self._inner: TTSService | None = None
        self._turn = asyncio.Lock()
        self._clauses: set[asyncio.Task[None]] = set()

    @abstractmethod
    def load(self) -> tuple[TTSService, int]:
        """Return Pipecat's service and the rate of its model; blocks.

        Raises:
            ImportError: Its extra is not installed.
            EngineError: Its weights are not there.
        """

    async def start(self) -> None:
        """Load the model and hear it once."""
        try:
            inner, self.hz = await asyncio.to_thread(self.load)
        except ImportError as error:
            raise EngineError(
                f"{self.name} is not installed: pip install 'voice-agent[{self.extra}]' ({error})"
            ) from error
        # Pipecat sets it when a pipeline starts; at the model's rate nothing is resampled in it.
        inner._sample_rate = self.hz
        self._inner = inner
        heard: list[Samples] = []
        for sentence in REFERENCE:
            heard += [samples async for samples in self.say(sentence, lambda: False)]
        samples = np.concatenate(heard)
        self.gain = gain_to(self.settings.loudness_lufs, samples, self.hz)
        self.pace = len(samples) / sum(map(len, REFERENCE))

    async def say(self, text: str, gone: Callable[[], bool]) -> AsyncGenerator[Samples, None]:
        """Yield the audio of ``text`` as it is made, when it is its turn.

        Closed early, the model is left after the piece it is at, and only then is the next one's
        turn: none of the three can be asked twice at once.

        Raises:
            EngineError: The model failed.
        """
        made: asyncio.Queue[Samples | EngineError | None] = asyncio.Queue()
        left = False
        work = asyncio.create_task(
            self._say(text, made, lambda: left or gone()), name=f"{self.name}: a clause"
        )
        self._clauses.add(work)
        work.add_done_callback(self._clauses.discard)
        try:
            while (piece := await made.get()) is not None:
                if isinstance(piece, EngineError):
                    raise piece
                yield piece
        finally:
            left = True

    async def _say(
        self,
        text: str,
        made: asyncio.Queue[Samples | EngineError | None],
        gone: Callable[[], bool],
    ) -> None:
        assert self._inner is not None
        try:
            async with self._turn:
                if gone():
                    return
                async with aclosing(self._inner.run_tts(text, self.name)) as frames:
                    async for frame in frames:
                        if isinstance(frame, ErrorFrame):
                            made.put_nowait(EngineError(f"{self.name} failed: {frame.error}"))
                        elif isinstance(frame, TTSAudioRawFrame):
                            made.put_nowait(np.frombuffer(frame.audio, np.int16))
                        if gone():
                            return
        finally:
            made.put_nowait(None)

    def service(self, session: SessionInfo) -> LocalSpeech:
        """Make the service of one conversation.

        Raises:
            EngineError: The engine is not started.
        """
        if self._inner is None:
            raise EngineError(f"the {self.name} engine must be started before it makes a service")
        return LocalSpeech(self, session)

    async def stop(self) -> None:
        """Wait for the clause that is being made, and let the model go."""
        if self._clauses:
            await asyncio.wait(self._clauses)
        self._inner = None

    def weights(self, pulled: str, pattern: str) -> Path:
        """Return the first file like ``pattern`` among what was pulled under a name.

        Raises:
            EngineError: Nothing was.
        """
        try:
            found = sorted(self.context.find(pulled).rglob(pattern))
        except EngineError:
            found = []
        if not found:
            raise EngineError(
                f"{self.name} has no {pattern} yet: voice-agent models pull {pulled} downloads it, "
                f"or bring it into a folder called {pulled!r} beside the pipeline"
            )
        return found[0]


class KokoroSettings(LocalSettings):
    """``[tts]`` with ``engine = "kokoro"``."""

    voice: str = "af_heart"
    model: str = "kokoro"
    """What was pulled, or a folder with kokoro-v1.0.onnx and voices-v1.0.bin."""


class KokoroEngine(LocalEngine[KokoroSettings]):
    """Kokoro 82M in onnxruntime, 24 kHz."""

    Settings = KokoroSettings
    name, extra = "kokoro", "kokoro"

    def load(self) -> tuple[TTSService, int]:
        """See ``LocalEngine.load``."""
        settings = self.settings
        model = self.weights(settings.model, "kokoro*.onnx")
        voices = self.weights(settings.model, "voices*.bin")
        from pipecat.services.kokoro.tts import KokoroTTSService
        from pipecat.transcriptions.language import Language

        wanted = KokoroTTSService.Settings(
            voice=settings.voice, language=Language(settings.language)
        )
        try:
            service = KokoroTTSService(
                model_path=str(model), voices_path=str(voices), settings=wanted
            )
        except ValueError as error:
            raise EngineError(f"kokoro: {error}") from error
        return service, 24_000


class PiperSettings(LocalSettings):
    """``[tts]`` with ``engine = "piper"``."""

    voice: str = "en_US-lessac-medium"
    model: str = "piper"
    """What was pulled, or a folder with VOICE.onnx and VOICE.onnx.json somewhere in it."""


class PiperEngine(LocalEngine[PiperSettings]):
    """Piper in onnxruntime; GPL, so only where somebody installs it."""

    Settings = PiperSettings
    name, extra = "piper", "piper"

    def load(self) -> tuple[TTSService, int]:
        """See ``LocalEngine.load``."""
        settings = self.settings
        model = self.weights(settings.model, f"{settings.voice}.onnx")
        from pipecat.services.piper.tts import PiperTTSService
        from piper import SynthesisConfig

        service = PiperTTSService(
            download_dir=model.parent, settings=PiperTTSService.Settings(voice=settings.voice)
        )
        voice: Any = service._voice
        # By itself it brings every sentence to full scale, a whispered one too.
        voice.synthesize = partial(
            voice.synthesize, syn_config=SynthesisConfig(normalize_audio=False)
        )
        return service, int(voice.config.sample_rate)


class PocketSettings(LocalSettings):
    """``[tts]`` with ``engine = "pocket"``."""

    voice: str = "alba"
    """One of Kyutai's, or a WAV to speak like."""


class PocketEngine(LocalEngine[PocketSettings]):
    """Kyutai's Pocket TTS in torch, on CPUs; its weights are in the hub's own cache."""

    Settings = PocketSettings
    name, extra = "pocket", "pocket"

    def load(self) -> tuple[TTSService, int]:
        """See ``LocalEngine.load``."""
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded at a start
        from pipecat.services.pocket_tts.tts import PocketTTSService
        from pipecat.transcriptions.language import Language

        settings = self.settings
        wanted = PocketTTSService.Settings(
            voice=settings.voice, language=Language(settings.language)
        )
        try:
            service = PocketTTSService(settings=wanted)
        except (OSError, ValueError) as error:
            raise EngineError(
                f"pocket cannot be loaded ({error}). Its weights have to be in the hub's cache: "
                "HF_HUB_OFFLINE=0 pocket-tts generate, once, with a network"
            ) from error
        return service, int(service._model.sample_rate)
