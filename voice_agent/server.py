"""The HTTP edge: the page, calls by ``POST /api/offer``, and the server's health.

Everything that arrives here comes from strangers, so this module only checks and passes on: size,
form and origin of a request, then the conversations decide. No audio passes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Literal, Protocol

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from voice_agent.browser_safety import PageHeaders, SameOrigin
from voice_agent.config import Pipeline
from voice_agent.errors import BadOffer, Busy
from voice_agent.media import Transport
from voice_agent.paths import web_dir
from voice_agent.process import rss_mb

MAX_BODY_BYTES = 64 * 1024
"""An SDP offer is 2 to 6 kB."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""One WebSocket message, as a minute of audio is one in the realtime API; what is longer ends the
connection with code 1009. Each room allows less where its protocol needs less."""


class Conversations(Protocol):
    """What this module needs of :class:`voice_agent.sessions.Conversations`."""

    @property
    def active(self) -> int:
        """Conversations now."""
        ...

    @property
    def max(self) -> int:
        """Conversations at most."""
        ...

    def figures(self) -> dict[str, Any]:
        """What the health check says of the calls."""
        ...

    def routes(self) -> Sequence[BaseRoute]:
        """What else is served with the calls."""
        ...

    async def start(self) -> None:
        """Load everything; raises EngineError."""
        ...

    async def stop(self, *, grace_s: float) -> None:
        """Let every current answer finish, within ``grace_s``, then end everything; idempotent."""
        ...

    def line(self, address: str = "") -> contextlib.AbstractContextManager[None]:
        """Hold a line for a call that is being answered; raises Busy."""
        ...

    def begin(
        self,
        transport: Transport,
        *,
        address: str = "",
        key: str = "",
        conversation_id: str = "",
    ) -> asyncio.Task[None]:
        """Converse over a connected client's transport; return the call, which never raises."""
        ...

    async def offer(self, request: dict[str, Any], address: str = "") -> dict[str, Any]:
        """Answer an offer from a network address; raises Busy or BadOffer."""
        ...

    async def candidates(self, request: dict[str, Any]) -> None:
        """Take more ICE candidates of an earlier offer; raises BadOffer."""
        ...


class Offer(BaseModel):
    """A SmallWebRTC client's request; keys that other clients add are ignored."""

    sdp: str = Field(min_length=1)
    type: Literal["offer"]
    pc_id: str | None = None
    restart_pc: bool | None = None
    request_data: dict[str, Any] | None = Field(default=None, alias="requestData")

    model_config = ConfigDict(populate_by_name=True)


class Candidate(BaseModel):
    """One ICE candidate."""

    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


class Candidates(BaseModel):
    """More ICE candidates for an earlier offer."""

    pc_id: str
    candidates: list[Candidate] = Field(max_length=100)


class CallsApi:
    """The routes under ``/api``."""

    def __init__(self, pipeline: Pipeline, conversations: Conversations) -> None:
        self._pipeline = pipeline
        self._conversations = conversations
        self._draining = False

    def drain(self) -> None:
        """Take no more calls; health says so."""
        self._draining = True

    async def offer(self, request: Request) -> Response:
        """``POST``: start, renegotiate or resume a conversation."""
        offer = Offer.model_validate_json(await _body(request))
        if self._draining:
            raise Busy(retry_after_s=10)
        address = request.client.host if request.client else ""
        asked = offer.model_dump(exclude_none=True)
        return JSONResponse(await self._conversations.offer(asked, address))

    async def candidates(self, request: Request) -> Response:
        """``PATCH``: trickle ICE."""
        candidates = Candidates.model_validate_json(await _body(request))
        await self._conversations.candidates(candidates.model_dump())
        return JSONResponse({"status": "success"})

    async def health(self, _request: Request) -> Response:
        """``GET``: ready for calls, and how the process is doing."""
        sessions = {"active": self._conversations.active, "max": self._conversations.max}
        return JSONResponse(
            {
                "ready": not self._draining,
                "pipeline": self._pipeline.name,
                "sessions": sessions,
                **self._conversations.figures(),
                "rss_mb": round(rss_mb(), 1),
            }
        )


