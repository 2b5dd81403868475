"""jambonz's ``listen`` verb, and ``mod_audio_fork`` under it: linear PCM as binary, JSON beside it.

https://docs.jambonz.org/verbs/verbs/listen. The verb needs ``bidirectionalAudio`` with
``streaming`` on and one sample rate both ways, ``mixType`` mono, and ``passDtmf`` for keys.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from voice_agent.transports.telephony.wire import (
    BadMessage,
    Encoding,
    Event,
    Format,
    JsonWire,
    Key,
    Marked,
    Media,
    Started,
    key,
    number,
    table,
    text,
)


class JambonzWire(JsonWire):
    """One call."""

    name = "jambonz"
    subprotocol = "audio.jambonz.org"

    def __init__(self) -> None:
        self._started = False

    def binary(self, message: bytes) -> Iterable[Event]:
        """Return the caller's audio."""
        return (Media(message),)

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        if not self._started:
            return (self._start(message),)
        if message.get("event") == "dtmf":
            return (self._key(message),)
        if message.get("type") == "mark":
            return (Marked(text(table(message, "data"), "name")),)
        raise BadMessage("a message that jambonz does not have")

    def _start(self, message: dict[str, Any]) -> Started:
        hz = number(message, "sampleRate")
        if hz not in (8000, 16_000, 24_000, 48_000):
            raise BadMessage("a sample rate that is not spoken here")
        if message.get("mixType") not in (None, "mono"):
            raise BadMessage("mixType must be mono: the agent's own voice is not the caller's")
        self._started = True
        caller = str(message.get("from", ""))[:40]
        return Started(text(message, "callSid"), Format(Encoding.L16, hz), caller=caller)

    @staticmethod
    def _key(message: dict[str, Any]) -> Key:
        return key(message, "dtmf")

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload

    def mark(self, name: str) -> str:
        """Return the message that comes back when it is reached."""
        return json.dumps({"type": "mark", "data": {"name": name}})

    def clear(self) -> str:
        """Return the message that stops what is played."""
        return json.dumps({"type": "killAudio"})

    def goodbye(self) -> str:
        """Return the message that ends the verb; the application goes on with its next one."""
        return json.dumps({"type": "disconnect"})
