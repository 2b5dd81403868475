"""FreeSWITCH's ``mod_audio_stream``: audio as binary both ways, and hardly a word beside it.

https://github.com/amigniter/mod_audio_stream. It says neither its sample rate (``?rate=`` does) nor
when something was played, and takes nothing back, so that little is sent ahead of time. What it is
told first is whatever the dialplan passed on as metadata.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from voice_agent.transports.telephony.wire import (
    RTVI_LABEL,
    BadMessage,
    Event,
    Format,
    Media,
    Rtvi,
    Started,
    Wire,
    key,
)


class FreeSwitchWire(Wire):
    """One call."""

    name = "freeswitch"
    lead_ms = 40
    recalls = False

    def __init__(self, format: Format) -> None:
        self._format = format
        self._started = False

    def receive(self, message: str | bytes) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        if isinstance(message, bytes):
            return (*self._start({}), Media(message))
        told = _told(message)
        if told.get("label") == RTVI_LABEL:
            return (Rtvi(told),)
        if not self._started:
            return self._start(told)
        if told.get("event") == "dtmf":
            return (key(told),)
        raise BadMessage("a message that mod_audio_stream does not have")

    def _start(self, told: Mapping[str, Any]) -> Iterable[Event]:
        if self._started:
            return ()
        self._started = True
        call_id = next((told[k] for k in ("uuid", "call_id", "callId") if k in told), "")
        return (Started(str(call_id)[:80] or uuid.uuid4().hex, self._format),)

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload


def _told(message: str) -> dict[str, Any]:
    """Return a message as JSON; metadata may be any text, which says nothing then."""
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
