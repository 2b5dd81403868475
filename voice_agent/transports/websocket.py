"""A client's WebSocket with bounds: what telephony and the realtime API stand on.

Whatever arrives comes from strangers: messages are counted and measured before anybody reads them,
and a client that does not read what it is sent is let go instead of being waited for. Sending never
blocks and keeps its order; one task writes. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass

from loguru import logger
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

OUTBOX_MAX = 500
"""Messages waiting to be written (10 s of 20 ms packets); a client this far behind is gone."""
CLOSE_S = 2.0
"""How long a client may take to read what it was sent before the connection is closed."""

NORMAL, GOING_AWAY, POLICY, TOO_BIG, INTERNAL = 1000, 1001, 1008, 1009, 1011
"""Close codes (RFC 6455, 7.4.1)."""


async def refuse(
    websocket: WebSocket, status: int, why: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer a WebSocket request that was not accepted with an HTTP status and a reason."""
    headers = dict(headers or {})
    await websocket.send_denial_response(JSONResponse({"error": why}, status, headers))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may send."""

    message_bytes: int = 64 * 1024
    """Length of one message; what is longer ends the connection with code 1009."""
    per_s: float = 200.0
    """Messages a second in the long run; a client that sends more is closed with code 1008."""
    burst: int = 1000
    """Messages at once: what a network held back for some seconds."""


class Rate:
    """A token bucket. Pure: time is an argument."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._left = float(burst)
        self._at_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Take one token, if there is one."""
        if self._at_s is not None:
            self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def left(self, now_s: float) -> tuple[int, int, float]:
        """Return how many tokens there are at most, how many now, and when all are there, s."""
        passed_s = now_s - self._at_s if self._at_s is not None else 0.0
        left = min(self._burst, self._left + passed_s * self._per_s)
        return int(self._burst), int(left), round((self._burst - left) / self._per_s, 3)


class Socket:
    """An accepted WebSocket, open for as long as its block; made by :func:`opened`."""

    def __init__(self, websocket: WebSocket, limits: Limits) -> None:
        self._websocket = websocket
        self._limits = limits
        self._rate = Rate(limits.per_s, limits.burst)
        self._outbox: asyncio.Queue[str | bytes | None] = asyncio.Queue(OUTBOX_MAX)
        self._code = NORMAL
        self._reason = ""
        self._patience: asyncio.Timeout | None = None
        self.closing = False
        """Either side has ended it: nothing more is sent."""

    def send(self, message: str | bytes) -> None:
        """Send text or bytes, in order; never blocks, dropped once closing."""
        if self.closing:
            return
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            logger.warning("a client does not read what it is sent: its connection is closed")
            self.close(POLICY, "too slow")

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End the connection once what was sent before is written; idempotent."""
        if self.closing:
            return
        self._code, self._reason = code, reason
        self.closing = True
        if self._outbox.full():
            self._outbox.get_nowait()
        self._outbox.put_nowait(None)
        if self._patience is not None:  # who waits for a message is told, if nothing else wakes it
            self._patience.reschedule(asyncio.get_running_loop().time() + CLOSE_S)

    def allowance(self) -> tuple[int, int, float]:
        """Return what the client may send: messages at once, of them now, s until all again."""
        return self._rate.left(asyncio.get_running_loop().time())

    async def messages(self) -> AsyncGenerator[str | bytes, None]:
        """Yield what the client sends; ends when either side has ended the connection."""
        loop = asyncio.get_running_loop()
        while not self.closing:
            try:
                async with asyncio.timeout(None) as self._patience:
                    event = await self._websocket.receive()
            except (WebSocketDisconnect, RuntimeError, TimeoutError):
                break
            finally:
                self._patience = None
            if event["type"] != "websocket.receive":
                break
            message: str | bytes = event.get("text") or event.get("bytes") or b""
            if len(message) > self._limits.message_bytes:
                self.close(TOO_BIG, "a message is too long")
            elif not self._rate.allows(loop.time()):
                self.close(POLICY, "too many messages")
            else:
                yield message
        self.close()

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            while (message := await self._outbox.get()) is not None:
                if isinstance(message, str):
                    await self._websocket.send_text(message)
                else:
                    await self._websocket.send_bytes(message)
            await self._websocket.close(self._code, self._reason)
        self.close()  # it is gone, if nobody closed it

    async def _end(self, writing: asyncio.Task[None]) -> None:
        self.close()
        await asyncio.wait({writing}, timeout=CLOSE_S)
        writing.cancel()
        await asyncio.wait({writing})


@contextlib.asynccontextmanager
async def opened(
    websocket: WebSocket, limits: Limits | None = None, *, subprotocol: str | None = None
) -> AsyncIterator[Socket]:
    """Accept ``websocket`` and keep it open for the block; on leaving it, what was sent is written
    and the connection closed."""
    await websocket.accept(subprotocol)
    socket = Socket(websocket, limits or Limits())
    writing = asyncio.create_task(socket._write(), name="websocket out")
    try:
        yield socket
    finally:
        await socket._end(writing)
