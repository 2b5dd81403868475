"""What goes wrong with real servers, done on purpose by ``model_server``: one function a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.llm.model_server import ModelServer, delta

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refuses(status: int, **headers: str) -> Fault:
    """An error instead of an answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = {"error": {"message": "no room", "code": status}}
        return web.json_response(body, status=status, headers=headers)

    return answer


async def says_no_header(request: web.Request) -> web.StreamResponse:
    """The request is taken and nothing comes, not even a status."""
    await asyncio.Event().wait()
    raise AssertionError


async def cuts(request: web.Request) -> web.StreamResponse:
    """The connection breaks in mid-stream."""
    response = await _stream(request)
    await response.write(_event(delta(content="Good")))
    assert request.transport is not None
    request.transport.abort()
    return response


async def writes_nonsense(request: web.Request) -> web.StreamResponse:
    """A piece of the stream is no JSON."""
    response = await _stream(request)
    await response.write(_event(delta(content="Good")))
    await response.write(b'data: {"choices": [{"delta": {"con\n\n')
    await response.write(b"data: [DONE]\n\n")
    return response


async def forgets_the_end(request: web.Request) -> web.StreamResponse:
    """The stream simply stops, without a finish_reason or [DONE]."""
    response = await _stream(request)
    await response.write(_event(delta(content="Good")))
    return response


async def fails_in_stream(request: web.Request) -> web.StreamResponse:
    """An error comes as a piece of a stream that had begun well."""
    response = await _stream(request)
    await response.write(_event(delta(content="Good")))
    error = {"error": {"message": "CUDA out of memory", "code": 500}}
    await response.write(f"data: {json.dumps(error)}\n\n".encode())
    return response


def inflict(server: ModelServer, fault: Fault) -> None:
    """Answer every chat completion so."""
    server.completions = fault  # type: ignore[method-assign, assignment]


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def _event(chunk: object) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
