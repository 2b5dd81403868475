"""A carrier's REST API that takes whatever it is asked and remembers it: a real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of ours."""

    method: str
    path: str
    said: dict[str, Any]
    authorization: str


@dataclass
class CarrierApi:
    """What was asked, and what it is answered with."""

    url: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: list[Asked] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_asked(self) -> Asked:
        """Return the next request, once it is here."""
        while not self.asked:
            self.news.clear()
            await self.news.wait()
        return self.asked.pop(0)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        form = request.content_type == "application/x-www-form-urlencoded"
        said = dict(parse_qsl(body)) if form else json.loads(body or "{}")
        authorization = request.headers.get("Authorization", "")
        self.asked.append(Asked(request.method, request.path, said, authorization))
        self.news.set()
        return web.json_response(self.answer, status=self.status)


@contextlib.asynccontextmanager
async def carrier_api() -> AsyncIterator[CarrierApi]:
    """Serve on loopback for the block."""
    api = CarrierApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api._take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
