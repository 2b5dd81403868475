"""The addresses that carriers call: webhooks under ``/telephony``, and the media sockets.

``POST /telephony/<carrier>/answer`` answers a call with whatever makes the carrier open
``WS /telephony/<carrier>/media/<ticket>``; ``POST /telephony/<carrier>/events`` takes what becomes
of it. A request is measured, counted and verified before it is read; one that fails is told so
with the right status and logged by what was wrong with it, never by what it said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from loguru import logger
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_agent.errors import Busy
from voice_agent.media import Transport
from voice_agent.shelf import Shelf
from voice_agent.transports.telephony.carrier import (
    Carrier,
    Handover,
    Incoming,
    TelephonyError,
)
from voice_agent.transports.telephony.carriers import carriers_of
from voice_agent.transports.telephony.security import (
    TICKET_S,
    Forged,
    Request,
    Strangers,
    Tickets,
)
from voice_agent.transports.telephony.settings import TelephonySettings
from voice_agent.transports.telephony.transport import TelephoneLine
from voice_agent.transports.telephony.wire import BadMessage, Ended, Reply, Started, Wire
from voice_agent.transports.websocket import POLICY, Socket, opened, refuse

MAX_BODY_BYTES = 64 * 1024
"""A webhook is 1 to 4 kB."""
WEBHOOKS_PER_S, WEBHOOKS_BURST = 20.0, 100
"""What one address may ask: a carrier asks twice or three times a call."""
START_S = 10.0
"""A media socket must say within this long which call it is."""


class Conversations(Protocol):
    """What is needed of :class:`voice_agent.sessions.Conversations`."""

    def line(self, address: str = "") -> contextlib.AbstractContextManager[None]:
        """Hold a line for a call that is being answered; raises Busy."""
        ...

    def begin(self, transport: Transport, *, address: str = "") -> asyncio.Task[None]:
        """Converse over a connected client's transport; return the call."""
        ...


@dataclass(frozen=True, slots=True)
class Invited:
    """What a ticket for a socket without a webhook before it stands for."""

    carrier: str


