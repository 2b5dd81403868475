"""Exotel's Voicebot applet: linear 16-bit PCM as base64 in JSON, 100 ms a packet.

https://developer.exotel.com/docs/agentstream/websocket-protocol and
.../stream-voicebot-applet. Exotel signs nothing. The applet's URL is either our webhook, with the
key as its query (``/telephony/exotel/answer?key=...``), which answers a socket with a ticket; or
the socket itself with the key as the password of Basic authentication
(``wss://agent:<key>@host/telephony/exotel/media``).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from voice_agent.transports.telephony.carrier import (
    Answer,
    Carrier,
    Dialled,
    Incoming,
    Rest,
    Secrets,
    TelephonyError,
    call_id,
    calling_from,
)
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import ExotelSettings
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Encoding,
    Ended,
    Event,
    Format,
    JsonWire,
    Marked,
    Started,
    base64_text,
    key,
    number,
    packets,
    strings,
    table,
    text,
)


class ExotelWire(JsonWire):
    """One stream."""

    packet_ms = 100
    """Exotel asks for 100 ms at least, in multiples of 20 ms."""

    def __init__(self) -> None:
        self._stream = ""

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        match message.get("event"):
            case "connected":
                return ()
            case "start":
                return (self._start(table(message, "start")),)
            case "media":
                return packets(table(message, "media"))
            case "dtmf":
                return (key(table(message, "dtmf")),)
            case "mark":
                return (Marked(text(table(message, "mark"), "name")),)
            case "clear":
                return ()
            case "stop":
                return (Ended(),)
            case _:
                raise BadMessage("an event that Exotel does not have")

    def _start(self, start: Mapping[str, Any]) -> Started:
        self._stream = text(start, "stream_sid")
        media = start.get("media_format")
        hz = number(media, "sample_rate") if isinstance(media, dict) else None
        if hz not in (None, 8000, 16_000, 24_000):
            raise BadMessage("a sample rate that Exotel does not have")
        return Started(
            call_id=text(start, "call_sid"),
            format=Format(Encoding.L16, hz or 8000),
            ids={"stream_id": self._stream},
            caller=str(start.get("from", ""))[:40],
            parameters=strings(start.get("custom_parameters")),
        )

    def audio(self, payload: bytes) -> str:
        """Return the message that plays linear audio."""
        media = {"payload": base64_text(payload)}
        return json.dumps({"event": "media", "stream_sid": self._stream, "media": media})

    def mark(self, name: str) -> str:
        """Return the message whose echo says that all before it was played."""
        mark = {"name": name}
        return json.dumps({"event": "mark", "stream_sid": self._stream, "mark": mark})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"event": "clear", "stream_sid": self._stream})


class Exotel(Carrier):
    """One Exotel account."""

    name = "exotel"
    direct = True

    def __init__(self, settings: ExotelSettings, secret: Secrets) -> None:
        self._settings = settings
        self._key = secret(settings.key_env)
        self._secret = secret

    def verify(self, request: Request) -> None:
        """Compare the key: the query's ``key``, or the password of Basic authentication."""
        given = dict(request.form).get("key") or _password(request.headers.get("authorization", ""))
        if not given:
            raise Forged("the key is missing", 401)
        if not self._key or not same(given, self._key):
            raise Forged("the key does not fit")

    def incoming(self, request: Request) -> Incoming:
        """Return the call that ``CallSid`` names."""
        return Incoming(
            self.name,
            call_id(request),
            request.field("CallFrom"),
        )

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return where the applet's media socket is."""
        return Answer(json.dumps({"url": media_url}), "application/json")

    def busy(self) -> Answer:
        """Return no address: the flow goes on with its next applet."""
        return Answer(json.dumps({"error": "all lines are busy"}), "application/json")

    def wire(self, call: Incoming | None = None) -> ExotelWire:
        """Return the protocol of a new stream."""
        return ExotelWire()

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to`` and connect it to the media socket itself; Exotel detects no machines."""
        account = self._secret(self._settings.account_sid_env)
        api_key = self._secret(self._settings.api_key_env)
        api_token = self._secret(self._settings.api_token_env)
        if not answer_url.startswith("https://"):
            raise TelephonyError("Exotel calls https addresses only; set telephony.public_url")
        host = answer_url.removeprefix("https://").removesuffix("/telephony/exotel/answer")
        form = {
            "from": to,
            "callerid": calling_from(self._settings.from_number, self.name),
            "streamurl": f"wss://agent:{self._key}@{host}/telephony/exotel/media",
            "streamtype": "bidirectional",
            "statuscallback": events_url,
        }
        rest = Rest.basic(self._settings.api_url, api_key, api_token)
        made = await rest("POST", f"/v1/accounts/{account}/calls/connect", data=form)
        call = made.get("Call") or made.get("call") or made
        return Dialled(str(call.get("Sid") or call.get("sid") or ""))


def _password(authorization: str) -> str:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
