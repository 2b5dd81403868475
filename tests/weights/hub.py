"""A model hub on this machine, as the real one answers: a list with checksums, files by range."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class Hub:
    """What it has, what was asked of it, and what goes wrong."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.url = ""
        self.ranges: list[str] = []
        """The Range header of every file that was asked for; empty without one."""
        self.break_after: int | None = None
        """Break the next connection after so many bytes of a file."""
        self.lies = False
        """Send other bytes than were listed."""
        self.gated = False

    async def listed(self, request: web.Request) -> web.Response:
        if self.gated and request.headers.get("Authorization") != "Bearer sesame":
            return web.Response(status=401)
        if request.match_info["repo"] != "tiny":
            return web.Response(status=404)
        siblings = [
            {
                "rfilename": path,
                "size": len(data),
                **(
                    {"lfs": {"sha256": hashlib.sha256(data).hexdigest()}} if len(data) > 100 else {}
                ),
            }
            for path, data in self.files.items()
        ]
        card = {"license": "other", "license_name": "open-model-licence"}
        return web.json_response(
            {"sha": "0123456789abcdef", "siblings": siblings, "cardData": card}
        )

    async def file(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Range", "")
        self.ranges.append(asked)
        data = self.files[request.match_info["path"]]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = bytes(len(data)) if self.lies else data
        response = web.StreamResponse(status=206 if asked else 200)
        response.content_length = len(data) - start
        await response.prepare(request)
        if self.break_after is not None:
            cut, self.break_after = self.break_after, None
            await response.write(body[start : start + cut])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body[start:])
        return response


@asynccontextmanager
async def hub(files: dict[str, bytes]) -> AsyncIterator[Hub]:
    """Run a hub for the time of the block."""
    made = Hub(files)
    app = web.Application()
    app.router.add_get("/api/models/{owner}/{repo}/revision/{revision}", made.listed)
    app.router.add_get("/{owner}/{repo}/resolve/{revision}/{path:.+}", made.file)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    try:
        yield made
    finally:
        await runner.cleanup()
