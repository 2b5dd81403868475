"""Vonage Voice API: an NCCO that connects to a WebSocket, linear 16-bit PCM at 16 kHz, binary.

https://developer.vonage.com/en/voice/voice-api/concepts/websockets (messages of 20 ms exactly),
https://developer.vonage.com/en/getting-started/concepts/webhooks (signed by a JWT). What others
call a mark is ``notify`` here: Vonage says so when it comes to it in its queue.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from voice_agent.transports.telephony.carrier import (
    Answer,
    AnsweredBy,
    Carrier,
    Dialled,
    Incoming,
    Rest,
    Secrets,
    TelephonyError,
    calling_from,
)
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import VonageSettings
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Encoding,
    Event,
    Format,
    JsonWire,
    Marked,
    Media,
    Started,
    key,
    table,
    text,
)

TOLERANCE_S = 300.0
"""A webhook's token may be this old."""


class VonageWire(JsonWire):
    """One WebSocket of a call."""

    def __init__(self, call: Incoming | None, hz: int) -> None:
        self._call_id = call.call_id if call is not None else ""
        self._hz = hz

    def binary(self, message: bytes) -> Iterable[Event]:
        """Return the audio."""
        return (Media(message),)

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        match message.get("event"):
            case "websocket:connected":
                format = Format(Encoding.L16, self._rate(message))
                return (Started(self._call_id or "unknown", format),)
            case "websocket:dtmf":
                told = message.get("dtmf")
                return (key(told if isinstance(told, dict) else message),)
            case "websocket:notify":
                return (Marked(text(table(message, "payload"), "mark")),)
            case str(other) if other.startswith("websocket:"):
                return ()
            case _:
                raise BadMessage("an event that Vonage does not have")

    def _rate(self, message: dict[str, Any]) -> int:
        told = str(message.get("content-type", ""))
        _, _, rate = told.partition("rate=")
        if not rate:
            return self._hz
        if rate not in ("8000", "16000", "24000"):
            raise BadMessage("a sample rate that Vonage does not have")
        return int(rate)

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload

    def mark(self, name: str) -> str:
        """Return the message that Vonage notifies us of when it comes to it."""
        return json.dumps({"action": "notify", "payload": {"mark": name}})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"action": "clear"})


class Vonage(Carrier):
    """One Vonage application.

    ``clock`` returns the time that tokens are compared with, seconds since the epoch.
    """

    name = "vonage"

    def __init__(
        self, settings: VonageSettings, secret: Secrets, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._signature_secret = secret(settings.signature_secret_env)
        self._application = secret(settings.application_id_env)
        self._private_key = secret(settings.private_key_env)
        self._clock = clock

    def verify(self, request: Request) -> None:
        """Check the JWT in ``Authorization``: signed by our secret, recent, for this body."""
        import jwt

        scheme, _, given = request.header("authorization").partition(" ")
        if scheme.lower() != "bearer":
            raise Forged("the header authorization is no bearer token", 401)
        try:
            claims = jwt.decode(
                given,
                self._signature_secret,
                algorithms=["HS256"],
                # The clock is our own, so that it can be tested.
                options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
            )
            issued = float(claims["iat"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise Forged("the token does not fit") from None
        if not abs(self._clock() - issued) <= TOLERANCE_S:
            raise Forged("the token is too old")
        body = hashlib.sha256(request.body).hexdigest()
        if request.body and not same(str(claims.get("payload_hash", "")), body):
            raise Forged("the token is for another body")

    def incoming(self, request: Request) -> Incoming:
        """Return the call that ``uuid`` names."""
        said = _said(request)
        outbound = said.get("direction") == "outbound"
        number = said.get("to" if outbound else "from")
        return Incoming(self.name, text(said, "uuid"), str(number or ""))

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return the NCCO that connects the call to the media socket."""
        endpoint = {
            "type": "websocket",
            "uri": media_url,
            "content-type": f"audio/l16;rate={self._settings.hz}",
        }
        return _ncco([{"action": "connect", "endpoint": [endpoint]}])

    def busy(self) -> Answer:
        """Return the NCCO that says so; there is no busy tone to choose."""
        return _ncco([{"action": "talk", "text": "All lines are busy. Please call again later."}])

    def wire(self, call: Incoming | None = None) -> VonageWire:
        """Return the protocol of a new WebSocket."""
        return VonageWire(call, self._settings.hz)

    def event(self, request: Request) -> AnsweredBy | None:
        """Return who has answered, from the event webhook's advanced machine detection."""
        said = _said(request)
        if said.get("status") not in ("machine", "human"):
            return None
        return AnsweredBy(text(said, "uuid"), machine=said["status"] == "machine")

    async def hang_up(self, call_id: str) -> None:
        """End the call; one that has ended already is no error."""
        body = {"action": "hangup"}
        await self._rest()("PUT", f"/v1/calls/{call_id}", json=body, allowed=(400, 404))

    async def transfer(self, call_id: str, to: str, transfer_url: str) -> None:
        """Give the call a new NCCO that connects ``to``; this ends the WebSocket."""
        phone = {"type": "phone", "number": to.lstrip("+")}
        ncco = [{"action": "connect", "endpoint": [phone]}]
        body = {"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}}
        await self._rest()("PUT", f"/v1/calls/{call_id}", json=body)

    async def send_keys(self, call_id: str, keys: str) -> bool:
        """Send keys into the call."""
        await self._rest()("PUT", f"/v1/calls/{call_id}/dtmf", json={"digits": keys})
        return True

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to`` from the application's number."""
        body: dict[str, Any] = {
            "to": [{"type": "phone", "number": to.lstrip("+")}],
            "from": {
                "type": "phone",
                "number": calling_from(self._settings.from_number, self.name).lstrip("+"),
            },
            "answer_url": [answer_url],
            "answer_method": "POST",
            "event_url": [events_url],
            "event_method": "POST",
        }
        if detect:
            body["advanced_machine_detection"] = {"behavior": "continue", "mode": "detect"}
        made = await self._rest()("POST", "/v1/calls", json=body)
        return Dialled(str(made["uuid"]))

    def _rest(self) -> Rest:
        import uuid

        import jwt

        key = self._private_key
        try:
            key = key if key.lstrip().startswith("-----BEGIN") else Path(key).read_text()
            now = int(self._clock())
            claims = {
                "application_id": self._application,
                "iat": now,
                "exp": now + 300,
                "jti": uuid.uuid4().hex,
            }
            token = jwt.encode(claims, key, algorithm="RS256")
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise TelephonyError(
                f"{self._settings.private_key_env} must hold the application's private key in "
                f"PEM, or the path of its file: {error}"
            ) from error
        return Rest(self._settings.api_url, f"Bearer {token}")


def _said(request: Request) -> dict[str, Any]:
    """Return what a webhook says: JSON when posted, else its query."""
    if request.method != "POST":
        return dict(request.form)
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadMessage("the body is not JSON") from None
    if not isinstance(said, dict):
        raise BadMessage("the body is not a JSON object")
    return said


def _ncco(actions: list[dict[str, Any]]) -> Answer:
    return Answer(json.dumps(actions), "application/json")
