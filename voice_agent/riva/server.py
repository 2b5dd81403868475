"""A speech server of our own: NVIDIA's services with everything that a server needs around them.

Health says "not serving" until the models are warm and again from the moment it is to end; streams
beyond what it can carry are refused with RESOURCE_EXHAUSTED and nothing is queued; what it does is
told to Prometheus; a signal lets the streams that are open finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from voice_agent.ports import bind, in_use
from voice_agent.riva.options import OPTIONS

DRAIN_S = 10.0
"""How long open streams may go on after a signal; clients that reconnect lose nothing."""


class Admission:
    """How many streams there may be at once; more are refused, never queued.

    Args:
        limit: Streams at once; may be changed while the server runs. 0 before it is known.
        registry: Where the figures go.
        name: Prefix of their names, for example ``asr``.
    """

    def __init__(self, limit: int, registry: CollectorRegistry, name: str) -> None:
        self.limit = limit
        self.open = 0
        """Streams that are open now."""
        self.closed = False
        """Nobody is admitted any more."""
        gauge = Gauge(f"{name}_streams", "Streams that are open", registry=registry)
        gauge.set_function(lambda: self.open)
        most = Gauge(f"{name}_streams_limit", "Streams admitted at once", registry=registry)
        most.set_function(lambda: self.limit)
        self._refused = Counter(f"{name}_streams_refused", "Streams refused", registry=registry)

    def refusal(self) -> tuple[grpc.StatusCode, str] | None:
        """Return why another stream cannot be had now; None when it can."""
        if self.closed:
            return grpc.StatusCode.UNAVAILABLE, "the server is shutting down"
        if not self.limit:
            return grpc.StatusCode.UNAVAILABLE, "the model is being loaded"
        if self.open >= self.limit:
            return (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"all {self.limit} streams are taken; try again later or on another server",
            )
        return None

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place; ask ``refusal`` first."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def admit(self, context: grpc.aio.ServicerContext) -> None:
        """End the call politely if there is no place for it."""
        if (why := self.refusal()) is not None:
            self._refused.inc()
            await context.abort(*why)


class SpeechServer:
    """One gRPC server with health, metrics and a polite end.

    Args:
        host: Address to listen on.
        port: 0 takes any free one.
        metrics_port: Where Prometheus is answered on ``host``; None: nowhere.

    Raises:
        PortError: A port cannot be had.
    """

    def __init__(self, host: str, port: int, *, metrics_port: int | None = None) -> None:
        # gRPC says nothing useful about a busy port, and by default would share it.
        with contextlib.closing(bind(host, port)) as sock:
            self.port: int = sock.getsockname()[1]
        if metrics_port:
            bind(host, metrics_port).close()
        self.registry = CollectorRegistry()
        self._host = host
        self._metrics_port = metrics_port
        self._health = health.aio.HealthServicer()
        self._stop = asyncio.Event()
        self._at_once = False
        self._admissions: list[Admission] = []
        # Clients may look after idle connections more often than gRPC's default allows.
        patience = [("grpc.http2.min_ping_interval_without_data_ms", 5_000)]
        options = [*OPTIONS, ("grpc.so_reuseport", 0), *patience]
        self.grpc = grpc.aio.server(options=options)
        """Services are added to it before ``serve``, with NVIDIA's ``add_..._to_server``."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)

    @property
    def address(self) -> str:
        """``host:port``, IPv6 in brackets."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self.port}"

    def admission(self, limit: int, name: str) -> Admission:
        """Return how many streams a service may have; closed when the server is to end."""
        admission = Admission(limit, self.registry, name)
        self._admissions.append(admission)
        return admission

    async def serve(
        self,
        warm: Callable[[], Awaitable[None]],
        on_ready: Callable[[], None],
        *,
        drain_s: float = DRAIN_S,
    ) -> None:
        """Listen, warm up, be ready, and work until ``stop`` or a signal.

        Args:
            warm: Loads and warms the models; the server is not ready before it returns.
            on_ready: Told once when it is.
            drain_s: How long open streams may go on at the end.

        Raises:
            OSError: The port was taken meanwhile.
        """
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            if not self.grpc.add_insecure_port(self.address):
                raise OSError(in_use(self._host, self.port))
        except RuntimeError as error:
            raise OSError(in_use(self._host, self.port)) from error
        metrics: Any = None
        if self._metrics_port is not None:
            metrics, _ = start_http_server(
                self._metrics_port, addr=self._host, registry=self.registry
            )
        with _signals(self.stop):
            await self.grpc.start()
            try:
                warming = asyncio.ensure_future(warm())
                stopping = asyncio.ensure_future(self._stop.wait())
                await asyncio.wait((warming, stopping), return_when=asyncio.FIRST_COMPLETED)
                if warming.done():
                    await warming
                    await self._say(health_pb2.HealthCheckResponse.SERVING)
                    on_ready()
                    await stopping
                else:
                    warming.cancel()
                    await asyncio.gather(warming, return_exceptions=True)
                stopping.cancel()
            finally:
                await self._end(0.0 if self._at_once else drain_s)
                if metrics is not None:
                    metrics.shutdown()
                    metrics.server_close()

    def stop(self, *, at_once: bool = False) -> None:
        """Admit nobody any more, let open streams finish, then end ``serve``.

        ``at_once``: do not wait for them; nothing will come of them.
        """
        self._at_once |= at_once
        for admission in self._admissions:
            admission.closed = True
        self._stop.set()

    async def _end(self, drain_s: float) -> None:
        await self._health.enter_graceful_shutdown()
        await self.grpc.stop(drain_s)

    async def _say(self, status: Any) -> None:
        await self._health.set("", status)


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at SIGINT and SIGTERM, where the event loop can be told of them."""
    loop = asyncio.get_running_loop()
    taken = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not on Windows, and not in the tests' threads.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
