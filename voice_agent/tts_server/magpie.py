"""MagpieTTS behind the protocol: several streams at once, each in a thread with a replica."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loguru import logger

from voice_agent.engines import EngineError
from voice_agent.paths import weights_dir
from voice_agent.tts.normalise import spoken
from voice_agent.tts.resample import ReplyAudio, Samples
from voice_agent.tts.service import SpokenAudio
from voice_agent.tts_server.backend import Backend, Made, ServedVoice, Text, Texts
from voice_agent.tts_server.magpie_model import Generation, MagpieModel, Stopped

__all__ = ["MagpieBackend"]

WARM_TEXT = "Hello, good evening."
_REGIONS = {"en": "US", "zh": "CN", "ja": "JP", "hi": "IN", "vi": "VN"}
"""Where a language's region is not its own name."""


class MagpieBackend(Backend):
    """A Magpie ``.nemo`` in this process.

    Args:
        model: Its file, or a name under which it was pulled.
        codec: The same of its codec; empty: what was pulled as nano-codec, else where the model's
            configuration says.
        device: "cuda", "cpu"; empty is a GPU where there is one.
        streams: At once.
    """

    model = "Magpie-Multilingual"

    def __init__(
        self, model: str | Path, codec: str | Path = "", *, device: str = "", streams: int = 4
    ) -> None:
        self.streams = streams
        self.sample_rate = 22_050
        self.voices: tuple[ServedVoice, ...] = ()
        self._path = _file(model, "a Magpie .nemo")
        self._codec = _file(codec, "the codec's .nemo") if codec else _pulled_codec()
        self._device = device
        self._loaded: MagpieModel | None = None
        self._replicas: asyncio.Queue[Any] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(max_workers=streams, thread_name_prefix="magpie")

    async def warm(self) -> None:
        """Load the weights, and let every replica say something nobody hears."""
        loop = asyncio.get_running_loop()
        self._loaded, replicas = await loop.run_in_executor(self._threads, self._load)
        for replica in replicas:
            self._replicas.put_nowait(replica)

    def _load(self) -> tuple[MagpieModel, list[Any]]:
        loaded = MagpieModel(self._path, self._codec, self._device)
        self.sample_rate = loaded.sample_rate
        self.voices = tuple(
            ServedVoice(f"{tag.upper()}.{speaker}", tag)
            for tag in map(_tag, loaded.languages())
            for speaker in loaded.speakers
        )
        replicas = [loaded.replica() for _ in range(self.streams)]
        for replica in replicas:
            warming = Generation(loaded, replica, 0, loaded.languages()[0], lambda: False)
            warming.speak(WARM_TEXT, last=True, put=lambda samples: None)
        return loaded, replicas

    async def speak(
        self, texts: Texts, voice: ServedVoice, out_hz: int
    ) -> AsyncGenerator[Made, None]:
        """See ``Backend.speak``."""
        if self._loaded is None:
            raise EngineError("the backend is not warm yet")
        replica = await self._replicas.get()
        stream = _Stream(self, self._loaded, replica, voice, out_hz, texts)
        try:
            async for made in stream.run(self._threads):
                yield made
        finally:
            stream.gone = True
            # The thread leaves at its next step; only then is the replica anybody else's.
            if stream.work is None:
                self._replicas.put_nowait(replica)
            else:
                stream.work.add_done_callback(lambda _: self._replicas.put_nowait(replica))

    def number(self, voice: ServedVoice) -> int:
        """Return a voice's place among the model's speakers."""
        assert self._loaded is not None
        return self._loaded.speakers.index(voice.name.partition(".")[2])

    async def close(self) -> None:
        """End the threads; streams under way are left at their next step."""
        await asyncio.to_thread(self._threads.shutdown)


class _Stream:
    """One stream between the event loop, which hands in texts, and the thread that speaks."""

    def __init__(
        self,
        backend: MagpieBackend,
        model: MagpieModel,
        replica: Any,
        voice: ServedVoice,
        out_hz: int,
        texts: Texts,
    ) -> None:
        self.gone = False
        """Nobody listens any more."""
        self.work: asyncio.Future[None] | Future[None] | None = None
        self._backend = backend
        self._model = model
        self._replica = replica
        self._voice = voice
        self._texts = texts
        self._reply = ReplyAudio(model.sample_rate, out_hz)
        self._asked: queue.SimpleQueue[Text | None] = queue.SimpleQueue()
        self._all = False  # no further text will come

    async def run(self, threads: ThreadPoolExecutor) -> AsyncGenerator[Made, None]:
        """Yield the audio as it is made."""
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[Made | None] = asyncio.Queue()

        def post(piece: Made | None) -> None:
            loop.call_soon_threadsafe(made.put_nowait, piece)

        self.work = loop.run_in_executor(threads, self._work, post)
        feeding = asyncio.create_task(self._feed())
        try:
            while (piece := await made.get()) is not None:
                yield piece
            await self.work
        finally:
            self.gone = True
            feeding.cancel()
            self._asked.put(None)

    async def _feed(self) -> None:
        while (text := await self._texts.take()) is not None:
            self._asked.put(text)
        self._all = True
        self._asked.put(None)

    def _work(self, post: Any) -> None:
        """Speak text by text; the thread's part."""
        language = self._voice.language.partition("-")[0]
        generation = Generation(
            self._model,
            self._replica,
            self._backend.number(self._voice),
            language,
            lambda: self.gone,
            self._was_cut,
        )
        last: Text | None = None
        try:
            while (text := self._asked.get()) is not None and not self.gone:
                last, ends = text, self._all and self._asked.qsize() <= 1
                self._say(generation, text, post, language, ends=ends)
            if last is not None:
                post(Made(last, SpokenAudio(self._reply.finish())))
        except Stopped:
            pass
        except RuntimeError as error:  # torch's own: out of memory, a kernel that failed
            raise EngineError(f"magpie failed: {error}") from error
        finally:
            post(None)

    def _say(
        self, generation: Generation, text: Text, post: Any, language: str, *, ends: bool
    ) -> None:
        speech = spoken(text.text, language)
        if not any(char.isalnum() for char in speech.text):
            return

        def put(samples: Samples) -> None:
            post(Made(text, SpokenAudio(self._reply.write(samples))))

        generation.speak(speech.text, last=ends, put=put)

    def _was_cut(self, seconds: float) -> None:
        self._backend.cut_texts += 1
        logger.warning("a text was ended by force after {:.1f} s of audio", seconds)


def _file(name: str | Path, what: str) -> Path:
    """Return a file, or the .nemo of what was pulled under a name."""
    path = Path(name).expanduser()
    if str(name) and path.is_file():
        return path
    pulled = sorted((weights_dir() / name).glob("*.nemo")) if str(name) else []
    if not pulled:
        raise EngineError(
            f"no file {str(name)!r}: say where {what} is (--model, --codec), or pull it "
            "(voice-agent models pull magpie nano-codec) and say --model magpie"
        )
    return pulled[0]


def _pulled_codec() -> Path | None:
    """Return the codec that was pulled, if it was."""
    return next(iter(sorted((weights_dir() / "nano-codec").glob("*.nemo"))), None)


def _tag(language: str) -> str:
    return f"{language}-{_REGIONS.get(language, language.upper())}"
