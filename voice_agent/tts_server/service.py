"""NVIDIA's speech synthesis service over a backend: ``SynthesizeOnline`` as it is in Riva and NIM.

A stream is one reply. Its first request names voice, rate and format; every request adds text, and
the audio of each text is sent in pieces as it is made, with the request's id. A stream that its
caller cancels stops the model's work at its next step. Word times are milliseconds of the stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import grpc
import grpc.aio
from loguru import logger
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from riva.client.proto import riva_audio_pb2, riva_tts_pb2, riva_tts_pb2_grpc

from voice_agent.engines import EngineError
from voice_agent.riva.server import Admission, SpeechServer
from voice_agent.tts_server.backend import Backend, Made, ServedVoice, Text, Texts

__all__ = ["SynthesisService", "add_service"]

MOST_CHARACTERS = 2_000
"""Of one request; NVIDIA's own limit for Magpie."""
_RATES_HZ = range(8_000, 48_001)
_SOON_S = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class Figures:
    """What is told to Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.characters = Counter("tts_characters", "Characters asked for", registry=registry)
        self.audio_s = Counter("tts_audio_seconds", "Audio sent, seconds", registry=registry)
        self.cancelled = Counter("tts_cancelled", "Streams their caller ended", registry=registry)
        self.failed = Counter("tts_failed", "Streams that failed", registry=registry)
        self.first_audio_s = Histogram(
            "tts_first_audio_seconds",
            "From a stream's first text to its first audio, seconds",
            buckets=_SOON_S,
            registry=registry,
        )


class SynthesisService(riva_tts_pb2_grpc.RivaSpeechSynthesisServicer):  # type: ignore[misc]
    """The calls of ``RivaSpeechSynthesis``."""

    def __init__(self, backend: Backend, admission: Admission, figures: Figures) -> None:
        self._backend = backend
        self._admission = admission
        self._figures = figures

    async def SynthesizeOnline(
        self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[Any]:
        """Speak as the texts come."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        voice, out_hz = await self._asked(first, context)
        await self._admission.admit(context)
        texts = Texts()
        with self._admission.admitted():
            reading = asyncio.create_task(self._read(first, requests, texts, context))
            try:
                async for answer in self._answers(texts, voice, out_hz, context):
                    yield answer
                # What was wrong with a later request is told when the earlier ones are spoken.
                await reading
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading

    async def Synthesize(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Speak one text and return it whole."""
        voice, out_hz = await self._asked(request, context)
        await self._admission.admit(context)
        texts = Texts()
        texts.put(await self._text(request, context))
        texts.close()
        whole = riva_tts_pb2.SynthesizeSpeechResponse(id=request.id)
        with self._admission.admitted():
            async for answer in self._answers(texts, voice, out_hz, context):
                whole.audio += answer.audio
                whole.meta.MergeFrom(answer.meta)
        return whole

    async def GetRivaSynthesisConfig(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """List the voices, one entry a language, as NVIDIA's clients expect them."""
        answer = riva_tts_pb2.RivaSynthesisConfigResponse()
        for language in dict.fromkeys(voice.language for voice in self._backend.voices):
            names = [voice.name for voice in self._backend.voices if voice.language == language]
            entry = answer.model_config.add()
            entry.model_name = self._backend.model
            entry.parameters["language_code"] = language
            entry.parameters["voice_name"] = self._backend.model
            entry.parameters["subvoices"] = ",".join(
                f"{name}:{number}" for number, name in enumerate(names)
            )
            entry.parameters["sample_rate_hz"] = str(self._backend.sample_rate)
        return answer

    async def _read(
        self, first: Any, requests: AsyncIterator[Any], texts: Texts, context: Any
    ) -> None:
        try:
            texts.put(await self._text(first, context))
            async for request in requests:
                texts.put(await self._text(request, context))
        finally:
            texts.close()

    async def _answers(
        self, texts: Texts, voice: ServedVoice, out_hz: int, context: Any
    ) -> AsyncIterator[Any]:
        asked, sent = time.monotonic(), 0
        try:
            async with aclosing(self._backend.speak(texts, voice, out_hz)) as pieces:
                async for made in pieces:
                    if not made.piece.audio and not made.piece.words:
                        continue
                    if not sent and made.piece.audio:
                        self._figures.first_audio_s.observe(time.monotonic() - asked)
                    sent += len(made.piece.audio)
                    self._figures.audio_s.inc(len(made.piece.audio) / 2 / out_hz)
                    yield _answer(made, out_hz)
        except EngineError as error:
            self._figures.failed.inc()
            logger.error("synthesis failed: {}", error)
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        except (asyncio.CancelledError, GeneratorExit):
            self._figures.cancelled.inc()
            raise

    async def _asked(self, request: Any, context: Any) -> tuple[ServedVoice, int]:
        """Return the voice and the rate of a stream; ends the call when they cannot be had."""
        encoding = request.encoding
        if encoding not in (riva_audio_pb2.ENCODING_UNSPECIFIED, riva_audio_pb2.LINEAR_PCM):
            await self._refuse(context, "only LINEAR_PCM is spoken here")
        if request.HasField("zero_shot_data"):
            await self._refuse(context, "voices are not cloned here; ask for one that is listed")
        out_hz = request.sample_rate_hz or self._backend.sample_rate
        if out_hz not in _RATES_HZ:
            await self._refuse(context, f"sample_rate_hz is 8000 to 48000, not {out_hz}")
        voice = self._voice(request.voice_name, request.language_code)
        if voice is None:
            names = ", ".join(f"{self._backend.model}.{each.name}" for each in self._backend.voices)
            wanted = request.voice_name or request.language_code
            await self._refuse(context, f"no voice {wanted!r}; there are: {names}")
        assert voice is not None
        return voice, out_hz

    def _voice(self, name: str, language: str) -> ServedVoice | None:
        """Return the voice of this name, or the first of this language where none is named."""
        wanted = name.removeprefix(f"{self._backend.model}.").lower()
        for voice in self._backend.voices:
            if (
                wanted == voice.name.lower()
                if name
                else language.lower()
                in (
                    "",
                    voice.language.lower(),
                )
            ):
                return voice
        return None

    async def _text(self, request: Any, context: Any) -> Text:
        if len(request.text) > MOST_CHARACTERS:
            await self._refuse(context, f"at most {MOST_CHARACTERS} characters in a request")
        self._figures.characters.inc(len(request.text))
        return Text(request.text, request.id.value)

    async def _refuse(self, context: Any, why: str) -> None:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)


def _answer(made: Made, out_hz: int) -> Any:
    answer = riva_tts_pb2.SynthesizeSpeechResponse(audio=made.piece.audio)
    answer.id.value = made.text.number
    answer.meta.text = made.text.text
    for word in made.piece.words:
        answer.meta.words.add(
            word=word.text,
            start_time=word.start * 1000 // out_hz,
            end_time=word.end * 1000 // out_hz,
        )
    return answer


def add_service(server: SpeechServer, backend: Backend) -> None:
    """Serve ``backend`` on ``server``."""
    cut = Gauge("tts_texts_cut", "Texts ended by force", registry=server.registry)
    cut.set_function(lambda: backend.cut_texts)
    service = SynthesisService(
        backend, server.admission(backend.streams, "tts"), Figures(server.registry)
    )
    riva_tts_pb2_grpc.add_RivaSpeechSynthesisServicer_to_server(service, server.grpc)
