"""Twilio Media Streams: TwiML ``<Connect><Stream>``, mu-law at 8 kHz as base64 in JSON.

https://www.twilio.com/docs/voice/media-streams/websocket-messages,
https://www.twilio.com/docs/usage/webhooks/webhooks-security (Twilio signs the request for the
media socket too), https://www.twilio.com/docs/voice/answering-machine-detection. Keys cannot be
sent through the stream, and sending them through the REST API would end it: they go as sound.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from voice_agent.transports.telephony.carrier import (
    Answer,
    AnsweredBy,
    Carrier,
    Dialled,
    Incoming,
    Rest,
    Secrets,
    answered_by,
    call_id,
    calling_from,
    xml,
)
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import TwilioSettings
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


class TwilioWire(JsonWire):
    """One media stream."""

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
            case "stop":
                return (Ended(),)
            case _:
                raise BadMessage("an event that Twilio does not have")

    def _start(self, start: Mapping[str, Any]) -> Started:
        self._stream = text(start, "streamSid")
        format = (
            format_of(start["mediaFormat"], "encoding", "sampleRate")
            if isinstance(start.get("mediaFormat"), dict)
            else Format()
        )
        return Started(
            call_id=text(start, "callSid"),
            format=format,
            ids={"stream_id": self._stream},
            parameters=strings(start.get("customParameters")),
        )

    def audio(self, payload: bytes) -> str:
        """Return the message that plays mu-law audio."""
        media = {"payload": base64_text(payload)}
        return json.dumps({"event": "media", "streamSid": self._stream, "media": media})

    def mark(self, name: str) -> str:
        """Return the message whose echo says that all before it was played."""
        mark = {"name": name}
        return json.dumps({"event": "mark", "streamSid": self._stream, "mark": mark})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"event": "clear", "streamSid": self._stream})


class Twilio(Carrier):
    """One Twilio account."""

    name = "twilio"
    media_signature = "x-twilio-signature"

    def __init__(self, settings: TwilioSettings, secret: Secrets) -> None:
        self._settings = settings
        self._account = secret(settings.account_sid_env)
        self._token = secret(settings.auth_token_env)

    def verify(self, request: Request) -> None:
        """Check ``X-Twilio-Signature``: an HMAC over the URL and the form's sorted fields.

        With SHA-1, or with SHA-256 where the account signs with a shared key, which is then what
        ``auth_token_env`` must hold.
        """
        given = request.header("x-twilio-signature")
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        sha256 = "algorithm=hmac_sha256" in settings.lower().replace(" ", "")
        form = request.form if request.method == "POST" else ()
        algorithm = "sha256" if sha256 else "sha1"
        if not same(given, signature(self._token, request.url, form, algorithm)):
            raise Forged("the signature does not fit")

    def incoming(self, request: Request) -> Incoming:
        """Return the call that ``CallSid`` names."""
        outbound = request.field("Direction").startswith("outbound")
        return Incoming(
            self.name,
            call_id(request),
            request.field("To" if outbound else "From"),
        )

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return TwiML that connects the call to the media socket; when that ends, it hangs up."""
        stream = f"<Stream url={quoteattr(media_url)} />"
        return xml(f"<Connect>{stream}</Connect>")

    def busy(self) -> Answer:
        """Return TwiML that lets the caller hear the busy tone; a rejected call costs nothing."""
        return xml('<Reject reason="busy" />')

    def wire(self, call: Incoming | None = None) -> TwilioWire:
        """Return the protocol of a new media stream."""
        return TwilioWire()

    def event(self, request: Request) -> AnsweredBy | None:
        """Return who has answered, from an asynchronous AMD callback."""
        return answered_by(request)

    async def hang_up(self, call_id: str) -> None:
        """End the call; one that has ended already is no error."""
        await self._update(call_id, {"Status": "completed"}, allowed=(404,))

    async def transfer(self, call_id: str, to: str, transfer_url: str) -> None:
        """Give the call new TwiML that dials ``to``; this ends the media stream."""
        await self._update(call_id, {"Twiml": xml(f"<Dial>{escape(to)}</Dial>").content})

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to`` from the account's number."""
        form = {
            "To": to,
            "From": calling_from(self._settings.from_number, self.name),
            "Url": answer_url,
        }
        if detect:
            form |= {
                "MachineDetection": "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": events_url,
            }
        made = await self._rest()("POST", f"{self._calls}.json", data=form)
        return Dialled(str(made["sid"]))

    async def _update(self, call_id: str, form: dict[str, str], **allowed: Any) -> None:
        await self._rest()("POST", f"{self._calls}/{call_id}.json", data=form, **allowed)

    @property
    def _calls(self) -> str:
        return f"/2010-04-01/Accounts/{self._account}/Calls"

    def _rest(self) -> Rest:
        return Rest.basic(self._settings.api_url, self._account, self._token)


def signature(
    token: str, url: str, form: Iterable[tuple[str, str]], algorithm: str = "sha1"
) -> str:
    """Return what Twilio puts into ``X-Twilio-Signature``."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), algorithm)).decode()
