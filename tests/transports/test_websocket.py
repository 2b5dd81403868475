"""A WebSocket with bounds, on a real server with real clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from voice_agent.ports import bind
from voice_agent.transports.websocket import (
    OUTBOX_MAX,
    POLICY,
    TOO_BIG,
    Limits,
    Rate,
    Socket,
    opened,
    refuse,
)

Endpoint = Callable[[WebSocket], Awaitable[None]]


@asynccontextmanager
async def served(endpoint: Endpoint) -> AsyncIterator[str]:
    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    config = uvicorn.Config(
        app, ws="websockets-sansio", log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    sock = bind("127.0.0.1", 0)
    sock.listen()
    started = asyncio.Event()
    startup = server.startup

    async def tell_when_started(sockets: object = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        started.set()

    server.startup = tell_when_started  # type: ignore[method-assign]
    serving = asyncio.create_task(server._serve([sock]))
    await started.wait()
    try:
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await serving


async def echo(websocket: WebSocket) -> None:
    async with opened(websocket, Limits(message_bytes=1000, per_s=10, burst=50)) as socket:
        async for message in socket.messages():
            socket.send(message)


async def closed(client: ClientConnection) -> int | None:
    """Return the code the server closes with, whatever it says before."""
    with suppress(ConnectionClosedError):
        async for _ in client:
            pass
    return client.close_code


async def test_text_and_bytes_go_both_ways_in_order() -> None:
    """What was sent first arrives first."""
    async with served(echo) as url, connect(url) as client:
        for message in ("one", b"two", "three"):
            await client.send(message)
        assert [await client.recv() for _ in range(3)] == ["one", b"two", "three"]


async def test_a_message_that_is_too_long_ends_the_connection() -> None:
    """One byte more than allowed is 1009, and nobody has read it."""
    async with served(echo) as url, connect(url) as client:
        await client.send("x" * 1000)
        await client.send("x" * 1001)
        assert await client.recv() == "x" * 1000
        assert await closed(client) == TOO_BIG


async def test_a_flood_ends_the_connection() -> None:
    """More messages than a burst allows are 1008."""
    async with served(echo) as url, connect(url) as client:
        for _ in range(100):
            await client.send("x")
        assert await closed(client) == POLICY


async def test_a_client_that_does_not_read_is_let_go() -> None:
    """Nobody waits for it, and what it was sent is bounded."""
    ended = asyncio.Event()

    async def flooding(websocket: WebSocket) -> None:
        async with opened(websocket) as socket:
            async for _ in socket.messages():
                for _ in range(OUTBOX_MAX + 10):
                    socket.send(b"x" * 60_000)
                assert socket.closing
        ended.set()

    async with served(flooding) as url, connect(url, max_queue=1, close_timeout=0.1) as client:
        await client.send("go on")
        async with asyncio.timeout(20):
            await ended.wait()


async def test_what_was_sent_before_the_end_arrives() -> None:
    """A goodbye is heard, and whoever waits for messages learns of the end."""

    async def polite(websocket: WebSocket) -> None:
        async with opened(websocket) as socket:
            asyncio.get_running_loop().call_soon(say_goodbye, socket)
            assert [message async for message in socket.messages()] == []

    def say_goodbye(socket: Socket) -> None:
        socket.send("goodbye")
        socket.close(reason="done")
        socket.send("never")

    async with served(polite) as url, connect(url) as client:
        assert await client.recv() == "goodbye"
        assert await closed(client) == 1000
        assert client.close_reason == "done"


async def test_a_client_that_goes_ends_its_messages() -> None:
    """Politely or not."""
    gone: list[bool] = []

    async def waiting(websocket: WebSocket) -> None:
        async with opened(websocket) as socket:
            async for _ in socket.messages():
                pass
            gone.append(socket.closing)

    async with served(waiting) as url:
        async with connect(url):
            pass
        async with connect(url) as rude:
            rude.transport.abort()
    assert gone == [True, True]


async def test_a_refusal_has_a_status_and_a_reason() -> None:
    """Before it is accepted a WebSocket is an HTTP request, and answered as one."""

    async def busy(websocket: WebSocket) -> None:
        await refuse(websocket, 503, "all lines are busy", {"Retry-After": "20"})

    async with served(busy) as url:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url):
                pass
    response = refused.value.response
    assert response.status_code == 503
    assert response.headers["retry-after"] == "20"
    assert b"all lines are busy" in (response.body or b"")


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_no_more_passes_than_the_burst_and_the_rate(gaps: list[float]) -> None:
    """Whatever the order of arrivals: at most burst + seconds x rate."""
    rate, now_s, passed = Rate(per_s=5, burst=10), 0.0, 0
    for gap in gaps:
        now_s += gap
        passed += rate.allows(now_s)
        assert passed <= 10 + now_s * 5 + 1e-6


def test_a_rate_says_what_is_left() -> None:
    """At most, now, and when all is there again."""
    rate = Rate(per_s=5, burst=10)
    assert rate.left(0.0) == (10, 10, 0.0)
    for _ in range(4):
        rate.allows(1.0)
    assert rate.left(1.0) == (10, 6, 0.8)
    assert rate.left(1.4) == (10, 8, 0.4)
    assert rate.left(9.0) == (10, 10, 0.0)
