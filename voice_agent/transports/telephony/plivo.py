"""Plivo audio streaming: XML ``<Stream bidirectional>``, mu-law at 8 kHz as base64 in JSON.

https://www.plivo.com/docs/voice-agents/audio-streaming/concepts/audio-streaming-reference. Packets
are stamped with the wall clock of sending, which is no media clock: their numbers count.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from xml.sax.saxutils import escape

from voice_agent.transports.telephony.carrier import (
    Answer,
    AnsweredBy,
    Carrier,
    Dialled,
    Incoming,
    Rest,
    Secrets,
    call_id,
    calling_from,
    xml,
)
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import PlivoSettings
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
    table,
    text,
)


class PlivoWire(JsonWire):
    """One audio stream."""

    def __init__(self) -> None:
        self._stream = ""
        self._format = Format()

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        match message.get("event"):
            case "start":
                return (self._start(table(message, "start")),)
            case "media":
                # Its stamps are the wall clock of sending.
                return packets(table(message, "media"), stamped=False)
            case "dtmf":
                return (key(table(message, "dtmf")),)
            case "playedStream":
                return (Marked(text(message, "name")),)
            case "clearedAudio":
                return ()
            case "stop":
                return (Ended(),)
            case _:
                raise BadMessage("an event that Plivo does not have")

    def _start(self, start: Mapping[str, Any]) -> Started:
        self._stream = text(start, "streamId")
        media = start.get("mediaFormat")
        if isinstance(media, dict):
            self._format = format_of(media, "encoding", "sampleRate")
        ids = {"stream_id": self._stream}
        return Started(call_id=text(start, "callId"), format=self._format, ids=ids)

    def audio(self, payload: bytes) -> str:
        """Return the message that plays audio."""
        media = {
            "contentType": "audio/x-mulaw"
            if self._format.encoding.sample_bytes == 1
            else "audio/x-l16",
            "sampleRate": self._format.hz,
            "payload": base64_text(payload),
        }
        return json.dumps({"event": "playAudio", "streamId": self._stream, "media": media})

    def mark(self, name: str) -> str:
        """Return the checkpoint that Plivo says has been played."""
        return json.dumps({"event": "checkpoint", "streamId": self._stream, "name": name})

    def clear(self) -> str:
        """Return the message that discards what was sent and not played."""
        return json.dumps({"event": "clearAudio", "streamId": self._stream})

    def keys(self, keys: str) -> str:
        """Return the message that plays keys into the call."""
        return json.dumps({"event": "sendDTMF", "dtmf": keys})


class Plivo(Carrier):
    """One Plivo account."""

    name = "plivo"
    media_signature = "x-plivo-signature-v3"

    def __init__(self, settings: PlivoSettings, secret: Secrets) -> None:
        self._settings = settings
        self._id = secret(settings.auth_id_env)
        self._token = secret(settings.auth_token_env)

    def verify(self, request: Request) -> None:
        """Check ``X-Plivo-Signature-V3``: HMAC-SHA256 over URL, sorted fields and a nonce."""
        given = request.header("x-plivo-signature-v3")
        nonce = request.header("x-plivo-signature-v3-nonce")
        expected = signature(self._token, request.method, request.url, request.form, nonce)
        # There may be several, one for each auth token of an account that changes its own.
        if not any(same(each.strip(), expected) for each in given.split(",")):
            raise Forged("the signature does not fit")

    def incoming(self, request: Request) -> Incoming:
        """Return the call that ``CallUUID`` names."""
        outbound = request.field("Direction") == "outbound"
        return Incoming(
            self.name,
            call_id(request, "CallUUID"),
            request.field("To" if outbound else "From"),
        )

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """Return XML that streams the call both ways and hangs up when the stream ends."""
        stream = (
            '<Stream bidirectional="true" keepCallAlive="true" audioTrack="inbound" '
            f'contentType="audio/x-mulaw;rate=8000">{escape(media_url)}</Stream>'
        )
        return xml(stream)

    def busy(self) -> Answer:
        """Return XML that lets the caller hear the busy tone."""
        return xml('<Hangup reason="busy" />')

    def wire(self, call: Incoming | None = None) -> PlivoWire:
        """Return the protocol of a new stream."""
        return PlivoWire()

    def event(self, request: Request) -> AnsweredBy | None:
        """Return that a machine has answered, from an asynchronous AMD callback."""
        machine = request.field("Machine")
        if not machine:
            return None
        return AnsweredBy(call_id(request, "CallUUID"), machine=machine.lower() == "true")

    async def hang_up(self, call_id: str) -> None:
        """End the call; one that has ended already is no error."""
        await self._rest()("DELETE", f"{self._calls}{call_id}/", allowed=(404,))

    def transferred(self, to: str) -> Answer:
        """Return XML that dials ``to``."""
        return xml(f"<Dial><Number>{escape(to)}</Number></Dial>")

    async def transfer(self, call_id: str, to: str, transfer_url: str) -> None:
        """Let Plivo fetch new XML for the call; this ends the stream."""
        body = {"legs": "aleg", "aleg_url": transfer_url, "aleg_method": "POST"}
        await self._rest()("POST", f"{self._calls}{call_id}/", json=body)

    async def dial(self, to: str, answer_url: str, events_url: str, *, detect: bool) -> Dialled:
        """Call ``to`` from the account's number."""
        body = {
            "from": calling_from(self._settings.from_number, self.name),
            "to": to,
            "answer_url": answer_url,
            "answer_method": "POST",
        }
        if detect:
            body |= {
                "machine_detection": "true",
                "machine_detection_url": events_url,
                "machine_detection_method": "POST",
            }
        made = await self._rest()("POST", self._calls, json=body)
        return Dialled(str(made["request_uuid"]))

    @property
    def _calls(self) -> str:
        return f"/v1/Account/{self._id}/Call/"

    def _rest(self) -> Rest:
        return Rest.basic(self._settings.api_url, self._id, self._token)


def signature(
    token: str, method: str, url: str, form: Iterable[tuple[str, str]], nonce: str
) -> str:
    """Return what Plivo puts into ``X-Plivo-Signature-V3``."""
    parts = urlsplit(url)
    base = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    query = "&".join(f"{k}={v}" for k, v in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    fields = "".join(f"{k}{v}" for k, v in sorted(form)) if method == "POST" else ""
    signed = base + ("?" if query or fields else "") + query
    signed += ("." if query and fields else "") + fields
    digest = hmac.digest(token.encode(), f"{signed}.{nonce}".encode(), "sha256")
    return base64.b64encode(digest).decode()
