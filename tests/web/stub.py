"""The wire the page talks to, and nothing behind it: web/dist, offers, a data channel.

A test decides what the server says. The WebRTC peer is a real one (aiortc), in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

DIST = Path(__file__).parents[2] / "web" / "dist"
T = TypeVar("T")


class StubServer:
    """One page's server; `offers` and `said` are what the page sent."""

    def __init__(self) -> None:
        self.refusal: tuple[int, dict[str, str], dict[str, str]] | None = None
        """Status, headers and JSON of the answer to the next offers, if not a call."""
        self.offers: list[dict[str, Any]] = []
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.url = ""
        self._peers: list[RTCPeerConnection] = []
        self._channel: RTCDataChannel | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stub server")

    def start(self) -> None:
        self._thread.start()
        self._runner = self._wait(self._serve())

    def stop(self) -> None:
        self.drop()
        self._wait(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def say(self, kind: str, **data: Any) -> None:
        """Send one RTVI message."""
        self._wait(self._send(kind, data))

    def tell(self, kind: str, **data: Any) -> None:
        """Send one of our own messages (`server-message`)."""
        self.say("server-message", type=kind, **data)

    def drop(self) -> None:
        """End every connection without a word."""
        peers, self._peers = self._peers, []
        for peer in peers:
            self._wait(peer.close())

    def heard(self, kind: str) -> dict[str, Any]:
        """Wait for a message of this type from the page."""
        while True:
            message = self.said.get(timeout=10)
            if message.get("type") == kind:
                return message

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _send(self, kind: str, data: dict[str, Any]) -> None:
        assert self._channel is not None
        self._channel.send(json.dumps({"label": "rtvi-ai", "id": "1", "type": kind, "data": data}))

    async def _serve(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/api/offer", self._offer)
        app.router.add_patch("/api/offer", self._candidates)
        app.router.add_get("/", self._index)
        app.router.add_static("/", DIST)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        assert host == "127.0.0.1"
        self.url = f"http://localhost:{port}/"
        return runner

    async def _index(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(DIST / "index.html")

    async def _candidates(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def _offer(self, request: web.Request) -> web.Response:
        offer = await request.json()
        self.offers.append(offer)
        if self.refusal:
            status, headers, body = self.refusal
            return web.json_response(body, status=status, headers=headers)
        peer = RTCPeerConnection()
        self._peers.append(peer)
        peer.addTrack(AudioStreamTrack())

        @peer.on("datachannel")
        def on_channel(channel: RTCDataChannel) -> None:
            self._channel = channel
            channel.on("message", self._receive)

        await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        await peer.setLocalDescription(await peer.createAnswer())
        local = peer.localDescription
        return web.json_response(
            {"sdp": local.sdp, "type": local.type, "pc_id": f"stub-{len(self.offers)}"}
        )

    async def _receive(self, text: str) -> None:
        if text.startswith("ping"):
            return
        message = json.loads(text)
        self.said.put(message)
        if message.get("type") == "client-ready":
            await self._send("bot-ready", {"version": "2.1.0", "about": {}})
            session = {"conversation": "c-7", "agent": "Bella Notte", "pipeline": "embedded"}
            await self._send("server-message", {"type": "session", **session})
            await self._send("server-message", {"type": "state", "state": "listening"})
