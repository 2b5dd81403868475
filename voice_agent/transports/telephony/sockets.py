"""Media sockets: opened with a ticket that a webhook gave, or by a carrier that needs none."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from loguru import logger
from starlette.websockets import WebSocket

from voice_agent.errors import Busy
from voice_agent.transports.telephony.calling import PhoneCall, call_tools
from voice_agent.transports.telephony.carrier import Carrier, Handover, Incoming
from voice_agent.transports.telephony.desk import Desk, Invited
from voice_agent.transports.telephony.security import Forged
from voice_agent.transports.telephony.transport import TelephoneLine
from voice_agent.transports.telephony.wire import BadMessage, Ended, Reply, Started, Wire
from voice_agent.transports.websocket import POLICY, Socket, opened, refuse

START_S = 10.0
"""A media socket must say within this long which call it is."""


class MediaSockets:
    """The media sockets of one server."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def media(self, websocket: WebSocket) -> None:
        """Take a call's media socket and converse until it ends."""
        name = websocket.path_params["carrier"]
        carrier = self._desk.carriers.get(name)
        if carrier is None:
            await refuse(websocket, 404, "there is no such carrier here")
            return
        ticket = websocket.path_params["ticket"]
        try:
            call = self._desk.tickets.redeem(ticket, Incoming, time.monotonic())
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
        carrier = self._desk.carriers.get(name)
        if carrier is None or not carrier.direct:
            await refuse(websocket, 404, "there is no such carrier here")
            return
        address = websocket.client.host if websocket.client else ""
        if not self._desk.strangers.allows(address, time.monotonic()):
            await refuse(websocket, 429, "too many requests from this address")
            return
        request = self._desk.socket_request(websocket)
        try:
            if ticket := request.field("ticket"):
                invited = self._desk.tickets.redeem(ticket, Invited, time.monotonic())
                if invited.carrier != carrier.name:
                    raise Forged("the ticket is another carrier's")
            elif not self._desk.insecure:
                carrier.verify(request)
            wire = carrier.direct_wire(request)
        except (Forged, BadMessage) as error:
            logger.warning(f"{name}: a media socket was refused: {error}")
            status = error.status if isinstance(error, Forged) else 400
            await refuse(websocket, status, str(error))
            return
        # A carrier's address is nobody's: whom it calls for is known when the call starts.
        await self._converse(carrier, wire, address if name == "bridge" else "", websocket)

    def _check_signature(self, carrier: Carrier, websocket: WebSocket) -> None:
        """A carrier that signs its request for the socket must sign it rightly.

        The ticket is what lets it in: not all sign, and not all do so for every account.
        """
        if self._desk.insecure or carrier.media_signature not in websocket.headers:
            return
        request = self._desk.socket_request(websocket)
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
                answering.enter_context(self._desk.conversations.line(address))
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
                phone = PhoneCall(
                    carrier, started.call_id, line, self._transfer_url(carrier, websocket)
                )
                call = self._desk.conversations.begin(
                    line,
                    address=address or started.caller,
                    line_tools=lambda after: call_tools(phone, self._desk.settings.tools, after),
                )
                answering.close()
                await self._until_over(carrier.name, started.call_id, line, call)

    def _transfer_url(self, carrier: Carrier, websocket: WebSocket) -> Callable[[str], str]:
        base = f"{self._desk.url(websocket, 'http')}/telephony/{carrier.name}/transfer"

        def issue(to: str) -> str:
            handover = Handover(carrier.name, to)
            return f"{base}/{self._desk.tickets.issue(handover, time.monotonic())}"

        return issue

    async def _until_over(
        self, carrier: str, call_id: str, line: TelephoneLine, call: asyncio.Task[None]
    ) -> None:
        self._desk.lines[carrier, call_id] = line
        try:
            await line.run()
        finally:
            await asyncio.wait({call})
            if self._desk.lines.get((carrier, call_id)) is line:
                del self._desk.lines[carrier, call_id]


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
