"""A PBX's side of the bridge: our own contract, and the three that PBXs speak already.

docs/telephony.md; https://docs.asterisk.org/Configuration/Channel-Drivers/WebSocket/;
https://docs.jambonz.org/verbs/verbs/listen; https://github.com/amigniter/mod_audio_stream.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar

from voice_agent.load.handsets.handset import (
    Clear,
    Handset,
    HungUp,
    Keys,
    Mark,
    Play,
    Said,
    Told,
)
from voice_agent.transports.telephony.wire import Encoding


class _Pbx(Handset):
    """What the four have in common: binary audio, and the token in the request's header."""

    query: ClassVar[str] = ""

    def media_url(self, url: str, answer: str) -> str:
        """Return the bridge's address."""
        return url.replace("http", "ws", 1) + "/bridge" + self.query

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return the token."""
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def media(self, payload: bytes, number: int, at_ms: float) -> bytes:
        """Return the audio."""
        return payload


class BridgeHandset(_Pbx):
    """A PBX that speaks our own contract, version 1."""

    subprotocols = ("voice-agent.bridge.v1",)
    encoding: Encoding = Encoding.PCMA

    def opening(self) -> Sequence[str]:
        """Return ``start``."""
        start = {
            "event": "start",
            "version": 1,
            "call_id": self.call_id,
            "encoding": "pcma",
            "rate": 8000,
            "caller": self.caller,
        }
        return (json.dumps(start),)

    def key(self, key: str) -> Sequence[str]:
        """Return ``dtmf``."""
        return (json.dumps({"event": "dtmf", "keys": key}),)

    def marked(self, name: str) -> Sequence[str]:
        """Return the mark."""
        return (json.dumps({"event": "mark", "name": name}),)

    def closing(self) -> Sequence[str]:
        """Return ``stop``."""
        return (json.dumps({"event": "stop"}),)

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a message means."""
        if isinstance(message, bytes):
            return (Play(message),)
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(message),)
        match said["event"]:
            case "started":
                if (said["version"], said["encoding"], said["rate"]) != (1, "pcma", 8000):
                    raise ValueError("this is not what was asked for")
                return ()
            case "mark":
                return (Mark(str(said["name"])),)
            case "clear":
                return (Clear(),)
            case "dtmf":
                return (Keys(str(said["keys"])),)
            case "transfer":
                return (HungUp(f"transferred to {said['to']}"),)
            case "hangup":
                return (HungUp(),)
            case unknown:
                raise ValueError(f"there is no {unknown!r}")


class AsteriskHandset(_Pbx):
    """Asterisk dialling ``WebSocket/agent/c(ulaw)``."""

    query = "?dialect=asterisk"
    subprotocols = ("media",)

    def opening(self) -> Sequence[str]:
        """Return ``MEDIA_START``."""
        self.call_id = f"WebSocket/agent/0x{uuid.uuid4().hex[:12]}"
        return (
            f"MEDIA_START connection_id:agent channel:{self.call_id} "
            "format:ulaw optimal_frame_size:160",
        )

    def key(self, key: str) -> Sequence[str]:
        """Return ``DTMF_END``."""
        return (f"DTMF_END digit:{key}",)

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a command means."""
        if isinstance(message, bytes):
            if len(message) % 160 or len(message) > 65_500:
                raise ValueError("Asterisk would drop what does not fill a frame")
            return (Play(message),)
        if message.startswith("{"):
            return (Told(message),)
        match message.split(" ")[0]:
            case "FLUSH_MEDIA":
                return (Clear(),)
            case "HANGUP":
                return (HungUp(),)
            case "ANSWER":
                return ()
            case unknown:
                raise ValueError(f"there is no command {unknown!r}")


class JambonzHandset(_Pbx):
    """jambonz with a ``listen`` verb, streaming both ways at 8 kHz."""

    query = "?dialect=jambonz"
    subprotocols = ("audio.jambonz.org",)
    encoding: Encoding = Encoding.L16

    def opening(self) -> Sequence[str]:
        """Return the call's attributes."""
        attributes = {
            "callSid": self.call_id,
            "direction": "inbound",
            "from": self.caller,
            "to": "+15550199",
            "sampleRate": 8000,
            "mixType": "mono",
        }
        return (json.dumps(attributes),)

    def key(self, key: str) -> Sequence[str]:
        """Return the key, as ``passDtmf`` does."""
        return (json.dumps({"event": "dtmf", "dtmf": key, "duration": "1600"}),)

    def marked(self, name: str) -> Sequence[str]:
        """Return the mark."""
        return (json.dumps({"type": "mark", "data": {"name": name, "event": "playout"}}),)

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a message means."""
        if isinstance(message, bytes):
            return (Play(message),)
        said = json.loads(message)
        if said.get("label") == "rtvi-ai":
            return (Told(message),)
        match said["type"]:
            case "mark":
                return (Mark(str(said["data"]["name"])),)
            case "killAudio":
                return (Clear(),)
            case "disconnect":
                return (HungUp(),)
            case unknown:
                raise ValueError(f"there is no {unknown!r}")


class FreeSwitchHandset(_Pbx):
    """FreeSWITCH with ``uuid_audio_stream <uuid> start <url> mono 16k <metadata>``."""

    query = "?dialect=freeswitch&rate=16000"
    encoding: Encoding = Encoding.L16
    hz = 16_000

    def opening(self) -> Sequence[str]:
        """Return the metadata."""
        return (json.dumps({"uuid": self.call_id}),)

    def key(self, key: str) -> Sequence[str]:
        """Return the key, as a dialplan can pass it on with ``send_text``."""
        return (json.dumps({"event": "dtmf", "digit": key}),)

    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a message means: audio, or text that becomes an event in FreeSWITCH."""
        if isinstance(message, bytes):
            return (Play(message),)
        return (Told(message),)
