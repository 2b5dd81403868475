"""``voice-agent asr-server``: streaming recognition behind Riva gRPC, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from voice_agent import logs
from voice_agent.commands import fail
from voice_agent.paths import models_dir
from voice_agent.ports import PortError
from voice_agent.process import new_event_loop, seconds_since_start

INSTALL = "it speaks Riva gRPC, which needs an extra: pip install 'voice-agent[riva]'"


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal; 0 after a polite end, 2 when it cannot start."""
    logs.configure(arguments.verbose)
    try:
        from voice_agent.asr_server.models import ModelError
        from voice_agent.asr_server.run import Settings
        from voice_agent.asr_server.run import run as serve
    except ImportError as error:
        return fail(f"{INSTALL} (missing: {error.name})")
    model = _find(arguments.model)
    if model is None:
        return fail(f"no model at {arguments.model}, nor among the shipped ones")
    settings = Settings(
        backend=arguments.backend or ("nemo" if model.suffix == ".nemo" else "sherpa"),
        model=model,
        host=arguments.host,
        port=arguments.port,
        metrics_port=arguments.metrics_port,
        chunk_ms=arguments.chunk_ms,
        streams=arguments.streams or 0,
        max_batch=arguments.max_batch,
        threads=arguments.threads,
        device=arguments.device,
    )

    def ready(server: object, name: str, streams: int) -> None:
        seconds = f"ready {seconds_since_start():.1f} s after the start"
        address = getattr(server, "address", "")
        print(f"asr-server ({name}) {seconds}: {address}, {streams} streams at once", flush=True)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(settings, ready))
        except (ModelError, PortError, OSError) as error:
            return fail(error)
    return 0


def _find(model: Path) -> Path | None:
    places = (model.expanduser(), models_dir() / model)
    return next((place.resolve() for place in places if place.exists()), None)
