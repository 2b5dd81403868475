"""The server from its settings: model loaded, measured, served."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loguru import logger
from riva.client.proto import riva_asr_pb2_grpc as asr_grpc

from voice_agent.asr_server.capacity import measure
from voice_agent.asr_server.models import FRAME_MS, Model
from voice_agent.asr_server.scheduler import Scheduler
from voice_agent.asr_server.service import Recognition
from voice_agent.asr_server.stream import Recogniser
from voice_agent.riva.server import SpeechServer

Backend = Literal["nemo", "sherpa"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``voice-agent asr-server`` is told."""

    backend: Backend
    model: Path
    host: str = "127.0.0.1"
    port: int = 50051
    metrics_port: int | None = None
    chunk_ms: int = 160
    """For ``nemo``; a sherpa-onnx folder has its own."""
    streams: int = 0
    """At once at most; 0 measures it."""
    max_batch: int = 64
    tick_ms: float = 10.0
    threads: int = 0
    device: str = ""


def load(settings: Settings) -> Model:
    """Load the model; blocks.

    Raises:
        ModelError: It cannot be; the message says what to do.
    """
    if settings.backend == "nemo":
        from voice_agent.asr_server.nemo_model import NemoModel

        look_ahead = settings.chunk_ms // FRAME_MS - 1
        return NemoModel(settings.model, look_ahead, settings.device, settings.threads)
    from voice_agent.asr_server.onnx_model import OnnxModel

    return OnnxModel(settings.model, settings.threads or os.cpu_count() or 1)


async def run(settings: Settings, on_ready: Callable[[SpeechServer, str, int], None]) -> None:
    """Serve until a signal.

    Args:
        settings: What was asked for.
        on_ready: Told when it is ready: the server, the model's name, the streams admitted at once.

    Raises:
        ModelError: The model cannot be loaded.
        PortError: A port cannot be had.
    """
    # The port first: whoever waits for us sees that we are there, and that we are not ready.
    server = SpeechServer(settings.host, settings.port, metrics_port=settings.metrics_port)
    admission = server.admission(settings.streams, "asr")
    scheduler = Scheduler(
        server.registry,
        tick_ms=settings.tick_ms,
        max_batch=settings.max_batch,
        on_death=lambda: server.stop(at_once=True),
    )
    service = Recognition(scheduler, admission)
    asr_grpc.add_RivaSpeechRecognitionServicer_to_server(service, server.grpc)

    async def warm() -> None:
        model = await scheduler.in_thread(lambda: load(settings))
        recogniser = Recogniser(model)
        streams, alone_ms = await scheduler.in_thread(
            # Told how many there may be, it only warms up.
            lambda: measure(recogniser, settings.max_batch if not settings.streams else 1)
        )
        logger.info(
            "{}: a chunk of {} ms takes {:.1f} ms alone; {} streams can be carried",
            *(model.name, model.chunk_ms, alone_ms, streams),
        )
        parameters = {
            "server": "voice-agent",
            "force_eou": "copy",
            "type": "online",
            "streaming": "True",
            "language_code": "en-US",
            "sample_rate": "16000",
            "chunk_ms": str(model.chunk_ms),
            "backend": settings.backend,
        }
        scheduler.start(recogniser)
        service.begin(model, parameters)
        admission.limit = settings.streams or streams

    try:
        await server.serve(warm, lambda: on_ready(server, service.model, admission.limit))
    finally:
        await scheduler.stop()
