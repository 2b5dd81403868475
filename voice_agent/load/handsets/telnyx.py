"""Telnyx's side of media streaming, after its AsyncAPI document; TeXML rings.

https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from voice_agent.load.handsets.handset import Clear, Handset, Mark, Play, Ring, Said, Told
from voice_agent.transports.telephony.wire import Encoding


class TelnyxHandset(Handset):
    """A call to a number of a TeXML application; ``secret`` seeds the portal's signing key."""

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.call_id = f"v3:{uuid.uuid4().hex}"
        self.stream_id = str(uuid.uuid4())
        self._sequence = 0

    @staticmethod
    def _key(secret: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(secret.encode().ljust(32, b".")[:32])

    @classmethod
    def public_key(cls, secret: str) -> str:
        """Return what the portal shows."""
        public = cls._key(secret).public_key()
        return base64.b64encode(public.public_bytes(KeyEncoding.Raw, PublicFormat.Raw)).decode()

    def ring(self, url: str) -> Ring:
        """Return the request for TeXML."""
        form = {
            "AccountSid": str(uuid.uuid4()),
            "CallSid": self.call_id,
            "CallSidLegacy": self.call_id,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": self.caller,
            "To": "+15550199",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.secret:
            stamp = str(int(time.time()))
            signed = f"{stamp}|{urlencode(form)}".encode()
            signature = base64.b64encode(self._key(self.secret).sign(signed)).decode()
            headers |= {"Telnyx-Signature-Ed25519": signature, "Telnyx-Timestamp": stamp}
        return Ring("POST", "/telephony/telnyx/answer", form, headers=headers)

    def media_url(self, url: str, answer: str) -> str:
        """Return ``<Connect><Stream url>``, which must be bidirectional RTP."""
        stream = ElementTree.fromstring(answer).find("./Connect/Stream")
        if stream is None or stream.get("bidirectionalMode") != "rtp":
            raise ValueError(answer[:200])
        self.encoding = Encoding[stream.get("bidirectionalCodec", "PCMU")]
        return stream.get("url", "")

    def opening(self) -> Sequence[str]:
        """Return ``connected`` and ``start``."""
        media = {
            "encoding": self.encoding.name,
            "sample_rate": 8000,
            "channels": 1,
        }
        start = {
            "user_id": str(uuid.uuid4()),
            "call_control_id": self.call_id,
            "client_state": "",
            "media_format": media,
        }
        return (
            json.dumps({"event": "connected", "version": "1.0.0"}),
            self._event("start", start=start),
        )

    def media(self, payload: bytes, number: int, at_ms: float) -> str:
        """Return ``media``; numbers are text."""
        media = {
            "track": "inbound",
            "chunk": str(number + 1),
            "timestamp": str(round(at_ms)),
            "payload": base64.b64encode(payload).decode(),
        }
        return self._event("media", media=media)

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        return (self._event("dtmf", dtmf={"digit": key}, occurred_at="2026-01-01T00:00:00Z"),)

    def marked(self, name: str) -> Sequence[str]:
        """Return the mark."""
        return (self._event("mark", mark={"name": name}),)

    def closing(self) -> Sequence[str]:
        """Return ``stop``."""
        return (self._event("stop", stop={"call_control_id": self.call_id}),)

    def _event(self, event: str, **content: Any) -> str:
        self._sequence += 1
        about: Mapping[str, Any] = {
            "event": event,
            "sequence_number": str(self._sequence),
            "stream_id": self.stream_id,
        }
        return json.dumps({**about, **content})

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Telnyx makes of a message."""
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(str(message)),)
        match said["event"]:
            case "media":
                return (Play(base64.b64decode(said["media"]["payload"], validate=True)),)
            case "mark":
                return (Mark(str(said["mark"]["name"])),)
            case "clear":
                return (Clear(),)
            case unknown:
                raise ValueError(f"100002: there is no {unknown!r}")
