"""A real HTTP server that speaks OpenAI's streamed chat completions, as told by a test."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Chunks = Callable[[dict[str, Any]], AsyncIterator[dict[str, Any]]]


def delta(**fields: Any) -> dict[str, Any]:
    """One chunk of an answer."""
    choice = {"index": 0, "delta": fields, "finish_reason": None}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "tiny",
        "choices": [choice],
    }


def call(
    index: int, arguments: str = "", *, id: str | None = None, name: str | None = None
) -> dict[str, Any]:
    """A piece of a tool call inside a chunk."""
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function} | ({"id": id, "type": "function"} if id else {})


class ModelServer:
    """What was asked of the server, and what became of it."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.connections: set[Any] = set()
        self.disconnected = asyncio.Event()
        self.perf_metrics: list[dict[str, Any]] | None = None
        """What TensorRT-LLM's ``/perf_metrics`` would hold; None: there is no such thing here."""
        self.say("Hello", " there.")

    def say(self, *words: str) -> None:
        """Answer everything with these chunks of text."""
        self.send(delta(role="assistant", content=""), *(delta(content=word) for word in words))

    def send(self, *chunks: dict[str, Any]) -> None:
        """Answer everything with these chunks."""

        async def answer(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            for chunk in chunks:
                yield chunk

        self.answer: Chunks = answer

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        self.connections.add(request.transport)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            if body.get("stream"):
                await response.prepare(request)
                async for chunk in self.answer(body):
                    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
                await response.write(b"data: [DONE]\n\n")
                return response
            message = {"role": "assistant", "content": "Hi"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            fields = {"id": "c", "object": "chat.completion", "created": 0, "model": "tiny"}
            return web.json_response({**fields, "choices": [choice]})
        except (asyncio.CancelledError, ConnectionError):
            self.disconnected.set()
            raise

    async def post(self, request: web.Request) -> web.StreamResponse:
        return await self.completions(request)

    async def drained(self, request: web.Request) -> web.Response:
        """Answer ``/perf_metrics`` as trtllm-serve does: what is read is gone."""
        if self.perf_metrics is None:
            raise web.HTTPNotFound
        records, self.perf_metrics = self.perf_metrics, []
        return web.json_response(records)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0}]}
        )


@asynccontextmanager
async def model_server(port: int = 0) -> AsyncIterator[ModelServer]:
    """Serve on localhost until the block is left."""
    server = ModelServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.post)
    app.router.add_get("/v1/models", server.models)
    app.router.add_get("/perf_metrics", server.drained)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
