"""One of several workers: a whole server, whose connections the dispatcher accepts.

``python -m voice_agent.serving.worker``, its orders on stdin. It ends when it is told to, and when
the dispatcher has gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import uvicorn
from loguru import logger
from starlette.middleware import Middleware

from voice_agent import logs
from voice_agent.config import load_pipeline
from voice_agent.process import new_event_loop
from voice_agent.serving.dispatch import REPORT
from voice_agent.serving.orders import ORDERS, Orders
from voice_agent.shelf import Shared

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from voice_agent.config import Pipeline
    from voice_agent.sessions import Conversations

CONNECTIONS_AT_ONCE = 64
TICKETS, SECRETS = 1000, 10_000
"""Kept at most, by all workers together."""


def main() -> int:
    """Serve until told to stop; return the exit code."""
    orders = ORDERS.validate_json(sys.stdin.buffer.read())
    logs.configure(orders.verbosity)
    channel = socket.socket(fileno=orders.channel)
    channel.setblocking(False)
    with channel, asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_serve(orders, channel))


async def _serve(orders: Orders, channel: socket.socket) -> int:
    from voice_agent.commands import fail
    from voice_agent.engines import EngineError
    from voice_agent.server import serve
    from voice_agent.serving.siblings import Siblings
    from voice_agent.serving.sticky import Sticky
    from voice_agent.sessions import Conversations
    from voice_agent.transports.realtime_api.access import AccessError
    from voice_agent.transports.telephony.carrier import TelephonyError

    pipeline = load_pipeline(orders.pipeline, orders.overrides, os.environ)
    listener = socket.socket(socket.AF_UNIX)
    orders.socket(orders.number).unlink(missing_ok=True)  # its predecessor's
    listener.bind(str(orders.socket(orders.number)))
    try:
        conversations = Conversations(pipeline)
        conversations.tracing.access.token = orders.token
        async with Siblings(orders) as siblings:
            with ExitStack() as adopting:

                def adopt(server: uvicorn.Server) -> None:
                    adoption = Adoption(server, channel, conversations, _tls(orders.tls))
                    adopting.callback(adoption.close)

                await serve(
                    pipeline,
                    conversations,
                    listener,
                    rooms=_rooms(pipeline, conversations, orders),
                    inside=[Middleware(Sticky, siblings=siblings, knows=conversations.knows)],
                    on_serving=adopt,
                )
    except (EngineError, TelephonyError, AccessError) as error:
        return fail(error)
    return 0


def _rooms(pipeline: Pipeline, conversations: Conversations, orders: Orders) -> Sequence[BaseRoute]:
    from voice_agent.transports.realtime_api.routes import RealtimeApi
    from voice_agent.transports.telephony.endpoint import telephony_routes

    tickets = Shared(orders.shelf, "tickets", TICKETS)
    telephony = telephony_routes(
        pipeline.telephony, conversations, os.environ, insecure=orders.insecure, shelf=tickets
    )
    secrets = Shared(orders.shelf, "secrets", SECRETS)
    return [*telephony, *RealtimeApi(pipeline, conversations, secrets).routes()]


def _tls(files: tuple[str, str] | None) -> ssl.SSLContext | None:
    """Return what the clients' connections speak; the workers among each other speak plainly."""
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


class Adoption:
    """Takes the connections that the dispatcher hands over, and tells it of the calls."""

    def __init__(
        self,
        server: uvicorn.Server,
        channel: socket.socket,
        conversations: Conversations,
        tls: ssl.SSLContext | None,
    ) -> None:
        # What is loaded now stays: walking through it again and again would stop every call.
        gc.collect()
        gc.freeze()
        self._server = server
        self._channel = channel
        self._conversations = conversations
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._loop.add_reader(channel, self._take)
        conversations.on_change(self._report)
        self._report()

    def close(self) -> None:
        """Take no more connections."""
        self._loop.remove_reader(self._channel)

    def _take(self) -> None:
        try:
            said, descriptors, _, _ = socket.recv_fds(self._channel, 16, CONNECTIONS_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            said, descriptors = b"", []
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        if not said:
            logger.error("the dispatcher has gone: this worker ends")
            self.close()
            os.kill(os.getpid(), signal.SIGTERM)

    async def _connect(self, connection: socket.socket) -> None:
        config, server = self._server.config, self._server

        def protocol() -> asyncio.Protocol:
            made = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=server.server_state, app_state=server.lifespan.state
            )
            assert isinstance(made, asyncio.Protocol)
            return made

        try:
            await self._loop.connect_accepted_socket(protocol, connection, ssl=self._tls)
        except OSError as error:  # a client that has gone, or does not speak TLS
            logger.debug(f"a connection came to nothing: {error!r}")
            connection.close()

    def _report(self) -> None:
        try:
            self._channel.send(REPORT.pack(self._conversations.active))
        except OSError:
            logger.debug("the dispatcher does not listen")


if __name__ == "__main__":
    sys.exit(main())
