"""The addresses of the realtime API: ``WS /v1/realtime`` and ``POST /v1/realtime/client_secrets``.

A request is measured, counted and let in before it is read. The API's models take a second to
import, and most servers never need them: they are imported when the first client comes, beside the
event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_agent.agents.agent import Agent
from voice_agent.config import Pipeline
from voice_agent.engines import engine_class
from voice_agent.errors import Busy
from voice_agent.media import Transport
from voice_agent.shelf import Shelf
from voice_agent.transports.realtime_api.access import (
    SUBPROTOCOL,
    Access,
    Denied,
    Grant,
    subprotocols,
)
from voice_agent.transports.realtime_api.refusals import Refused, error_body
from voice_agent.transports.websocket import Limits, opened

if TYPE_CHECKING:
    from voice_agent.control import Control
    from voice_agent.conversation import Client
    from voice_agent.turns.ledger import Ledger

MAX_BODY_BYTES = 256 * 1024
MAX_EVENT_BYTES = 4 * 1024 * 1024
"""One event: a minute of audio at 24 kHz in base64."""
SECRET_S, SHORTEST_SECRET_S, LONGEST_SECRET_S = 600, 10, 7200


class Conversations(Protocol):
    """What is needed of :class:`voice_agent.sessions.Conversations`."""

    @property
    def agent(self) -> Agent:
        """Who answers."""
        ...

    def line(self, address: str = "") -> contextlib.AbstractContextManager[None]:
        """Hold a line for a call that is being answered; raises Busy."""
        ...

    def begin(
        self,
        transport: Transport,
        *,
        address: str = "",
        ledger: Ledger | None = None,
        client: Callable[[Control], Client] | None = None,
    ) -> asyncio.Task[None]:
        """Converse over a connected client's transport; return the call."""
        ...


class RealtimeApi:
    """The realtime API of one server.

    Args:
        pipeline: The validated pipeline.
        conversations: Who takes the calls.
        shelf: Where client secrets are kept; None: in this process.

    Raises:
        AccessError: The variable that should hold the keys is not set.
    """

    def __init__(
        self, pipeline: Pipeline, conversations: Conversations, shelf: Shelf | None = None
    ) -> None:
        self._pipeline = pipeline
        self._settings = pipeline.realtime
        self._conversations = conversations
        self._access = Access(pipeline.realtime, pipeline.server.host, shelf=shelf)

    def routes(self) -> list[BaseRoute]:
        """Return what is to be served; nothing where it is switched off."""
        if not self._settings.enabled:
            return []
        return [
            WebSocketRoute("/v1/realtime", self.connect),
            Route("/v1/realtime/client_secrets", self.client_secrets, methods=["POST"]),
            Route("/v1/{rest:path}", self.elsewhere, methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one client."""
        address = websocket.client.host if websocket.client else ""
        try:
            grant = self._access.admit(websocket.headers, address, time.time())
            with contextlib.ExitStack() as held:
                held.enter_context(self._conversations.line(address))
                await self._converse(websocket, grant, address, held.close)
        except Denied as denied:
            body = error_body("invalid_request_error", denied.code, denied.message)
            await websocket.send_denial_response(JSONResponse(body, denied.status))
        except Busy as busy:
            body = error_body("server_error", "server_busy", str(busy))
            after = {"Retry-After": str(max(1, round(busy.retry_after_s)))}
            await websocket.send_denial_response(JSONResponse(body, 503, after))

    async def _converse(
        self, websocket: WebSocket, grant: Grant, address: str, begun: Callable[[], None]
    ) -> None:
        calls = await _calls()
        settings = self._settings
        limits = Limits(MAX_EVENT_BYTES, settings.events_per_s, round(settings.events_per_s * 10))
        chosen = SUBPROTOCOL if SUBPROTOCOL in subprotocols(websocket.headers) else None
        async with opened(websocket, limits, subprotocol=chosen) as socket:
            call = calls.begin(
                socket,
                self._pipeline,
                self._conversations,
                model=websocket.query_params.get("model", "")[:200] or self._pipeline.name,
                speeds=self._speeds(),
                wanted=grant.session,
                address=address,
            )
            begun()
            over = asyncio.get_running_loop().call_later(settings.session_s, call.expire)
            try:
                await call.line.run()
                await call.task
            finally:
                over.cancel()

    async def client_secrets(self, request: Request) -> Response:
        """Make a secret that a browser may be given."""
        address = request.client.host if request.client else ""
        try:
            grant = self._access.admit(request.headers, address, time.time())
            if not grant.by_key:
                message = "A client secret cannot be used to make another."
                raise Denied(401, "invalid_api_key", message)
            asked = await _json(request)
            calls = await _calls()
            lasts_s = _lifetime(asked)
            wanted = asked.get("session") or {"type": "realtime"}
            agent, name = self._conversations.agent, self._pipeline.name
            shown = calls.preview(self._pipeline, agent, name, wanted, speeds=self._speeds())
        except Denied as denied:
            return _error(denied.status, denied.code, denied.message)
        except Refused as refused:
            return _error(400, refused.code, refused.message, refused.param)
        now_s = time.time()
        value = self._access.issue(wanted, now_s, lasts_s)
        secret = {"value": value, "expires_at": int(now_s + lasts_s), "session": shown}
        return JSONResponse(secret, headers={"Cache-Control": "no-store"})

    async def elsewhere(self, request: Request) -> Response:
        """Say that there is no more of the API here."""
        path = request.url.path[:200]
        message = f"Invalid URL ({request.method} {path})"
        return _error(404, "unknown_url", message)

    @functools.cache  # noqa: B019 - as long-lived as the server
    def _speeds(self) -> bool:
        return engine_class("tts", self._pipeline.tts.engine).speeds


async def _calls() -> ModuleType:
    """Import what knows the API's models, beside the event loop."""
    return await asyncio.to_thread(_import)


@functools.cache
def _import() -> ModuleType:
    calls = importlib.import_module("voice_agent.transports.realtime_api.calls")
    calls.warm()
    return calls


async def _json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refused("invalid_request", "The request is too large.")
    try:
        parsed = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError):
        raise Refused("invalid_json", "The request is not valid JSON.") from None
    if not isinstance(parsed, dict):
        raise Refused("invalid_json", "The request must be a JSON object.")
    return parsed


def _lifetime(asked: Mapping[str, Any]) -> float:
    expires = asked.get("expires_after") or {}
    seconds = expires.get("seconds", SECRET_S) if isinstance(expires, Mapping) else None
    if type(seconds) is not int or not SHORTEST_SECRET_S <= seconds <= LONGEST_SECRET_S:
        least, most = SHORTEST_SECRET_S, LONGEST_SECRET_S
        message = f"Invalid 'expires_after.seconds': must be between {least} and {most}."
        raise Refused("invalid_value", message, "expires_after.seconds")
    return float(seconds)


def _error(status: int, code: str, message: str, param: str | None = None) -> Response:
    body = error_body("invalid_request_error", code, message, param)
    return JSONResponse(body, status, {"Cache-Control": "no-store"})
