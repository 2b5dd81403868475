"""Twilio's side of Media Streams.

https://www.twilio.com/docs/voice/media-streams/websocket-messages, protocol version 1.0.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from voice_agent.load.handsets.handset import (
    Clear,
    Handset,
    Mark,
    Play,
    Ring,
    Said,
    Told,
    token,
)


class TwilioHandset(Handset):
    """A call to a Twilio number."""

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.account = token("AC")
        self.call_id = token("CA")
        self.stream_id = token("MZ")
        self._sequence = 0

    def ring(self, url: str) -> Ring:
        """Return the request for TwiML."""
        path = "/telephony/twilio/answer"
        form = {
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_id,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": self.caller,
            "To": "+15550199",
        }
        return Ring("POST", path, form, headers=self._signed(url + path, form))

    def media_url(self, url: str, answer: str) -> str:
        """Return ``<Connect><Stream url>``, which must be a WebSocket without a query."""
        stream = ElementTree.fromstring(answer).find("./Connect/Stream")
        address = "" if stream is None else stream.get("url", "")
        if not address.startswith(("ws://", "wss://")) or "?" in address:
            raise ValueError(answer[:200])
        return address

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return Twilio's signature of the handshake."""
        return self._signed(media_url, {})

    def _signed(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        if not self.secret:
            return {}
        text = url + "".join(key + form[key] for key in sorted(form))
        signed = hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(signed).decode()}

    def opening(self) -> Sequence[str]:
        """Return ``connected`` and ``start``."""
        start = {
            "accountSid": self.account,
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        return json.dumps(connected), self._event("start", start=start)

    def media(self, payload: bytes, number: int, at_ms: float) -> str:
        """Return ``media``; chunks count from 1, numbers are text."""
        media = {
            "track": "inbound",
            "chunk": str(number + 1),
            "timestamp": str(round(at_ms)),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._event("media", media=media)

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        return (self._event("dtmf", dtmf={"track": "inbound_track", "digit": key}),)

    def marked(self, name: str) -> Sequence[str]:
        """Return the mark."""
        return (self._event("mark", mark={"name": name}),)

    def closing(self) -> Sequence[str]:
        """Return ``stop``."""
        stop = {"accountSid": self.account, "callSid": self.call_id}
        return (self._event("stop", stop=stop),)

    def _event(self, event: str, **content: Any) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self.stream_id,
                **content,
            }
        )

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Twilio makes of a message; it refuses what is not for this stream."""
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(str(message)),)
        if said.get("streamSid") != self.stream_id:
            raise ValueError("31951: the message is not for this stream")
        match said["event"]:
            case "media":
                return (Play(base64.b64decode(said["media"]["payload"], validate=True)),)
            case "mark":
                return (Mark(str(said["mark"]["name"])),)
            case "clear":
                return (Clear(),)
            case unknown:
                raise ValueError(f"31951: there is no {unknown!r}")
