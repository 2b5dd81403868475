"""``voice-agent serve``: the page and the calls."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from voice_agent import logs
from voice_agent.commands import fail
from voice_agent.config import Pipeline, load_pipeline
from voice_agent.config_errors import ConfigError
from voice_agent.ports import PortError, bind, in_use, is_loopback
from voice_agent.process import new_event_loop, seconds_since_start
from voice_agent.trace.access import Access

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from voice_agent.sessions import Conversations


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal; 0 after a polite end, 2 when it cannot start."""
    logs.configure(-1 if arguments.quiet else arguments.verbose)
    overrides = list(arguments.set)
    if arguments.host is not None:
        overrides.append(f"server.host={arguments.host}")
    if arguments.port is not None:
        overrides.append(f"server.port={arguments.port}")
    try:
        pipeline = load_pipeline(arguments.pipeline, overrides, os.environ)
        if arguments.insecure_dev and not is_loopback(pipeline.server.host):
            raise PortError(
                f"--insecure-dev believes everybody, so it is for loopback addresses only, and "
                f"{pipeline.server.host} is none"
            )
        sock = bind(pipeline.server.host, pipeline.server.port)
    except (ConfigError, PortError) as error:
        return fail(error)
    if arguments.workers > 1 and sys.platform == "win32":
        return fail("several workers need descriptors that can be handed over: not on Windows")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if arguments.workers > 1:
            return runner.run(_dispatch(pipeline, sock, arguments, overrides))
        serving = _serve(pipeline, sock, tls=arguments.tls, insecure=arguments.insecure_dev)
        return runner.run(serving)


async def _serve(pipeline: Pipeline, sock: socket.socket, *, tls: bool, insecure: bool) -> int:
    from voice_agent.engines import EngineError
    from voice_agent.server import serve
    from voice_agent.sessions import Conversations
    from voice_agent.transports.realtime_api.access import AccessError
    from voice_agent.transports.realtime_api.routes import RealtimeApi
    from voice_agent.transports.telephony.carrier import TelephonyError

    host, port = sock.getsockname()[:2]
    try:
        conversations = Conversations(pipeline)
        await serve(
            pipeline,
            conversations,
            sock,
            rooms=[
                *_telephony(pipeline, conversations, insecure=insecure),
                *RealtimeApi(pipeline, conversations).routes(),
            ],
            tls=_certificate(host) if tls else None,
            on_ready=lambda: _ready(pipeline, host, port, tls, conversations.tracing.access),
        )
    except (EngineError, TelephonyError, AccessError) as error:
        return fail(error)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return fail(in_use(host, port))
    return 0


async def _dispatch(
    pipeline: Pipeline, sock: socket.socket, arguments: argparse.Namespace, overrides: list[str]
) -> int:
    """Serve with several processes."""
    from voice_agent.server import signalled
    from voice_agent.serving.dispatch import WorkerFailed, dispatch
    from voice_agent.serving.orders import Orders

    host, port = sock.getsockname()[:2]
    access = Access(pipeline.trace, host, pipeline.server.allowed_origins)
    each = -(-pipeline.sessions.max // arguments.workers)
    with signalled() as stop_asked, sock, TemporaryDirectory(prefix="voice-agent-") as folder:
        orders = Orders(
            number=0,
            of=arguments.workers,
            folder=Path(folder),
            channel=-1,
            pipeline=arguments.pipeline,
            overrides=(*overrides, f"sessions.max={each}"),
            token=access.token,
            tls=_certificate(host) if arguments.tls else None,
            insecure=arguments.insecure_dev,
            verbosity=-1 if arguments.quiet else arguments.verbose,
        )
        try:
            await dispatch(
                orders,
                each,
                sock,
                stop_asked,
                lambda: _ready(pipeline, host, port, arguments.tls, access),
            )
        except WorkerFailed as failed:
            return failed.code or 1
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return fail(in_use(host, port))
    return 0


def _telephony(
    pipeline: Pipeline, conversations: Conversations, *, insecure: bool
) -> Sequence[BaseRoute]:
    from voice_agent.transports.telephony.endpoint import telephony_routes

    return telephony_routes(pipeline.telephony, conversations, os.environ, insecure=insecure)


def _certificate(host: str) -> tuple[str, str]:
    from voice_agent.tls import certificate_dir, lan_address, self_signed

    names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), host, lan_address() or ""}
    return self_signed(certificate_dir(), sorted(names - {"0.0.0.0", "::", ""}))


def _ready(pipeline: Pipeline, host: str, port: int, tls: bool, access: Access) -> None:
    # What is loaded now stays: walking through it again and again would stop every call for
    # 100 ms and more.
    gc.collect()
    gc.freeze()
    _say_ready(pipeline, host, port, tls)
    if access.made:
        print(f"to read its traces from another machine, this token is needed: {access.token}")


def _say_ready(pipeline: Pipeline, host: str, port: int, tls: bool) -> None:
    scheme = "https" if tls else "http"
    seconds = f"ready {seconds_since_start():.1f} s after the start"
    everywhere = host in ("0.0.0.0", "::")
    shown = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    print(f"voice-agent ({pipeline.name}) {seconds}: {scheme}://{shown}:{port}", flush=True)
    if everywhere:
        _say_network(scheme, port, tls)


def _say_network(scheme: str, port: int, tls: bool) -> None:
    from voice_agent.tls import lan_address

    if (address := lan_address()) is not None:
        print(f"from other machines: {scheme}://{address}:{port}", flush=True)
    if not tls:
        print(
            "note: on other machines browsers allow the microphone only over https: add --tls",
            file=sys.stderr,
        )
