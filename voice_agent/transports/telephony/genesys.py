"""Genesys Cloud AudioHook, as its Audio Connector speaks it: JSON beside binary mu-law at 8 kHz.

https://developer.genesys.cloud/devapps/audiohook, protocol version 2. Genesys opens the socket by
itself, signed (HTTP message signatures, HMAC-SHA256 with the integration's client secret) and with
an API key. It plays what it is sent and says when it begins and when all is played, not what; more
than about five audio messages a second are too many for it, so they are up to 200 ms long.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from voice_agent.transports.telephony.carrier import Answer, Carrier, Incoming, Secrets
from voice_agent.transports.telephony.security import Forged, Request, same
from voice_agent.transports.telephony.settings import GenesysSettings
from voice_agent.transports.telephony.wire import (
    BadMessage,
    Drained,
    Ended,
    Event,
    JsonWire,
    Media,
    Reply,
    Started,
    key,
    number,
    table,
    text,
)

PROBE = "00000000-0000-0000-0000-000000000000"
"""The conversation id of a connection that only looks whether we are there."""
SIGNED = frozenset(
    ("@request-target", "@authority", "audiohook-organization-id", "audiohook-session-id")
)
"""What a signature must cover at least."""
_SIGNATURE_INPUT = re.compile(
    r"^(?P<label>[a-z*][a-z0-9_\-.*]*)=(?P<value>\((?P<covered>[^)]*)\).*)$"
)
_PARAMETER = re.compile(r';\s*([a-z]+)=(?:"([^"]*)"|(\d+))')


class GenesysWire(JsonWire):
    """One session."""

    packet_ms = 200

    def __init__(self) -> None:
        self._session = ""
        self._sent = 0
        self._received = 0
        self._both = False

    def binary(self, message: bytes) -> Iterable[Event]:
        """Return the caller's audio; where both sides come, theirs is every other byte."""
        return (Media(message[::2] if self._both else message),)

    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        self._received = number(message, "seq") or 0
        match message.get("type"):
            case "open":
                return self._open(message)
            case "ping":
                return (Reply(self._message("pong", {})),)
            case "dtmf":
                return (key(table(message, "parameters")),)
            case "playback_completed":
                return (Drained(),)
            case "update":
                return (Reply(self._message("updated", {})),)
            case "close":
                return (Reply(self._message("closed", {})), Ended())
            case "playback_started" | "paused" | "resumed" | "discarded":
                return ()
            case "error":
                code = table(message, "parameters").get("code")
                raise BadMessage(f"Genesys reports error {code if isinstance(code, int) else ''}")
            case _:
                raise BadMessage("a message that AudioHook does not have")

    def _open(self, message: Mapping[str, Any]) -> Iterable[Event]:
        if self._session:
            raise BadMessage("the session opens a second time")
        self._session = text(message, "id")
        parameters = table(message, "parameters")
        conversation = text(parameters, "conversationId")
        offered = parameters.get("media")
        speakable = list(filter(_speakable, offered)) if isinstance(offered, list) else []
        if not speakable:
            refusal = {"reason": "error", "info": "PCMU, 8000 Hz, external channel is needed"}
            return (Reply(self._message("disconnect", refusal)),)
        media = min(speakable, key=lambda each: len(each["channels"]))
        self._both = len(media["channels"]) == 2
        opened = Reply(self._message("opened", {"startPaused": False, "media": [media]}))
        if conversation == PROBE:
            return (opened,)
        participant = parameters.get("participant")
        caller = participant.get("ani", "") if isinstance(participant, dict) else ""
        ids = {"session_id": self._session}
        return (opened, Started(conversation, ids=ids, caller=str(caller)[:60]))

    def audio(self, payload: bytes) -> bytes:
        """Return the audio, which is what is sent."""
        return payload

    def clear(self) -> str:
        """Return the event on which Genesys stops playing."""
        return self._message("event", {"entities": [{"type": "barge_in", "data": {}}]})

    def transfer(self, to: str) -> str:
        """Return the end of our part; the flow in Architect transfers to what it is given."""
        return self._disconnect({"action": "transfer", "transfer_to": to})

    def goodbye(self) -> str:
        """Return the end of our part; Genesys then closes the session."""
        return self._disconnect({"action": "finished"})

    def _disconnect(self, variables: dict[str, str]) -> str:
        parameters = {"reason": "completed", "outputVariables": variables}
        return self._message("disconnect", parameters)

    def _message(self, kind: str, parameters: dict[str, Any]) -> str:
        self._sent += 1
        return json.dumps(
            {
                "version": "2",
                "type": kind,
                "seq": self._sent,
                "clientseq": self._received,
                "id": self._session,
                "parameters": parameters,
            }
        )


