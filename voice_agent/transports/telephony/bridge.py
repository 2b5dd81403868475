"""The bridge for any PBX: a small wire contract of our own, and three that PBXs speak already.

One WebSocket a call at ``/bridge``: JSON events as text, audio as binary (docs/telephony.md has the
contract, version 1, word for word). ``/bridge?dialect=asterisk`` speaks Asterisk's
``chan_websocket``, ``jambonz`` the ``listen`` verb (and drachtio's ``mod_audio_fork``),
``freeswitch`` ``mod_audio_stream``. Who has the bridge's token gets in: as a bearer token, as the
password of Basic authentication, or as ``?token=`` where a PBX can set nothing but an address;
better, ``POST /bridge/tickets`` with it gives an address that is good once.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from voice_agent.transports.telephony.asterisk import AsteriskWire
from voice_agent.transports.telephony.carrier import Answer, Carrier, Incoming, Secrets
from voice_agent.transports.telephony.freeswitch import FreeSwitchWire
from voice_agent.transports.telephony.jambonz import JambonzWire
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import BridgeSettings
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Ended,
    Event,
    JsonWire,
    Marked,
    Media,
    Reply,
    Started,
    Wire,
    format_of,
    key,
    number,
    strings,
    text,
)

VERSION = 1
SUBPROTOCOL = "voice-agent.bridge.v1"


class BridgeWire(JsonWire):
    """The contract of our own, version 1."""

    name = "bridge"
    subprotocol = SUBPROTOCOL

    def __init__(self) -> None:
        self._started = False

    def binary(self, message: bytes) -> Iterable[Event]:
        """Return the caller's audio."""
        if not self._started:
            raise BadMessage("audio before 'start'")
        return (Media(message),)

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        match message.get("event"):
            case "start":
                return self._start(message)
            case "dtmf":
                return self._keys(message)
            case "mark":
                return (Marked(text(message, "name")),)
            case "stop":
                return (Ended(),)
            case _:
                raise BadMessage("an event that version 1 does not have")

    def _start(self, message: Mapping[str, Any]) -> Iterable[Event]:
        if self._started:
            raise BadMessage("the call starts a second time")
        if number(message, "version") != VERSION:
            why = f"version {VERSION} is spoken here"
            error = {"event": "error", "message": why, "versions": [VERSION]}
            return (Reply(json.dumps(error)), Ended())
        format = format_of(message, "encoding", "rate")
        started = {
            "event": "started",
            "version": VERSION,
            "encoding": format.encoding.name.lower(),
            "rate": format.hz,
        }
        self._started = True
        return (
            Reply(json.dumps(started)),
            Started(
                text(message, "call_id"),
                format,
                caller=str(message.get("caller", ""))[:40],
                parameters=strings(message.get("parameters")),
            ),
        )

    @staticmethod
    def _keys(message: Mapping[str, Any]) -> Iterable[Event]:
        keys = text(message, "keys", longest=64)
        return [key({"digit": each}) for each in keys]

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload

    def mark(self, name: str) -> str:
        """Return the message whose echo says that all before it was played."""
        return json.dumps({"event": "mark", "name": name})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"event": "clear"})

    def keys(self, keys: str) -> str:
        """Return the message that plays keys into the call."""
        return json.dumps({"event": "dtmf", "keys": keys})

    def transfer(self, to: str) -> str:
        """Return the message that hands the call over; the PBX then closes."""
        return json.dumps({"event": "transfer", "to": to})

    def goodbye(self) -> str:
        """Return the message on which the PBX hangs up; it then says ``stop``, or closes."""
        return json.dumps({"event": "hangup"})


class Bridge(Carrier):
    """All PBXs that have the token."""

    name = "bridge"
    direct = True

    def __init__(self, settings: BridgeSettings, secret: Secrets) -> None:
        self._token = secret(settings.token_env)

    def verify(self, request: Request) -> None:
        """Compare the token, wherever it is."""
        given = _token(request)
        if not given:
            raise Forged("the token is missing", 401)
        if not self._token or not same(given, self._token):
            raise Forged("the token does not fit")

    def incoming(self, request: Request) -> Incoming:
        """There is no webhook."""
        raise BadMessage("the bridge has no webhook; open a WebSocket at /bridge")

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """There is no webhook."""
        raise BadMessage("the bridge has no webhook; open a WebSocket at /bridge")

    def busy(self) -> Answer:
        """There is no webhook."""
        raise BadMessage("the bridge has no webhook; open a WebSocket at /bridge")

    def wire(self, call: Incoming | None = None) -> Wire:
        """Return our own contract."""
        return BridgeWire()

    def direct_wire(self, request: Request) -> Wire:
        """Return the contract that ``?dialect=`` names, ``encoding`` and ``rate`` beside it."""
        match request.field("dialect") or "bridge":
            case "bridge":
                return BridgeWire()
            case "asterisk":
                return AsteriskWire()
            case "jambonz":
                return JambonzWire()
            case "freeswitch":
                asked = {"encoding": request.field("encoding") or "l16"}
                rate = request.field("rate") or "8000"
                return FreeSwitchWire(format_of({**asked, "rate": rate}, "encoding", "rate"))
            case _:
                raise BadMessage("there is no such dialect: asterisk, freeswitch, jambonz")


def _token(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return request.field("token")
