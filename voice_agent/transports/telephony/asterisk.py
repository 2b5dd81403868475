"""Asterisk's ``chan_websocket`` (20.16, 21.11, 22.6 and later): commands as text, audio as binary.

https://docs.asterisk.org/Configuration/Channel-Drivers/WebSocket/. Asterisk frames and times what
it is sent and keeps up to 20 s of it; ``FLUSH_MEDIA`` takes it back. It says when its queue is
empty, not how far it is, so it is believed to play in real time. Keys are sent as sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from voice_agent.transports.telephony.wire import (
    BadMessage,
    Event,
    Media,
    Rtvi,
    Started,
    Wire,
    format_of,
    key,
    text,
)

_RATES = {"slin": "8000", "slin16": "16000", "slin24": "24000", "slin48": "48000"}


class AsteriskWire(Wire):
    """One WebSocket channel."""

    name = "asterisk"
    subprotocol = "media"

    def __init__(self) -> None:
        self._json = False
        """Asterisk speaks JSON (``f(json)``, or chan_websocket.conf), and so do we then."""

    def receive(self, message: str | bytes) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        if isinstance(message, bytes):
            return (Media(message),)
        event, told = _parsed(message)
        if told.get("label") == "rtvi-ai":
            return (Rtvi(told),)
        match event:
            case "MEDIA_START":
                return (self._start(told),)
            case "DTMF_END":
                return (key(told),)
            case "MEDIA_XOFF" | "MEDIA_XON" | "STATUS" | "QUEUE_DRAINED":
                return ()
            case "MEDIA_BUFFERING_COMPLETED" | "MEDIA_MARK_PROCESSED":
                return ()
            case _:
                raise BadMessage("a notification that Asterisk does not have")

    def _start(self, told: dict[str, str]) -> Started:
        self._json = told.get("event") == "MEDIA_START"
        name = text(told, "format")
        rate = _RATES.get(name, "8000")
        encoding = "l16" if name in _RATES else name
        format = format_of({"encoding": encoding, "rate": rate}, "encoding", "rate")
        # A connection's id is its section in websocket_client.conf, the same for every call.
        channel = text(told, "channel_id" if "channel_id" in told else "channel")
        return Started(channel, format, ids={"connection": text(told, "connection_id")})

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload

    def clear(self) -> str:
        """Return the command that empties Asterisk's queue."""
        return self._command("FLUSH_MEDIA")

    def goodbye(self) -> str:
        """Return the command that hangs the channel up."""
        return self._command("HANGUP")

    def _command(self, name: str) -> str:
        return json.dumps({"command": name}) if self._json else name


def _parsed(message: str) -> tuple[str, dict[str, str]]:
    """Return an event and what it tells: ``EVENT key:value ...``, or the same as JSON."""
    if message.startswith("{"):
        try:
            told = json.loads(message)
        except (ValueError, RecursionError):
            raise BadMessage("a message is not JSON") from None
        return str(told.get("event", "")), told
    event, *words = message.split(" ")
    return event, {name: value for name, _, value in (word.partition(":") for word in words)}
