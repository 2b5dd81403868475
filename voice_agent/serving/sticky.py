"""In front of a worker's routes: what belongs to another worker goes there, what all
know is merged.

Requests of the other workers come over a Unix socket, which nobody else can reach; they are
answered here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent.serving.merging import merged_health, merged_metrics
from voice_agent.serving.siblings import ASIDE, KNOWS, Siblings

OFFER, HEALTH, METRICS = "/api/offer", "/api/health", "/metrics"
MAX_BODY_BYTES = 64 * 1024
"""What is longer than an offer may be is left to the app to refuse."""

Knows = Callable[[str, str], bool]
"""Whether a call (``pc_id``) or a conversation is this worker's."""


class Sticky:
    """See the module's docstring.

    Args:
        app: The worker's app.
        siblings: The other workers.
        knows: What this one knows.
    """

    def __init__(self, app: ASGIApp, siblings: Siblings, knows: Knows) -> None:
        self._app = app
        self._siblings = siblings
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope.get("client") is None:
            await self._answer_sibling(scope, receive, send)
        elif scope["path"].startswith("/worker/"):
            await JSONResponse({"error": "there is no such page"}, 404)(scope, receive, send)
        elif scope["path"] == OFFER and scope["method"] in ("POST", "PATCH"):
            await self._offer(scope, receive, send)
        elif scope["path"] == HEALTH and scope["method"] == "GET":
            await self._health(scope, receive, send)
        elif scope["path"] == METRICS and scope["method"] == "GET":
            await self._metrics(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer_sibling(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == KNOWS:
            asked = parse_qs(scope["query_string"].decode())
            call, conversation = (
                next(iter(asked.get(key, [])), "") for key in ("call", "conversation")
            )
            known = self._knows(call, conversation)
            await Response(status_code=204 if known else 404)(scope, receive, send)
            return
        scheme, _, address = Headers(scope=scope).get(ASIDE, "").partition(" ")
        if address:
            scope = {**scope, "client": (address, 0), "scheme": scheme}
        await self._app(scope, receive, send)

    # ----- what belongs to one worker -----

    async def _offer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, whole = await _body(receive)
        call, conversation = _named(body) if whole else ("", "")
        owner = None
        if (call or conversation) and not self._knows(call, conversation):
            query = urlencode({"call": call, "conversation": conversation})
            owner = await self._siblings.who_knows(query)
        if owner is None:
            await self._app(scope, _again(body, whole, receive), send)
            return
        client = f"{scope['scheme']} {scope['client'][0]}"
        answer = await self._siblings.pass_on(
            owner, scope["method"], scope["path"], scope["headers"], body, client
        )
        if answer is None:
            response: Response = JSONResponse({"error": "the call is lost"}, 502)
        else:
            response = Response(answer.body, answer.status)
            response.raw_headers = [
                *((name.lower(), value) for name, value in answer.headers),
                (b"content-length", str(len(answer.body)).encode()),
            ]
        await response(scope, receive, send)

    # ----- what is asked of the whole server -----

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = await _own(self._app, scope)
        others = await self._siblings.everyone(HEALTH)
        merged = merged_health([json.loads(each) for each in (own, *others)])
        await JSONResponse(merged)(scope, receive, send)

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = {**scope, "headers": []}  # as Prometheus's text, which all of them speak
        own = await _own(self._app, plain)
        others = await self._siblings.everyone(METRICS)
        merged = merged_metrics([each.decode() for each in (own, *others)])
        encode, content_type = choose_encoder(Headers(scope=scope).get("accept", ""))
        registry = CollectorRegistry()
        registry.register(_Collected(merged))
        response = Response(encode(registry), headers={"Content-Type": content_type})
        await response(scope, receive, send)


class _Collected:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _named(body: bytes) -> tuple[str, str]:
    """Return the call and the conversation that an offer or candidates speak of."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(said, dict):
        return "", ""
    data = said.get("request_data") or said.get("requestData")
    conversation = data.get("conversation") if isinstance(data, dict) else None
    named = (said.get("pc_id"), conversation)
    call, conversation = (each[:100] if isinstance(each, str) else "" for each in named)
    return call, conversation


async def _body(receive: Receive) -> tuple[bytes, bool]:
    """Return a request's body, or its beginning where it is too long; and whether it is whole."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return body, True
        if len(body) > MAX_BODY_BYTES:
            return body, False


def _again(body: bytes, whole: bool, receive: Receive) -> Receive:
    """Return a ``receive`` that begins with what has been read."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": not whole}

    return again


async def _own(app: ASGIApp, scope: Scope) -> bytes:
    """Return what the app itself answers to a ``GET``."""
    body = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    await app(scope, receive, send)
    return body
