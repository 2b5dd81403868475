"""Vonage's side of a call's WebSocket.

https://developer.vonage.com/en/voice/voice-api/concepts/websockets,
https://developer.vonage.com/en/getting-started/concepts/webhooks
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from voice_agent.load.handsets.handset import Clear, Handset, Mark, Play, Ring, Said, Told
from voice_agent.transports.telephony.wire import Encoding

FRAME_MS = 20


class VonageHandset(Handset):
    """A call to a number of a Vonage application."""

    encoding = Encoding.L16

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.call_id = str(uuid.uuid4())
        self.hz = 16_000
        self._headers: dict[str, Any] = {}
        self._content_type = ""

    def ring(self, url: str) -> Ring:
        """Return the request for an NCCO, signed by a JWT over its body."""
        import jwt

        said = {
            "from": self.caller.lstrip("+"),
            "to": "15550199",
            "uuid": self.call_id,
            "conversation_uuid": f"CON-{uuid.uuid4()}",
        }
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        if self.secret:
            claims = {
                "iat": int(time.time()),
                "iss": "Vonage",
                "jti": uuid.uuid4().hex,
                "payload_hash": hashlib.sha256(body).hexdigest(),
            }
            headers["Authorization"] = f"Bearer {jwt.encode(claims, self.secret, 'HS256')}"
        return Ring("POST", "/telephony/vonage/answer", body=body, headers=headers)

    def media_url(self, url: str, answer: str) -> str:
        """Return the WebSocket that the NCCO's ``connect`` names."""
        for action in json.loads(answer):
            for endpoint in action.get("endpoint", ()):
                if action["action"] == "connect" and endpoint["type"] == "websocket":
                    self._content_type = endpoint["content-type"]
                    self._headers = endpoint.get("headers", {})
                    self.hz = int(self._content_type.removeprefix("audio/l16;rate="))
                    return str(endpoint["uri"])
        raise ValueError(answer[:200])

    def opening(self) -> Sequence[str]:
        """Return ``websocket:connected``, with the headers that the NCCO named."""
        connected = {"event": "websocket:connected", "content-type": self._content_type}
        return (json.dumps(connected | self._headers),)

    def media(self, payload: bytes, number: int, at_ms: float) -> bytes:
        """Return the audio."""
        return payload

    def key(self, key: str) -> Sequence[str]:
        """Return ``websocket:dtmf``."""
        return (json.dumps({"event": "websocket:dtmf", "digit": key, "duration": 260}),)

    def marked(self, name: str) -> Sequence[str]:
        """Return ``websocket:notify``, with what was asked to be told."""
        return (json.dumps({"event": "websocket:notify", "payload": json.loads(name)}),)

    def cleared(self) -> Sequence[str]:
        """Return ``websocket:cleared``."""
        return (json.dumps({"event": "websocket:cleared"}),)

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Vonage makes of a message."""
        if isinstance(message, bytes):
            if len(message) != self.hz * 2 * FRAME_MS // 1000:
                raise ValueError(f"a message of {len(message)} bytes is not 20 ms of audio")
            return (Play(message),)
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(message),)
        match said["action"]:
            case "notify":
                return (Mark(json.dumps(said["payload"])),)
            case "clear":
                return (Clear(),)
            case unknown:
                raise ValueError(f"there is no action {unknown!r}")
