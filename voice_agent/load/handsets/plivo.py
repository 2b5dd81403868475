"""Plivo's side of audio streaming.

https://www.plivo.com/docs/voice-agents/audio-streaming/concepts/audio-streaming-reference
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
from xml.etree import ElementTree

from voice_agent.load.handsets.handset import Clear, Handset, Keys, Mark, Play, Ring, Said, Told


class PlivoHandset(Handset):
    """A call to a number of a Plivo application."""

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        super().__init__(secret, caller)
        self.call_id = str(uuid.uuid4())
        self.stream_id = str(uuid.uuid4())
        self._sequence = 0

    def ring(self, url: str) -> Ring:
        """Return the request for XML."""
        path = "/telephony/plivo/answer"
        form = {
            "CallStatus": "ringing",
            "CallUUID": self.call_id,
            "Direction": "inbound",
            "Event": "StartApp",
            "From": self.caller,
            "To": "15550199",
        }
        return Ring("POST", path, form, headers=self._signed(url + path + "?", form))

    def media_url(self, url: str, answer: str) -> str:
        """Return the text of ``<Stream>``, which must go both ways and keep the call alive."""
        stream = ElementTree.fromstring(answer).find("./Stream")
        if stream is None or stream.get("bidirectional") != "true":
            raise ValueError(answer[:200])
        if stream.get("keepCallAlive") != "true":
            raise ValueError("the call ends when the XML does, before anything is said")
        if stream.get("contentType") != "audio/x-mulaw;rate=8000":
            raise ValueError("this phone speaks mu-law")
        return (stream.text or "").strip()

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return Plivo's signature of the handshake."""
        return self._signed(media_url, {})

    def _signed(self, base: str, form: Mapping[str, str]) -> dict[str, str]:
        if not self.secret:
            return {}
        nonce = secrets.token_hex(8)
        text = base + "".join(key + form[key] for key in sorted(form)) + "." + nonce
        signed = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()
        return {
            "X-Plivo-Signature-V3": base64.b64encode(signed).decode(),
            "X-Plivo-Signature-V3-Nonce": nonce,
        }

    def opening(self) -> Sequence[str]:
        """Return ``start``."""
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": "MA0",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        return (self._event("start", start=start, extra_headers=""),)

    def media(self, payload: bytes, number: int, at_ms: float) -> str:
        """Return ``media``, stamped with the wall clock."""
        media = {
            "track": "inbound",
            "timestamp": str(int(time.time() * 1000)),
            "chunk": number + 1,
            "payload": base64.b64encode(payload).decode(),
        }
        return self._event("media", streamId=self.stream_id, media=media)

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        dtmf = {"track": "inbound", "digit": key, "timestamp": str(int(time.time() * 1000))}
        return (self._event("dtmf", streamId=self.stream_id, dtmf=dtmf),)

    def marked(self, name: str) -> Sequence[str]:
        """Return ``playedStream``."""
        return (self._event("playedStream", streamId=self.stream_id, name=name),)

    def cleared(self) -> Sequence[str]:
        """Return ``clearedAudio``."""
        return (self._event("clearedAudio", streamId=self.stream_id),)

    def _event(self, event: str, **content: Any) -> str:
        self._sequence += 1
        return json.dumps({"event": event, "sequenceNumber": self._sequence, **content})

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what Plivo makes of a message."""
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(str(message)),)
        match said["event"]:
            case "playAudio":
                media = said["media"]
                if (media["contentType"], media["sampleRate"]) != ("audio/x-mulaw", 8000):
                    raise ValueError("the audio is not what the stream is")
                return (Play(base64.b64decode(media["payload"], validate=True)),)
            case "checkpoint" if said["streamId"] == self.stream_id:
                return (Mark(str(said["name"])),)
            case "clearAudio" if said["streamId"] == self.stream_id:
                return (Clear(),)
            case "sendDTMF":
                return (Keys(str(said["dtmf"])),)
            case unknown:
                raise ValueError(f"there is no {unknown!r} for this stream")
