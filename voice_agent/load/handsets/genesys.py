"""Genesys Cloud's side of AudioHook, as its Audio Connector speaks it; protocol version 2.

https://developer.genesys.cloud/devapps/audiohook, and Genesys's reference implementations.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voice_agent.load.handsets.handset import Clear, Handset, HungUp, Play, Said, Told

API_KEY = "a key of this phone's"


class GenesysHandset(Handset):
    """A call whose flow has a Call Audio Connector action; ``secret`` is the client secret."""

    packet_ms = 100

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.call_id = str(uuid.uuid4())
        self.stream_id = str(uuid.uuid4())
        self._sequence = 0
        self._heard = 0
        self._opened = False

    def media_url(self, url: str, answer: str) -> str:
        """Return the address that the integration is set to."""
        return url.replace("http", "ws", 1) + "/telephony/genesys/media"

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return the API key and the signature of the request."""
        headers = {
            "audiohook-organization-id": str(uuid.uuid4()),
            "audiohook-session-id": self.stream_id,
            "audiohook-correlation-id": str(uuid.uuid4()),
        }
        if not self.secret:
            return headers
        headers["x-api-key"] = API_KEY
        url = urlsplit(media_url)
        covered = {"@request-target": url.path, "@authority": url.netloc, **headers}
        parameters = (
            f"({' '.join(json.dumps(name) for name in covered)});"
            f'keyid="{API_KEY}";nonce="{secrets.token_urlsafe(8)}";alg="hmac-sha256";'
            f"created={int(time.time())};expires={int(time.time()) + 10}"
        )
        lines = [f'"{name}": {value}' for name, value in covered.items()]
        text = "\n".join([*lines, f'"@signature-params": {parameters}'])
        key = base64.b64decode(self.secret)
        signed = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        return {**headers, "signature": f"sig1=:{signed}:", "signature-input": f"sig1={parameters}"}

    def opening(self) -> Sequence[str]:
        """Return ``open``, with two formats to choose from."""
        media = [
            {"type": "audio", "format": "PCMU", "channels": channels, "rate": 8000}
            for channels in (["external", "internal"], ["external"])
        ]
        parameters = {
            "organizationId": str(uuid.uuid4()),
            "conversationId": self.call_id,
            "participant": {
                "id": str(uuid.uuid4()),
                "ani": f"tel:{self.caller}",
                "aniName": "",
                "dnis": "tel:+15550199",
            },
            "media": media,
            "language": "en-US",
            "inputVariables": {},
        }
        return (self._message("open", parameters),)

    def media(self, payload: bytes, number: int, at_ms: float) -> bytes:
        """Return the audio."""
        return payload

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        return (self._message("dtmf", {"digit": key}),)

    def playing(self) -> Sequence[str]:
        """Return ``playback_started``."""
        return (self._message("playback_started", {}),)

    def drained(self) -> Sequence[str]:
        """Return ``playback_completed``."""
        return (self._message("playback_completed", {}),)

    def closing(self) -> Sequence[str]:
        """Return ``close``."""
        return (self._message("close", {"reason": "end"}),)

    def _message(self, kind: str, parameters: Any) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "version": "2",
                "id": self.stream_id,
                "type": kind,
                "seq": self._sequence,
                "serverseq": self._heard,
                "position": "PT0S",
                "parameters": parameters,
            }
        )

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Genesys makes of a message; sequence numbers must be right."""
        if isinstance(message, bytes):
            if not self._opened or len(message) > 64_000:
                raise ValueError("audio before the session is open, or too much of it")
            return (Play(message),)
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(message),)
        self._heard += 1
        if (said["version"], said["id"], said["seq"]) != ("2", self.stream_id, self._heard):
            raise ValueError("409: a version, a session or a sequence number that is not right")
        if said["clientseq"] > self._sequence:
            raise ValueError("409: a sequence number of ours that we have not reached")
        match said["type"]:
            case "opened":
                if [each["channels"] for each in said["parameters"]["media"]] != [["external"]]:
                    raise ValueError("415: this phone wants its caller's channel alone")
                self._opened = True
            case "pong" | "updated" | "closed":
                pass
            case "event":
                entities = said["parameters"]["entities"]
                return tuple(Clear() for each in entities if each["type"] == "barge_in")
            case "disconnect":
                return (HungUp(json.dumps(said["parameters"].get("outputVariables", {}))),)
            case unknown:
                raise ValueError(f"405: there is no {unknown!r}")
        return ()
