"""``voice-agent tts-server``: a voice for any Riva client, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from voice_agent.commands import fail
from voice_agent.process import new_event_loop

if TYPE_CHECKING:
    from voice_agent.tts_server.backend import Backend


def add_arguments(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "tts-server",
        help="serve a voice to any Riva client",
        description="Speak Riva gRPC (SynthesizeOnline and the rest of NVIDIA's speech synthesis "
        "service). Prints its address when it is warm; SIGTERM lets open streams finish.",
    )
    parser.add_argument("--backend", choices=["espeak", "magpie"], default="espeak")
    parser.add_argument(
        "--model", default="", metavar="FILE|NAME", help="magpie: a .nemo, or what was pulled"
    )
    parser.add_argument(
        "--codec", default="", metavar="FILE", help="magpie: the codec's .nemo, if not inside"
    )
    parser.add_argument("--device", default="", help="magpie: cuda, cuda:1, cpu (default: a GPU)")
    parser.add_argument("--streams", type=int, metavar="N", help="at once; more are refused")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=50052, help="0 takes any free one")
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="Prometheus is told there")
    parser.add_argument("-v", "--verbose", action="count", default=0)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal; 0 after a polite end, 2 when it cannot start."""
    from voice_agent import logs

    logs.configure(arguments.verbose)
    from voice_agent.engines import EngineError
    from voice_agent.ports import PortError
    from voice_agent.riva.channel import require_riva

    try:
        require_riva()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_serve(arguments))
    except (EngineError, PortError) as error:
        return fail(error)


async def _serve(arguments: argparse.Namespace) -> int:
    from voice_agent.riva.server import SpeechServer
    from voice_agent.tts_server.service import add_service

    server = SpeechServer(arguments.host, arguments.port, metrics_port=arguments.metrics_port)
    backend = _backend(arguments)
    add_service(server, backend)

    def ready() -> None:
        print(f"{backend.model} speaks Riva gRPC at {server.address}", flush=True)

    try:
        await server.serve(backend.warm, ready)
    finally:
        await backend.close()
    return 0


def _backend(arguments: argparse.Namespace) -> Backend:
    streams = {} if arguments.streams is None else {"streams": arguments.streams}
    if arguments.backend == "magpie":
        from voice_agent.tts_server.magpie import MagpieBackend

        return MagpieBackend(arguments.model, arguments.codec, device=arguments.device, **streams)
    from voice_agent.tts_server.espeak import EspeakBackend

    return EspeakBackend(**streams)
