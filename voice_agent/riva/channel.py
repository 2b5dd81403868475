"""Where a Riva server is, and the way there."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pydantic import Field

from voice_agent.engines import EngineError, EngineSettings
from voice_agent.riva.options import OPTIONS

if TYPE_CHECKING:
    import grpc.aio

DEFAULT_PORT = 50051
INSTALL = "it speaks Riva gRPC, which needs an extra: pip install 'voice-agent[riva]'"


class RivaSettings(EngineSettings):
    """What every engine that speaks Riva gRPC may be told; engines add their own."""

    server: str = ""
    """``host:port`` of the server; with ``start``, empty takes a free port of this machine."""
    tls: bool = False
    """Encrypt; NVIDIA's hosted endpoints want it."""
    api_key_env: str = ""
    """The environment variable with the key, sent as a bearer token; hosted endpoints."""
    function_id: str = ""
    """Which of NVIDIA's hosted functions; hosted endpoints."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    """How long a server that is already running may take to answer."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what every call carries.

        Raises:
            EngineError: ``api_key_env`` names a variable that is not set.
        """
        said: list[tuple[str, str]] = []
        if self.function_id:
            said.append(("function-id", self.function_id))
        if self.api_key_env:
            key = os.environ.get(self.api_key_env)
            if not key:
                raise EngineError(f"the environment variable {self.api_key_env} has no key in it")
            said.append(("authorization", f"Bearer {key}"))
        return tuple(said)


def require_riva() -> None:
    """Check that the extra is installed.

    Raises:
        EngineError: It is not; the message says how to.
    """
    try:
        import grpc.aio  # noqa: F401
        import riva.client  # noqa: F401
    except ImportError as error:
        raise EngineError(f"{INSTALL} (missing: {error.name})") from error


def open_channel(server: str, *, tls: bool = False) -> grpc.aio.Channel:
    """Return a channel to ``host:port``; it connects when it is first used, and again when lost."""
    import grpc
    import grpc.aio

    if tls:
        return grpc.aio.secure_channel(server, grpc.ssl_channel_credentials(), options=OPTIONS)
    return grpc.aio.insecure_channel(server, options=OPTIONS)


async def serving(channel: grpc.aio.Channel, timeout_s: float) -> bool:
    """Whether a server is there and says that it can work; one without a health service counts.

    A server that warms up is there and says no.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest()
    try:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(request, timeout=timeout_s, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return bool(error.code() is grpc.StatusCode.UNIMPLEMENTED)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def wait_serving(channel: grpc.aio.Channel, server: str, timeout_s: float) -> None:
    """Return when the server can work.

    Raises:
        EngineError: It cannot within ``timeout_s``; the message says where it was looked for.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not await serving(channel, timeout_s):  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # it says "not yet"
    except TimeoutError as error:
        raise EngineError(
            f"no speech server that is ready answers at {server} ({timeout_s:.0f} s waited): start "
            "one, correct the address, or let the agent start one itself (`start` in its section)"
        ) from error