def create_app(
    pipeline: Pipeline,
    conversations: Conversations,
    rooms: Sequence[BaseRoute] = (),
    inside: Sequence[Middleware] = (),
) -> Starlette:
    """Return the app, ``rooms`` beside its own routes; ``app.state.drain()`` makes it refuse new
    calls."""
    api = CallsApi(pipeline, conversations)
    origins = list(pipeline.server.allowed_origins)
    if pipeline.telephony.public_url:
        origins.append(pipeline.telephony.public_url)
    app = Starlette(
        routes=[
            Route("/api/offer", api.offer, methods=["POST"]),
            Route("/api/offer", api.candidates, methods=["PATCH"]),
            Route("/api/health", api.health, methods=["GET"]),
            *conversations.routes(),
            *rooms,
            Mount("/", StaticFiles(directory=web_dir(), html=True)),
        ],
        middleware=[
            Middleware(PageHeaders),
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["POST", "PATCH"],
                allow_headers=["Content-Type"],
            ),
            Middleware(SameOrigin, allowed=origins, host=pipeline.server.host),
            *inside,
        ],
        exception_handlers={
            HTTPException: _refused,
            ValidationError: _misformed,
            BadOffer: _bad_offer,
            Busy: _busy,
            Exception: _bug,
        },
    )
    app.state.drain = api.drain
    return app


async def serve(
    pipeline: Pipeline,
    conversations: Conversations,
    sock: socket.socket,
    *,
    rooms: Sequence[BaseRoute] = (),
    tls: tuple[str, str] | None = None,
    inside: Sequence[Middleware] = (),
    on_serving: Callable[[uvicorn.Server], None] = lambda server: None,
    on_ready: Callable[[], None] = lambda: None,
    grace_s: float = 10.0,
) -> None:
    """Load everything, then serve on ``sock`` until SIGTERM or SIGINT, and end calls politely.

    ``sock`` is bound and does not listen yet: whoever finds the port open finds it ready. At the
    first signal new calls are refused, current answers finish within ``grace_s`` seconds, and the
    port closes. A second signal ends the process at once. ``rooms`` are more routes to serve;
    ``inside`` stands between the app's own middleware and its routes; ``on_serving`` is told what
    serves.

    Raises:
        EngineError: Something cannot be loaded.
        OSError: The port was taken meanwhile.
    """
    with signalled() as stop_asked, sock:
        stopping = asyncio.create_task(stop_asked.wait())
        try:
            if await _finished_before(stopping, conversations.start()):
                sock.listen(128)
                app = create_app(pipeline, conversations, rooms, inside)
                server = _Server(_config(app, tls), on_serving, on_ready)
                await _serve_until(stopping, server, app, conversations, sock, grace_s)
        finally:
            stopping.cancel()
            await conversations.stop(grace_s=0)


async def _finished_before(event: asyncio.Task[Any], work: Coroutine[Any, Any, None]) -> bool:
    """Run ``work``; when ``event`` comes first, cancel it and return False."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait({working, event}, return_when=asyncio.FIRST_COMPLETED)
        return working.done() and working.result() is None
    finally:
        working.cancel()
        await asyncio.wait({working})


def _config(app: ASGIApp, tls: tuple[str, str] | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # audio does not shrink, and deflating it takes time
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )


async def _serve_until(
    stopping: asyncio.Task[Any],
    server: _Server,
    app: Starlette,
    conversations: Conversations,
    sock: socket.socket,
    grace_s: float,
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        app.state.drain()
        await conversations.stop(grace_s=grace_s)
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which would end the process by the signal's code."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_serving: Callable[[uvicorn.Server], None],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_serving = on_serving
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_serving(self)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def signalled() -> Iterator[asyncio.Event]:
    """Yield an event that the first SIGTERM or SIGINT sets; the second has its usual effect."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def on_signal() -> None:
        event.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield event
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _body(request: Request) -> bytes:
    """Return the body, or refuse it as soon as it is seen to be too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES // 1024} KiB")
    return bytes(body)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, dict(error.headers or {}))


async def _misformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    details = error.errors(include_url=False, include_context=False, include_input=False)
    status = 400 if details[0]["type"] == "json_invalid" else 422
    said = (".".join(map(str, detail["loc"])) + ": " + detail["msg"] for detail in details[:5])
    return _error(status, "; ".join(text.removeprefix(": ") for text in said))


async def _bug(_request: Request, _error_that_is_logged: Exception) -> Response:
    return _error(500, "something went wrong in the server; its log says what")


async def _bad_offer(_request: Request, error: Exception) -> Response:
    return _error(422, str(error))


async def _busy(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Busy)
    message = "all lines are busy; please try again in a moment"
    return _error(503, message, {"Retry-After": str(max(1, round(error.retry_after_s)))})