class Telephony:
    """The carriers of one server.

    Args:
        settings: ``[telephony]`` of the pipeline.
        conversations: Who takes the calls.
        environ: The environment, for the secrets.
        insecure: Believe everybody; for a server that nobody else can reach.
        shelf: Where tickets are kept; None: in this process.

    Raises:
        TelephonyError: A secret is missing.
    """

    def __init__(
        self,
        settings: TelephonySettings,
        conversations: Conversations,
        environ: Mapping[str, str],
        *,
        insecure: bool = False,
        shelf: Shelf | None = None,
    ) -> None:
        self._settings = settings
        self._conversations = conversations
        self._carriers = carriers_of(settings, environ, secrets_optional=insecure)
        self._insecure = insecure
        self._tickets = Tickets(shelf)
        self._strangers = Strangers(WEBHOOKS_PER_S, WEBHOOKS_BURST)
        self._lines: dict[tuple[str, str], TelephoneLine] = {}

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes; none without a carrier."""
        if not self._carriers:
            return ()
        both = ["GET", "POST"]
        return (
            Route("/telephony/{carrier}/answer", self.answer, methods=both),
            Route("/telephony/{carrier}/events", self.events, methods=both),
            Route("/telephony/{carrier}/transfer/{ticket}", self.transfer, methods=both),
            WebSocketRoute("/telephony/{carrier}/media/{ticket}", self.media),
            WebSocketRoute("/telephony/{carrier}/media", self.direct),
            Route("/bridge/tickets", self.bridge_ticket, methods=["POST"]),
            WebSocketRoute("/bridge", self.direct),
        )

    # ----- webhooks -----

    async def answer(self, http: HttpRequest) -> Response:
        """Answer a call."""
        try:
            carrier, request = await self._verified(http)
            call = carrier.incoming(request)
        except _Refused as refused:
            return refused.response
        except BadMessage as error:
            return _refusal(carrier.name, 422, str(error)).response
        try:
            with self._conversations.line(call.caller):
                pass
        except Busy:
            logger.info(f"{carrier.name}: a call was turned away: all lines are busy")
            busy = carrier.busy()
            return Response(busy.content, media_type=busy.media_type)
        ticket = self._tickets.issue(call, time.monotonic())
        media_url = self._url(http, "ws") + f"/telephony/{carrier.name}/media/{ticket}"
        answer = carrier.answer(media_url, call)
        return Response(answer.content, media_type=answer.media_type)

    async def events(self, http: HttpRequest) -> Response:
        """Take what a carrier tells of a call."""
        try:
            carrier, request = await self._verified(http)
            answered = carrier.event(request)
        except _Refused as refused:
            return refused.response
        except BadMessage as error:
            return _refusal(carrier.name, 422, str(error)).response
        if answered is not None:
            who = "a machine" if answered.machine else "a person"
            logger.info(f"{carrier.name}: {who} has answered")
            line = self._lines.get((carrier.name, answered.call_id))
            if answered.machine and self._settings.on_machine == "hang-up":
                try:
                    await carrier.hang_up(answered.call_id)
                except TelephonyError as error:
                    logger.warning(f"{carrier.name}: a call could not be hung up: {error}")
                if line is not None:
                    await line.close()
        return Response(status_code=204)

    async def transfer(self, http: HttpRequest) -> Response:
        """Tell a carrier where a call goes that we hand over."""
        try:
            carrier, _ = await self._verified(http)
            ticket = http.path_params["ticket"]
            handover = self._tickets.redeem(ticket, Handover, time.monotonic())
            answer = carrier.transferred(handover.to)
        except _Refused as refused:
            return refused.response
        except Forged as error:
            return _refusal(carrier.name, error.status, str(error)).response
        if answer is None or handover.carrier != carrier.name:
            return _refusal(carrier.name, 404, "there is no such transfer").response
        return Response(answer.content, media_type=answer.media_type)

    async def _verified(self, http: HttpRequest) -> tuple[Carrier, Request]:
        """Return a webhook that is what it says; raises _Refused."""
        name = http.path_params["carrier"]
        carrier = self._carriers.get(name)
        if carrier is None:
            raise _Refused(JSONResponse({"error": "there is no such carrier here"}, 404))
        address = http.client.host if http.client else ""
        if not self._strangers.allows(address, time.monotonic()):
            raise _refusal(name, 429, "too many requests from this address")
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _refusal(name, 413, f"the body is larger than {MAX_BODY_BYTES // 1024} KiB")
        query = f"?{http.url.query}" if http.url.query else ""
        url = self._url(http, "http") + http.url.path + query
        form = http.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        said = body.decode("utf-8", "replace") if form else http.url.query
        try:
            fields = tuple(parse_qsl(said, keep_blank_values=True, max_num_fields=200))
        except ValueError:
            raise _refusal(name, 400, "the form cannot be read") from None
        request = Request(http.method, url, dict(http.headers), bytes(body), fields)
        if not self._insecure:
            try:
                carrier.verify(request)
            except Forged as error:
                raise _refusal(name, error.status, str(error)) from None
        return carrier, request

    def _url(self, http: HttpRequest | WebSocket, scheme: str) -> str:
        """Return this server's address as carriers know it, with ``ws`` or ``http``."""
        base = self._settings.public_url
        if not base:
            secure = http.url.scheme in ("https", "wss")
            base = f"http{'s' if secure else ''}://{http.headers.get('host', '')}"
        return base.replace("http", scheme, 1)

    # ----- media -----

    async def media(self, websocket: WebSocket) -> None:
        """Take a call's media socket and converse until it ends."""
        name = websocket.path_params["carrier"]
        carrier = self._carriers.get(name)
        if carrier is None:
            await refuse(websocket, 404, "there is no such carrier here")
            return
        ticket = websocket.path_params["ticket"]
        try:
            call = self._tickets.redeem(ticket, Incoming, time.monotonic())
            if call.carrier != name:
                raise Forged("the ticket is another carrier's")
            self._check_signature(carrier, websocket)
        except Forged as error:
            logger.warning(f"{name}: a media socket was refused: {error}")
            await refuse(websocket, error.status, str(error))
            return
        await self._converse(carrier, carrier.wire(call), call.caller, websocket)

    async def direct(self, websocket: WebSocket) -> None:
        """Take a media socket that a carrier opens without a webhook before it."""
        name = websocket.path_params.get("carrier", "bridge")
        carrier = self._carriers.get(name)
        if carrier is None or not carrier.direct:
            await refuse(websocket, 404, "there is no such carrier here")
            return
        address = websocket.client.host if websocket.client else ""
        if not self._strangers.allows(address, time.monotonic()):
            await refuse(websocket, 429, "too many requests from this address")
            return
        request = self._socket_request(websocket)
        try:
            if ticket := request.field("ticket"):
                invited = self._tickets.redeem(ticket, Invited, time.monotonic())
                if invited.carrier != carrier.name:
                    raise Forged("the ticket is another carrier's")
            elif not self._insecure:
                carrier.verify(request)
            wire = carrier.direct_wire(request)
        except (Forged, BadMessage) as error:
            logger.warning(f"{name}: a media socket was refused: {error}")
            status = error.status if isinstance(error, Forged) else 400
            await refuse(websocket, status, str(error))
            return
        # A carrier's address is nobody's: whom it calls for is known when the call starts.
        await self._converse(carrier, wire, address if name == "bridge" else "", websocket)

    async def bridge_ticket(self, http: HttpRequest) -> Response:
        """Give a PBX that shows its token an address that is good once."""
        http.path_params["carrier"] = "bridge"
        try:
            carrier, request = await self._verified(http)
        except _Refused as refused:
            return refused.response
        ticket = self._tickets.issue(Invited(carrier.name), time.monotonic())
        asked = {name: value for name, value in request.form if name != "token"}
        url = f"{self._url(http, 'ws')}/bridge?{urlencode({**asked, 'ticket': ticket})}"
        return JSONResponse({"url": url, "expires_s": TICKET_S}, 201)

    def _socket_request(self, websocket: WebSocket) -> Request:
        query = f"?{websocket.url.query}" if websocket.url.query else ""
        url = self._url(websocket, "ws") + websocket.url.path + query
        fields = tuple(parse_qsl(websocket.url.query, keep_blank_values=True))
        return Request("GET", url, dict(websocket.headers), form=fields)

    def _check_signature(self, carrier: Carrier, websocket: WebSocket) -> None:
        """A carrier that signs its request for the socket must sign it rightly.

        The ticket is what lets it in: not all sign, and not all do so for every account.
        """
        if self._insecure or carrier.media_signature not in websocket.headers:
            return
        request = self._socket_request(websocket)
        for url in (request.url, request.url + "/"):  # Twilio's documentation has it both ways
            with contextlib.suppress(Forged):
                carrier.verify(replace(request, url=url))
                return
        raise Forged("the signature does not fit")

    async def _converse(
        self, carrier: Carrier, wire: Wire, address: str, websocket: WebSocket
    ) -> None:
        with contextlib.ExitStack() as answering:
            try:
                answering.enter_context(self._conversations.line(address))
            except Busy as busy:
                after = {"Retry-After": str(max(1, round(busy.retry_after_s)))}
                await refuse(websocket, 503, "all lines are busy", after)
                return
            offered = wire.subprotocol in websocket.scope.get("subprotocols", ())
            subprotocol = wire.subprotocol if wire.subprotocol and offered else None
            async with opened(websocket, subprotocol=subprotocol) as socket:
                started = await _start(carrier.name, wire, socket)
                if started is None:
                    return
                line = TelephoneLine(wire.name or carrier.name, wire, socket, started)
                call = self._conversations.begin(line, address=address or started.caller)
                answering.close()
                await self._until_over(carrier.name, started.call_id, line, call)

    async def _until_over(
        self, carrier: str, call_id: str, line: TelephoneLine, call: asyncio.Task[None]
    ) -> None:
        self._lines[carrier, call_id] = line
        try:
            await line.run()
        finally:
            await asyncio.wait({call})
            if self._lines.get((carrier, call_id)) is line:
                del self._lines[carrier, call_id]


async def _start(name: str, wire: Wire, socket: Socket) -> Started | None:
    """Return what the socket says of its call; None when it does not in time."""
    try:
        async with asyncio.timeout(START_S), contextlib.aclosing(socket.messages()) as messages:
            async for message in messages:
                for event in wire.receive(message):
                    match event:
                        case Started():
                            return event
                        case Reply(answer):
                            socket.send(answer)
                        case Ended():
                            return None
                        case _:
                            pass  # audio of a call that is not named yet
    except (BadMessage, TimeoutError) as error:
        why = str(error) or "it did not say in time which call it is"
        logger.warning(f"{name}: a media socket was closed: {why}")
        socket.close(POLICY, "no call")
    return None


class _Refused(Exception):
    """A webhook is refused with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _refusal(carrier: str, status: int, why: str) -> _Refused:
    logger.warning(f"{carrier}: a webhook was refused: {why}")
    return _Refused(JSONResponse({"error": why}, status))