class Genesys(Carrier):
    """One AudioHook or Audio Connector integration.

    ``clock`` returns the time that signatures are compared with, seconds since the epoch.
    """

    name = "genesys"
    direct = True

    def __init__(
        self, settings: GenesysSettings, secret: Secrets, clock: Callable[[], float] = time.time
    ) -> None:
        self._api_key = secret(settings.api_key_env)
        self._client_secret = secret(settings.client_secret_env)
        self._clock = clock

    def verify(self, request: Request) -> None:
        """Check the API key and the HTTP message signature of the request for the socket."""
        if not same(request.header("x-api-key"), self._api_key):
            raise Forged("the API key does not fit")
        found = _SIGNATURE_INPUT.match(request.header("signature-input"))
        if found is None:
            raise Forged("the signature cannot be read", 401)
        covered = re.findall(r'"([^"]*)"', found["covered"])
        if not set(covered) >= SIGNED:
            raise Forged("the signature does not cover what it must")
        parameters = {name: one or two for name, one, two in _PARAMETER.findall(found["value"])}
        now = self._clock()
        if not float(parameters.get("created") or "inf") - 30.0 <= now:
            raise Forged("the signature is not valid yet")
        if now > float(parameters.get("expires") or "-inf"):
            raise Forged("the signature is too old")
        lines = [f'"{name}": {_component(request, name)}' for name in covered]
        lines.append(f'"@signature-params": {found["value"]}')
        try:
            secret = base64.b64decode(self._client_secret, validate=True)
        except (binascii.Error, ValueError):
            raise Forged("our client secret is not base64") from None
        expected = base64.b64encode(hmac.digest(secret, "\n".join(lines).encode(), "sha256"))
        given = request.header("signature").partition("=")[2].strip().strip(":")
        if not same(given, expected.decode()):
            raise Forged("the signature does not fit")

    def incoming(self, request: Request) -> Incoming:
        """There is no webhook."""
        raise BadMessage("AudioHook has no webhook; it opens the media socket by itself")

    def answer(self, media_url: str, call: Incoming) -> Answer:
        """There is no webhook."""
        raise BadMessage("AudioHook has no webhook; it opens the media socket by itself")

    def busy(self) -> Answer:
        """There is no webhook."""
        raise BadMessage("AudioHook has no webhook; it opens the media socket by itself")

    def wire(self, call: Incoming | None = None) -> GenesysWire:
        """Return the protocol of a new session."""
        return GenesysWire()


def _speakable(media: Any) -> bool:
    return (
        isinstance(media, dict)
        and media.get("format") == "PCMU"
        and media.get("rate") == 8000
        and media.get("channels") in (["external"], ["external", "internal"])
    )


def _component(request: Request, name: str) -> str:
    """Return a part of the request as it is signed; raises Forged."""
    url = urlsplit(request.url)
    match name:
        case "@request-target":
            return url.path + (f"?{url.query}" if url.query else "")
        case "@authority":
            return url.netloc.lower()
        case _ if name.startswith("@"):
            raise Forged("the signature covers what it cannot")
        case _:
            return request.header(name)
