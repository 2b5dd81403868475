"""What the addresses of one server have in common: who may ask, which calls there are.

A request is measured, counted and verified before it is read; one that fails is told so with the
right status and logged by what was wrong with it, never by what it said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from loguru import logger
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from voice_agent.agents.tools import Tool
from voice_agent.media import Transport
from voice_agent.parting import After
from voice_agent.shelf import Shelf
from voice_agent.transports.telephony.carrier import Carrier
from voice_agent.transports.telephony.security import Forged, Request, Strangers, Tickets
from voice_agent.transports.telephony.settings import TelephonySettings
from voice_agent.transports.telephony.transport import TelephoneLine

MAX_BODY_BYTES = 64 * 1024
"""A webhook is 1 to 4 kB."""
WEBHOOKS_PER_S, WEBHOOKS_BURST = 20.0, 100
"""What one address may ask: a carrier asks twice or three times a call."""


class Conversations(Protocol):
    """What is needed of :class:`voice_agent.sessions.Conversations`."""

    def line(self, address: str = "") -> contextlib.AbstractContextManager[None]:
        """Hold a line for a call that is being answered; raises Busy."""
        ...

    def begin(
        self,
        transport: Transport,
        *,
        address: str = "",
        line_tools: Callable[[After], Sequence[Tool]],
    ) -> asyncio.Task[None]:
        """Converse over a connected client's transport; return the call."""
        ...


@dataclass(frozen=True, slots=True)
class Invited:
    """What a ticket for a socket without a webhook before it stands for."""

    carrier: str


class Refused(Exception):
    """A webhook is refused with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def refusal(carrier: str, status: int, why: str) -> Refused:
    """Return a refusal, and log it."""
    logger.warning(f"{carrier}: a webhook was refused: {why}")
    return Refused(JSONResponse({"error": why}, status))


class Desk:
    """The carriers of one server, and the calls that are connected.

    Args:
        settings: ``[telephony]`` of the pipeline.
        conversations: Who takes the calls.
        carriers: By name.
        insecure: Believe everybody; for a server that nobody else can reach.
        shelf: Where tickets are kept; None: in this process.
    """

    def __init__(
        self,
        settings: TelephonySettings,
        conversations: Conversations,
        carriers: Mapping[str, Carrier],
        *,
        insecure: bool = False,
        shelf: Shelf | None = None,
    ) -> None:
        self.settings = settings
        self.conversations = conversations
        self.carriers = carriers
        self.insecure = insecure
        self.tickets = Tickets(shelf)
        self.strangers = Strangers(WEBHOOKS_PER_S, WEBHOOKS_BURST)
        self.lines: dict[tuple[str, str], TelephoneLine] = {}
        """By carrier and call id."""

    async def verified(self, http: HttpRequest) -> tuple[Carrier, Request]:
        """Return a webhook that is what it says; raises Refused."""
        name = http.path_params["carrier"]
        carrier = self.carriers.get(name)
        if carrier is None:
            raise Refused(JSONResponse({"error": "there is no such carrier here"}, 404))
        address = http.client.host if http.client else ""
        if not self.strangers.allows(address, time.monotonic()):
            raise refusal(name, 429, "too many requests from this address")
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise refusal(name, 413, f"the body is larger than {MAX_BODY_BYTES // 1024} KiB")
        query = f"?{http.url.query}" if http.url.query else ""
        url = self.url(http, "http") + http.url.path + query
        form = http.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        said = body.decode("utf-8", "replace") if form else http.url.query
        try:
            fields = tuple(parse_qsl(said, keep_blank_values=True, max_num_fields=200))
        except ValueError:
            raise refusal(name, 400, "the form cannot be read") from None
        request = Request(http.method, url, dict(http.headers), bytes(body), fields)
        if not self.insecure:
            try:
                carrier.verify(request)
            except Forged as error:
                raise refusal(name, error.status, str(error)) from None
        return carrier, request

    def url(self, http: HttpRequest | WebSocket, scheme: str) -> str:
        """Return this server's address as carriers know it, with ``ws`` or ``http``."""
        base = self.settings.public_url
        if not base:
            secure = http.url.scheme in ("https", "wss")
            base = f"http{'s' if secure else ''}://{http.headers.get('host', '')}"
        return base.replace("http", scheme, 1)

    def socket_request(self, websocket: WebSocket) -> Request:
        """Return the request for a media socket as it was signed."""
        query = f"?{websocket.url.query}" if websocket.url.query else ""
        url = self.url(websocket, "ws") + websocket.url.path + query
        fields = tuple(parse_qsl(websocket.url.query, keep_blank_values=True))
        return Request("GET", url, dict(websocket.headers), form=fields)
