"""Telnyx: TeXML ``<Connect><Stream bidirectionalMode="rtp">``, G.711 as base64 in JSON.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket,
https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream. Telnyx does not
promise that packets come in order; their numbers put them right.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from voice_agent.transports.telephony.carrier import (
    Answer,
    AnsweredBy,
    Carrier,
    Dialled,
    Incoming,
    Rest,
    Secrets,
    TelephonyError,
    answered_by,
    call_id,
    calling_from,
    xml,
)
from voice_agent.transports.telephony.security import Forged, Request
from voice_agent.transports.telephony.settings import TelnyxSettings
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Ended,
    Event,
    Format,
    JsonWire,
    Marked,
    Started,
    base64_text,
    format_of,
    key,
    packets,
    strings,
    table,
    text,
)

TOLERANCE_S = 300.0
"""A webhook may be this old: Telnyx signs the time too."""


class TelnyxWire(JsonWire):
    """One media stream."""

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        match message.get("event"):
            case "connected":
                return ()
            case "start":
                return (self._start(message),)
            case "media":
                return packets(table(message, "media"))
            case "dtmf":
                return (key(table(message, "dtmf")),)
            case "mark":
                return (Marked(text(table(message, "mark"), "name")),)
            case "error":
                raise BadMessage(f"Telnyx reports error {_code(message)}")
            case "stop":
                return (Ended(),)
            case _:
                raise BadMessage("an event that Telnyx does not have")

    def _start(self, message: Mapping[str, Any]) -> Started:
        start = table(message, "start")
        media = start.get("media_format")
        return Started(
            call_id=text(start, "call_control_id"),
            format=format_of(media, "encoding", "sample_rate")
            if isinstance(media, dict)
            else Format(),
            ids={"stream_id": text(message, "stream_id")},
            parameters=strings(start.get("custom_parameters")),
        )

    def audio(self, payload: bytes) -> str:
        """Return the message that plays G.711 audio."""
        return json.dumps({"event": "media", "media": {"payload": base64_text(payload)}})

    def mark(self, name: str) -> str:
        """Return the message whose echo says that all before it was played."""
        return json.dumps({"event": "mark", "mark": {"name": name}})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"event": "clear"})


class Telnyx(Carrier):
    """One Telnyx account.

    ``clock`` returns the time that signatures are compared with, seconds since the epoch.
    """

    name = "telnyx"

    def __init__(
        self, settings: TelnyxSettings, secret: Secrets, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._public_key = secret(settings.public_key_env)
        self._api_key = secret(settings.api_key_env)
        self._clock = clock

    def verify(self, request: Request) -> None:
        """Check ``Telnyx-Signature-Ed25519`` over the time and the body."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        given = request.header("telnyx-signature-ed25519")
        stamp = request.header("telnyx-timestamp")
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(self._public_key))
            signed = stamp.encode() + b"|" + request.body
            public.verify(base64.b64decode(given, validate=True), signed)
            age_s = abs(self._clock() - float(stamp))
        except (InvalidSignature, ValueError):
            raise Forged("the signature does not fit") from None
        if not age_s <= TOLERANCE_S:
            raise Forged("the request is too old")

    def incoming(self, request: Request) -> Incoming:
        """Return the call that ``CallSid`` names, which is its call control id."""
        outbound = request.field("Direction").startswith("outbound")
        return Incoming(
            self.name,
            call_id(request),
            request.field("To" if outbound else "From"),
        )

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return TeXML that connects the call to the media socket, both ways."""
        codec = self._settings.codec
        stream = (
            f'<Stream url={quoteattr(media_url)} track="inbound_track" codec="{codec}" '
            f'bidirectionalMode="rtp" bidirectionalCodec="{codec}" />'
        )
        return xml(f"<Connect>{stream}</Connect>")

    def busy(self) -> Answer:
        """Return TeXML that lets the caller hear the busy tone."""
        return xml('<Reject reason="busy" />')

    def wire(self, call: Incoming | None = None) -> TelnyxWire:
        """Return the protocol of a new media stream."""
        return TelnyxWire()

    def event(self, request: Request) -> AnsweredBy | None:
        """Return who has answered, from an asynchronous AMD callback."""
        return answered_by(request)

    async def hang_up(self, call_id: str) -> None:
        """End the call; one that has ended already (422) is no error."""
        await self._act(call_id, "hangup", {}, allowed=(404, 422))

    async def transfer(self, call_id: str, to: str, transfer_url: str) -> None:
        """Transfer the call; this ends the media stream."""
        await self._act(call_id, "transfer", {"to": to})

    async def send_keys(self, call_id: str, keys: str) -> bool:
        """Send keys into the call."""
        await self._act(call_id, "send_dtmf", {"digits": keys})
        return True

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to`` with the TeXML application's number."""
        if not self._settings.application_id:
            raise TelephonyError("telephony.telnyx.application_id is needed to make calls")
        body = {
            "To": to,
            "From": calling_from(self._settings.from_number, self.name),
            "Url": answer_url,
        }
        if detect:
            body |= {
                "MachineDetection": "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": events_url,
            }
        path = f"/v2/texml/calls/{self._settings.application_id}"
        made = await self._rest()("POST", path, json=body)
        made = made.get("data", made)
        return Dialled(str(made.get("call_control_id") or made.get("call_sid") or made.get("sid")))

    async def _act(self, call_id: str, action: str, body: Any, **allowed: Any) -> None:
        path = f"/v2/calls/{call_id}/actions/{action}"
        await self._rest()("POST", path, json=body, **allowed)

    def _rest(self) -> Rest:
        return Rest(self._settings.api_url, f"Bearer {self._api_key}")


def _code(message: Mapping[str, Any]) -> str:
    details = message.get("payload")
    code = details.get("code") if isinstance(details, dict) else None
    return str(code) if isinstance(code, int) else "without a code"
