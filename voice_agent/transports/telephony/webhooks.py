"""What carriers ask over HTTP: how a call is answered, what became of it, where it goes next."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from loguru import logger
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from voice_agent.errors import Busy
from voice_agent.transports.telephony.carrier import Handover, TelephonyError
from voice_agent.transports.telephony.desk import Desk, Invited, Refused, refusal
from voice_agent.transports.telephony.security import TICKET_S, Forged
from voice_agent.transports.telephony.wire import BadMessage


class Webhooks:
    """The webhooks of one server."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def answer(self, http: HttpRequest) -> Response:
        """Answer a call."""
        try:
            carrier, request = await self._desk.verified(http)
            call = carrier.incoming(request)
        except Refused as refused:
            return refused.response
        except BadMessage as error:
            return refusal(carrier.name, 422, str(error)).response
        try:
            with self._desk.conversations.line(call.caller):
                pass
        except Busy:
            logger.info(f"{carrier.name}: a call was turned away: all lines are busy")
            busy = carrier.busy()
            return Response(busy.content, media_type=busy.media_type)
        ticket = self._desk.tickets.issue(call, time.monotonic())
        media_url = self._desk.url(http, "ws") + f"/telephony/{carrier.name}/media/{ticket}"
        answer = carrier.answer(media_url, call)
        return Response(answer.content, media_type=answer.media_type)

    async def events(self, http: HttpRequest) -> Response:
        """Take what a carrier tells of a call."""
        try:
            carrier, request = await self._desk.verified(http)
            answered = carrier.event(request)
        except Refused as refused:
            return refused.response
        except BadMessage as error:
            return refusal(carrier.name, 422, str(error)).response
        if answered is not None:
            who = "a machine" if answered.machine else "a person"
            logger.info(f"{carrier.name}: {who} has answered")
            line = self._desk.lines.get((carrier.name, answered.call_id))
            if answered.machine and self._desk.settings.on_machine == "hang-up":
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
            carrier, _ = await self._desk.verified(http)
            ticket = http.path_params["ticket"]
            handover = self._desk.tickets.redeem(ticket, Handover, time.monotonic())
            answer = carrier.transferred(handover.to)
        except Refused as refused:
            return refused.response
        except Forged as error:
            return refusal(carrier.name, error.status, str(error)).response
        if answer is None or handover.carrier != carrier.name:
            return refusal(carrier.name, 404, "there is no such transfer").response
        return Response(answer.content, media_type=answer.media_type)

    async def bridge_ticket(self, http: HttpRequest) -> Response:
        """Give a PBX that shows its token an address that is good once."""
        http.path_params["carrier"] = "bridge"
        try:
            carrier, request = await self._desk.verified(http)
        except Refused as refused:
            return refused.response
        ticket = self._desk.tickets.issue(Invited(carrier.name), time.monotonic())
        asked = {name: value for name, value in request.form if name != "token"}
        url = f"{self._desk.url(http, 'ws')}/bridge?{urlencode({**asked, 'ticket': ticket})}"
        return JSONResponse({"url": url, "expires_s": TICKET_S}, 201)
