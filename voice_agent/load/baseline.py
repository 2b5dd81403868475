"""A stock Pipecat voice agent to compare with, in a process of its own.

It is Pipecat's getting-started voice agent, unchanged, over SmallWebRTC, or over Twilio's media
streams at 8 kHz as Pipecat's own project template sets it up: Silero VAD, the default turn
strategies (Smart Turn v3), sentences to the TTS, metrics on. Only its services are replaced,
by ones as fast as our ``fixed-latency`` pipeline's: a transcript 30 ms after the voice has stopped,
marked final; a language model with its first token after 120 ms and one more every 10 ms; a TTS
with its first audio after 80 ms and ten times faster than it plays.

``python -m voice_agent.load.baseline`` prints its address as one line when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np
import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request, Response, WebSocket
from loguru import logger
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import (
    SmallWebRTCPatchRequest,
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

FINAL_S = 0.030
TTFS_P99_S = 0.25
"""Told to Pipecat; less than its VAD's 0.2 s and the 30 ms makes its turn strategy warn. A final
transcript ends that wait anyway."""
TTFT_S = 0.120
TOKEN_S = 0.010
TTFB_S = 0.080
SPEED = 10.0
SENTENCE_S = 1.1
TELEPHONE_HZ = {"audio_in_sample_rate": 8000, "audio_out_sample_rate": 8000}
TOKENS = tuple(
    "We are open every day from noon until eleven tonight. "
    "The kitchen closes an hour before we lock the doors. "
    "Please tell me how many people will be with you.".split(" ")
)


class FixedSTT(STTService):
    """Says that something was said, 30 ms after the voice has stopped."""

    def __init__(self) -> None:
        super().__init__(
            ttfs_p99_latency=TTFS_P99_S, settings=STTSettings(model="fixed", language=None)
        )
        self._final: asyncio.Task[None] | None = None

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Recognise nothing."""
        yield None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a voice that stopped."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self._final = self.create_task(self._push_final())

    async def _push_final(self) -> None:
        await asyncio.sleep(FINAL_S)
        await self.push_frame(
            TranscriptionFrame(
                "The caller said something.", self._user_id, time_now_iso8601(), finalized=True
            )
        )


class FixedLLM(OpenAILLMService):
    """Pipecat's own OpenAI service, with a clock where the server would be."""

    def __init__(self) -> None:
        super().__init__(api_key="none", settings=OpenAILLMService.Settings(model="fixed"))

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """Stream three sentences."""
        return cast(AsyncStream[ChatCompletionChunk], self._stream())

    async def _stream(self) -> AsyncIterator[ChatCompletionChunk]:
        asked_s = time.monotonic()
        for number, token in enumerate(TOKENS):
            due_s = asked_s + TTFT_S + number * TOKEN_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            delta = ChoiceDelta(content=token + " ", role="assistant")
            yield ChatCompletionChunk(
                id="fixed",
                choices=[Choice(delta=delta, index=0)],
                created=0,
                model="fixed",
                object="chat.completion.chunk",
            )


class FixedTTS(TTSService):
    """A loud steady tone for every sentence."""

    def __init__(self) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="fixed", voice="tone", language=None),
        )

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Deliver 1.1 s of tone, 100 ms at a time."""
        asked_s = time.monotonic()
        block = self.sample_rate // 10
        tone = 10_000 * np.cos(2 * np.pi * 440 * np.arange(self.sample_rate) / self.sample_rate)
        for number in range(round(SENTENCE_S * 10)):
            due_s = asked_s + TTFB_S + number * 0.1 / SPEED
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            offset = number * block % self.sample_rate
            audio = tone[offset : offset + block].astype(np.int16).tobytes()
            yield TTSAudioRawFrame(audio, self.sample_rate, 1, context_id=context_id)


def browser(connection: SmallWebRTCConnection) -> BaseTransport:
    """Return the line of a browser."""
    return SmallWebRTCTransport(
        connection, TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    )


async def telephone(websocket: WebSocket) -> BaseTransport:
    """Return the line of a call that Twilio streams."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=call["stream_id"],
        call_sid=call["call_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    return FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
        ),
    )


async def run_bot(transport: BaseTransport, **hz: Any) -> None:
    """Hold one conversation, as the getting-started example does; ``hz``: sample rates, where
    they are not the usual ones."""
    user_aggregator, assistant_aggregator = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    pipeline = Pipeline(
        [
            transport.input(),
            FixedSTT(),
            user_aggregator,
            FixedLLM(),
            FixedTTS(),
            transport.output(),
            assistant_aggregator,
        ]
    )
    worker = PipelineWorker(
        pipeline, params=PipelineParams(enable_metrics=True, enable_usage_metrics=True, **hz)
    )

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def on_client_disconnected(transport: Any, client: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def app() -> FastAPI:
    """Return the server: offers and candidates, as Pipecat's development runner takes them."""
    handler = SmallWebRTCRequestHandler()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await handler.close()  # type: ignore[no-untyped-call]

    server = FastAPI(lifespan=lifespan)

    @server.post("/api/offer")
    async def offer(request: dict[str, Any], tasks: BackgroundTasks) -> dict[str, str] | None:
        async def connected(connection: SmallWebRTCConnection) -> None:
            tasks.add_task(run_bot, browser(connection))

        return await handler.handle_web_request(SmallWebRTCRequest.from_dict(request), connected)

    @server.patch("/api/offer")
    async def candidate(request: SmallWebRTCPatchRequest) -> dict[str, str]:
        await handler.handle_patch_request(request)
        return {"status": "success"}

    @server.post("/telephony/twilio/answer")
    async def answer(request: Request) -> Response:
        url = f"ws://{request.headers['host']}/ws"
        twiml = f'<Response><Connect><Stream url="{url}" /></Connect></Response>'
        return Response(twiml, media_type="application/xml")

    @server.websocket("/ws")
    async def media(websocket: WebSocket) -> None:
        await run_bot(await telephone(websocket), **TELEPHONE_HZ)

    return server


def main() -> None:
    """Serve on a port of 127.0.0.1 until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    port = parser.parse_args().port
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    listener = socket.create_server(("127.0.0.1", port))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app(), log_level="warning")).run([listener])


if __name__ == "__main__":
    main()
