"""Exotel's side of the Voicebot applet's stream.

https://developer.exotel.com/docs/agentstream/websocket-protocol
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

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
from voice_agent.transports.telephony.wire import Encoding


class ExotelHandset(Handset):
    """A call to an Exophone whose flow has a Voicebot applet with a dynamic URL."""

    packet_ms = 100
    encoding = Encoding.L16

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.call_id = token("")
        self.stream_id = token("")
        self._sequence = 0

    def ring(self, url: str) -> Ring:
        """Return the applet's request for the address of the stream."""
        query = {"CallSid": self.call_id, "CallFrom": self.caller, "CallTo": "+15550199"}
        key = {"key": self.secret} if self.secret else {}
        return Ring("GET", f"/telephony/exotel/answer?{urlencode({**key, **query})}")

    def media_url(self, url: str, answer: str) -> str:
        """Return ``url`` of the JSON that answers."""
        said = json.loads(answer)
        if not str(said.get("url", "")).startswith(("ws://", "wss://")):
            raise ValueError(answer[:200])
        return str(said["url"])

    def opening(self) -> Sequence[str]:
        """Return ``connected`` and ``start``; numbers are text."""
        start = {
            "stream_sid": self.stream_id,
            "call_sid": self.call_id,
            "account_sid": "exotel",
            "from": self.caller,
            "to": "+15550199",
            "custom_parameters": {},
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        }
        return json.dumps({"event": "connected"}), self._event("start", start=start)

    def media(self, payload: bytes, number: int, at_ms: float) -> str:
        """Return ``media``."""
        media = {
            "chunk": str(number + 1),
            "timestamp": str(round(at_ms)),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._event("media", media=media)

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        return (self._event("dtmf", dtmf={"digit": key, "duration": "100"}),)

    def marked(self, name: str) -> Sequence[str]:
        """Return the mark."""
        return (self._event("mark", mark={"name": name}),)

    def closing(self) -> Sequence[str]:
        """Return ``stop``."""
        stop = {"call_sid": self.call_id, "account_sid": "exotel", "reason": "callended"}
        return (self._event("stop", stop=stop),)

    def _event(self, event: str, **content: Any) -> str:
        self._sequence += 1
        about = {
            "event": event,
            "sequence_number": str(self._sequence),
            "stream_sid": self.stream_id,
        }
        return json.dumps({**about, **content})

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Exotel makes of a message: audio in multiples of 20 ms only."""
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(str(message)),)
        if said.get("stream_sid") != self.stream_id:
            raise ValueError("the message is not for this stream")
        match said["event"]:
            case "media":
                payload = base64.b64decode(said["media"]["payload"], validate=True)
                if len(payload) % 320 or len(payload) > 100_000:
                    raise ValueError(f"{len(payload)} bytes are no multiple of 320, or too many")
                return (Play(payload),)
            case "mark":
                return (Mark(str(said["mark"]["name"])),)
            case "clear":
                return (Clear(),)
            case unknown:
                raise ValueError(f"there is no {unknown!r}")
