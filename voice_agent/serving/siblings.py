"""The other workers of a server, each asked over a socket in a folder of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from voice_agent.serving.orders import Orders

ASIDE = "x-voice-agent-for"
"""Whom a request is passed on for: the scheme and the address of the client that made it. Workers
say it to each other; from anybody else it counts for nothing."""
KNOWS = "/worker/knows"
WITHIN_S = 10.0
_NOT_PASSED_ON = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What another worker has answered."""

    status: int
    headers: Headers
    body: bytes


class Siblings:
    """Asks the others; ``async with`` for as long as the worker serves."""

    def __init__(self, orders: Orders) -> None:
        self._others = [
            str(orders.socket(number)) for number in range(orders.of) if number != orders.number
        ]
        self._clients: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        """Be ready to ask."""
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        self._clients = {
            path: aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path), timeout=timeout, auto_decompress=False
            )
            for path in self._others
        }
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))

    async def everyone(self, path: str) -> list[bytes]:
        """Return what each of the others answers to a ``GET``; one that does not is left out."""
        asked = (self._ask(each, "GET", path, [], b"") for each in self._others)
        answers = await asyncio.gather(*asked)
        return [answer.body for answer in answers if answer is not None and answer.status == 200]

    async def who_knows(self, query: str) -> str | None:
        """Return the socket of the worker that knows a call; ``query``: see ``KNOWS``."""
        asked = (self._ask(each, "GET", f"{KNOWS}?{query}", [], b"") for each in self._others)
        answers = await asyncio.gather(*asked)
        for path, answer in zip(self._others, answers, strict=True):
            if answer is not None and answer.status == 204:
                return path
        return None

    async def pass_on(
        self, to: str, method: str, path: str, headers: Headers, body: bytes, client: str
    ) -> Answer | None:
        """Let another worker answer a request; None when it does not."""
        kept = [each for each in _passed_on(headers) if each[0].decode().lower() != ASIDE]
        return await self._ask(to, method, path, [*kept, (ASIDE.encode(), client.encode())], body)

    async def _ask(
        self, to: str, method: str, path: str, headers: Headers, body: bytes
    ) -> Answer | None:
        sent = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        url = f"http://{dict(sent).get('host', 'worker')}{path}"
        try:
            async with self._clients[to].request(
                method, url, headers=[*sent], data=body or None, allow_redirects=False
            ) as response:
                told = list(_passed_on(response.raw_headers))
                return Answer(response.status, told, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [each for each in headers if each[0].decode("latin-1").lower() not in _NOT_PASSED_ON]
