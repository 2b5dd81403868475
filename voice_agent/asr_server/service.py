"""Riva's recognition service on our scheduler; any Riva client can use it.

Beyond Riva: ``runtime_config["force_eou"] = "true"`` is decoded on a copy of the stream and is
always answered by one final transcript, be it empty, that carries the request's ``id``; the stream
goes on as if it had not been asked. ``GetRivaSpeechRecognitionConfig`` says so (``force_eou`` is
``copy``), so that a client knows. Finals without being forced come where a client asks for
endpointing (``stop_history_eou`` or ``stop_history``, ms without a word), and at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import numpy as np
import soxr
from riva.client.proto import riva_asr_pb2 as asr
from riva.client.proto import riva_asr_pb2_grpc as asr_grpc
from riva.client.proto import riva_audio_pb2 as audio

from voice_agent.asr_server.boost import Boost
from voice_agent.asr_server.mel import RATE_HZ
from voice_agent.asr_server.models import Model
from voice_agent.asr_server.scheduler import Heard, Live, Scheduler
from voice_agent.asr_server.wav_header import wav_header
from voice_agent.asr_server.words import Transcript
from voice_agent.riva.server import Admission
from voice_agent.riva.words import Word

DEFAULT_BOOST = 4.0
_RATES_HZ = range(8_000, 96_001)


class BadRequest(ValueError):
    """The client asks for something that cannot be had; the message says what can."""


class Recognition(asr_grpc.RivaSpeechRecognitionServicer):  # type: ignore[misc]
    """The service.

    Args:
        scheduler: Computes.
        admission: Bounds the streams; admits none before ``begin``.
    """

    def __init__(self, scheduler: Scheduler, admission: Admission) -> None:
        self.model = ""
        """Its name; empty before ``begin``."""
        self._scheduler = scheduler
        self._admission = admission
        self._pieces: Sequence[str] = ()
        self._parameters: dict[str, str] = {}
        self._boosts: dict[tuple[tuple[str, ...], float], Boost] = {}

    def begin(self, model: Model, parameters: dict[str, str]) -> None:
        """Serve ``model``; ``parameters`` is what clients are told of it."""
        self.model, self._pieces, self._parameters = model.name, model.pieces, parameters

    async def GetRivaSpeechRecognitionConfig(self, request: Any, context: Any) -> Any:
        """Say which model there is, and what this server can do."""
        if not self.model:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the model is being loaded")
        answer = asr.RivaSpeechRecognitionConfigResponse()
        config = answer.model_config.add(model_name=self.model)
        config.parameters.update(self._parameters)
        return answer

    async def Recognize(self, request: Any, context: Any) -> Any:
        """Transcribe a recording that is complete."""
        await self._admission.admit(context)
        with self._admission.admitted():
            try:
                caller = _Caller(self._scheduler, request.config, self._boost(request.config))
            except BadRequest as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            try:
                await caller.hear(request.audio)
                result = await caller.final()
            except BadRequest as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            finally:
                caller.close()
            offline = asr.SpeechRecognitionResult(
                alternatives=result.alternatives,
                channel_tag=result.channel_tag,
                audio_processed=result.audio_processed,
            )
            return asr.RecognizeResponse(results=[offline], id=request.id)

    async def StreamingRecognize(
        self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[Any]:
        """Transcribe a live stream."""
        await self._admission.admit(context)
        with self._admission.admitted():
            try:
                first = await anext(requests)
                if not first.HasField("streaming_config"):
                    raise BadRequest("the first message must have a streaming_config")
                config = first.streaming_config
                caller = _Caller(
                    self._scheduler,
                    config.config,
                    self._boost(config.config),
                    interim=config.interim_results,
                    request_id=first.id.value if first.HasField("id") else "",
                )
            except StopAsyncIteration:
                return
            except BadRequest as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            reading = asyncio.create_task(caller.read(requests), name="requests")
            try:
                async for response in caller.responses(reading):
                    yield response
                await reading
            except BadRequest as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            finally:
                reading.cancel()
                caller.close()
                await asyncio.gather(reading, return_exceptions=True)

    def _boost(self, config: Any) -> Boost | None:
        phrases = tuple(p for context in config.speech_contexts for p in context.phrases)
        if not phrases:
            return None
        score = max(context.boost for context in config.speech_contexts) or DEFAULT_BOOST
        key = (phrases, score)
        if key not in self._boosts:
            if len(self._boosts) >= 64:
                self._boosts.clear()
            self._boosts[key] = Boost(phrases, score, self._pieces)
        return self._boosts[key]


class _Caller:
    """One call: requests in, responses out.

    Raises:
        BadRequest: Its configuration cannot be had.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        config: Any,
        boost: Boost | None,
        *,
        interim: bool = False,
        request_id: str = "",
    ) -> None:
        if config.encoding not in (audio.LINEAR_PCM, audio.ENCODING_UNSPECIFIED):
            raise BadRequest("only LINEAR_PCM is understood: 16-bit mono")
        if config.audio_channel_count > 1:
            raise BadRequest("only mono is understood: send each channel as a stream of its own")
        self._rate_hz = config.sample_rate_hertz or RATE_HZ
        self._resampler = _resampler(self._rate_hz)
        self._word_times = config.enable_word_time_offsets
        self._endpoint_ms = _endpoint_ms(config)
        self._interim = interim
        self._id = request_id
        self._transcript = Transcript()
        self._scheduler = scheduler
        self._heard: Heard | None = None
        self._finalizing = asyncio.Lock()
        self._beginning = True
        self._odd = b""
        self._said = ""
        self._reported_ms = 0
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._partial_queued = False
        self._live: Live = scheduler.open(self._on_heard, boost)

    def close(self) -> None:
        """Let go of the stream."""
        self._scheduler.close(self._live)

    async def read(self, requests: AsyncIterator[Any]) -> None:
        """Take in the client's messages to their end, then finish the last utterance."""
        async for request in requests:
            if request.audio_content:
                await self.hear(request.audio_content)
            if request.runtime_config.get("force_eou") == "true":
                given = request.id.value if request.HasField("id") else ""
                self._out.put_nowait(self._response(await self.final(), given))
        result = await self.final()
        if result.alternatives[0].transcript:
            self._out.put_nowait(self._response(result))

    async def responses(self, reading: asyncio.Task[None]) -> AsyncIterator[Any]:
        """Yield what is to be said until the requests have ended and all is said."""
        reading.add_done_callback(lambda _: self._out.put_nowait(None))
        while (response := await self._out.get()) is not None:
            if response is _PARTIAL:
                self._partial_queued = False
                if (partial := self._partial()) is not None:
                    yield partial
            else:
                yield response

    async def hear(self, data: bytes) -> None:
        """Take in audio as it comes over the wire.

        Raises:
            BadRequest: It begins with a header of something that cannot be understood.
        """
        if self._beginning:
            self._beginning = False
            data = self._without_header(data)
        data, self._odd = _whole_samples(self._odd + data)
        if self._resampler is not None:
            data = self._resampler.resample_chunk(np.frombuffer(data, np.int16)).tobytes()
        if data:
            await self._scheduler.hear(self._live, data)

    async def final(self) -> Any:
        """Return the final result for all that was heard and not yet told."""
        async with self._finalizing:
            ended = await self._scheduler.final(self._live)
            words = self._transcript.final(ended.words, ended.forgotten)
        self._said = ""
        return self._result(words, ended.heard_ms, final=True)

    @property
    def _final_begun(self) -> bool:
        """A final is being decoded: what is news can be told only when it is there."""
        return self._finalizing.locked() and not self._live.asked

    def _on_heard(self, heard: Heard) -> None:
        self._heard = heard
        if self._interim and not self._partial_queued:
            self._partial_queued = True
            self._out.put_nowait(_PARTIAL)
        if self._endpoint_ms and not self._final_begun:
            words = self._transcript.partial(heard.words)
            if words and heard.decoded_ms - words[-1].end_ms >= self._endpoint_ms:
                # There has been silence since: the stream itself knows all there is to know.
                self._transcript.final(heard.words, self._scheduler.forget(self._live))
                self._heard, self._said = None, ""
                result = self._result(words, heard.decoded_ms, final=True)
                self._out.put_nowait(self._response(result))

    def _partial(self) -> Any | None:
        """Return the partial transcript as it is now; None while a final is being decoded."""
        if self._heard is None or self._final_begun:
            return None
        words = self._transcript.partial(self._heard.words)
        text = " ".join(word.text for word in words)
        # The same words again only say how far it has got; twice a second is enough for that.
        if text == self._said and self._heard.decoded_ms - self._reported_ms < 500:
            return None
        self._said, self._reported_ms = text, self._heard.decoded_ms
        return self._response(self._result(words, self._heard.decoded_ms, final=False))

    def _result(self, words: Sequence[Word], audio_ms: int, *, final: bool) -> Any:
        result = asr.StreamingRecognitionResult(
            is_final=final,
            stability=1.0 if final else 0.9,
            audio_processed=audio_ms / 1000,
            channel_tag=1,
        )
        best = result.alternatives.add(transcript=" ".join(word.text for word in words))
        best.confidence = 1.0 if final else 0.0
        if self._word_times:
            for word in words:
                best.words.add(word=word.text, start_time=word.start_ms, end_time=word.end_ms)
        return result

    def _response(self, result: Any, given_id: str = "") -> Any:
        response = asr.StreamingRecognizeResponse(results=[result])
        if given_id or self._id:
            response.id.value = given_id or self._id
        return response

    def _without_header(self, data: bytes) -> bytes:
        try:
            header = wav_header(data)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        if header is None:
            return data
        if header.channels != 1:
            raise BadRequest("only mono is understood: send each channel as a stream of its own")
        if header.rate_hz != self._rate_hz:
            self._resampler = _resampler(header.rate_hz)
        return data[header.data_at :]


_PARTIAL = object()
"""In the queue of responses: the partial transcript as it is when its turn comes."""


def _resampler(rate_hz: int) -> soxr.ResampleStream | None:
    if rate_hz not in _RATES_HZ:
        raise BadRequest(f"{rate_hz} Hz; should be 8000 to 96000")
    if rate_hz == RATE_HZ:
        return None
    return soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="int16")


def _endpoint_ms(config: Any) -> int:
    """Return after how much silence the client wants a final by itself, ms; 0 for never."""
    wanted = config.endpointing_config
    for value in (wanted.stop_history_eou, wanted.stop_history):
        if value > 0:
            return int(value)
    with contextlib.suppress(ValueError):
        return int(config.custom_configuration.get("stop_history_eou", "0"))
    return 0


def _whole_samples(data: bytes) -> tuple[bytes, bytes]:
    whole = len(data) - len(data) % 2
    return data[:whole], data[whole:]
