"""What a media socket says, in one vocabulary, whoever speaks it.

Pure: messages in, events out, and the other way round. Pipecat's serializers speak five of these
protocols too, but as frames: they drop what a playback clock and a jitter buffer live on (marks,
sequence numbers, media times), resample on the way (soxr holds 8 kHz audio back by 58 to 108 ms)
and log what they cannot read, payload included. So the protocols are spoken here, and the tests
hold every message against those serializers.
"""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

RTVI_LABEL = "rtvi-ai"


class BadMessage(ValueError):
    """A message that does not belong to the protocol; the text names it without quoting it."""


class Encoding(StrEnum):
    """How samples are written."""

    PCMU = "mu-law (ITU-T G.711), 8 bits"
    PCMA = "A-law (ITU-T G.711), 8 bits"
    L16 = "linear, 16 bits, little-endian"

    @property
    def sample_bytes(self) -> int:
        """Bytes a sample takes."""
        return 2 if self is Encoding.L16 else 1


@dataclass(frozen=True, slots=True)
class Format:
    """What the audio of a call is, both ways; mono."""

    encoding: Encoding = Encoding.PCMU
    hz: int = 8000


@dataclass(frozen=True, slots=True)
class Started:
    """The call is connected: audio may flow."""

    call_id: str
    format: Format = Format()
    ids: Mapping[str, str] = field(default_factory=dict)
    """What else the carrier calls it; no numbers, no names."""
    caller: str = ""
    """The telephone number that calls; never logged, never in a trace."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the webhook's answer told the carrier to send along."""


@dataclass(frozen=True, slots=True)
class Media:
    """A packet of the caller's audio."""

    payload: bytes
    number: int | None = None
    """Its place in the stream, counted by the sender; None where packets are not numbered."""
    at_ms: float | None = None
    """When it was recorded, by the sender's media clock; None where it is not told."""


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a key: one of ``0123456789*#ABCD``."""

    key: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Everything sent before this mark has been played, or has been cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything sent so far has been played; for lines that tell no more than that."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The protocol demands this answer, now."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Rtvi:
    """An RTVI message: instruments, and clients of the bridge, speak it beside the audio."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The other side has hung up."""


Event = Started | Media | Key | Marked | Drained | Reply | Rtvi | Ended

KEYS = frozenset("0123456789*#ABCD")


class Wire(ABC):
    """One call's protocol; holds what the protocol makes one remember (ids, sequence numbers)."""

    name: ClassVar[str] = ""
    """What traces call the line where it is not the carrier's name."""
    subprotocol: ClassVar[str] = ""
    """WebSocket subprotocol that is accepted where it is offered."""
    packet_ms: ClassVar[int] = 20
    """Audio sent in one message, ms."""
    lead_ms: ClassVar[int] = 80
    """How far ahead of time audio is sent, ms: what hides the network's jitter from the caller.
    It costs no latency: the first packet of an answer leaves at once, and ``clear`` takes back
    what has not been heard."""
    recalls: ClassVar[bool] = True
    """What was sent and not played can be taken back, by ``clear`` or by the other side itself."""
    mark_ms: ClassVar[float] = 100.0
    """A mark follows so much audio."""
    unmarked_ms: ClassVar[float] = 100.0
    """On a line without marks audio is taken to be heard so much later than it was due."""

    @abstractmethod
    def receive(self, message: str | bytes) -> Iterable[Event]:
        """Return what a message means.

        Raises:
            BadMessage: Nothing, in this protocol.
        """

    @abstractmethod
    def audio(self, payload: bytes) -> str | bytes:
        """Return the message that plays encoded audio."""

    def mark(self, name: str) -> str | bytes | None:
        """Return the message whose echo says that all before it was played; None: there is none."""
        return None

    def clear(self) -> str | bytes | None:
        """Return the message that discards what was sent and not played; None: there is none."""
        return None

    def keys(self, keys: str) -> str | bytes | None:
        """Return the message that plays keys into the call; None: they are sent as sound."""
        return None

    def transfer(self, to: str) -> str | bytes | None:
        """Return the message that hands the call over; None: it is done through the REST API."""
        return None

    def goodbye(self) -> str | bytes | None:
        """Return what is said before we close; the other side is then given a moment to answer."""
        return None


class JsonWire(Wire):
    """A protocol whose every text message is a JSON object."""

    def receive(self, message: str | bytes) -> Iterable[Event]:
        """Return what a message means; see ``Wire``."""
        if isinstance(message, bytes):
            return self.binary(message)
        try:
            parsed = json.loads(message)
        except (ValueError, RecursionError):
            raise BadMessage("a message is not JSON") from None
        if not isinstance(parsed, dict):
            raise BadMessage("a message is not a JSON object")
        if parsed.get("label") == RTVI_LABEL:
            return (Rtvi(parsed),)
        return self.event(parsed)

    def binary(self, message: bytes) -> Iterable[Event]:
        """Return what a binary message means; in most protocols there are none."""
        raise BadMessage("a binary message where there is none in this protocol")

    @abstractmethod
    def event(self, message: dict[str, Any]) -> Iterable[Event]:
        """Return what a JSON message means; raises BadMessage."""


# ----- reading what strangers wrote -----


def table(message: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return ``message[key]``, which must be an object; raises BadMessage."""
    value = message.get(key)
    if not isinstance(value, dict):
        raise BadMessage(f"{key!r} is missing or no object")
    return value


def text(message: Mapping[str, Any], key: str, *, longest: int = 200) -> str:
    """Return ``message[key]`` as text, which must not be empty; raises BadMessage."""
    value = message.get(key)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadMessage(f"{key!r} is missing or no text")
    value = str(value)
    if not 0 < len(value) <= longest:
        raise BadMessage(f"{key!r} is empty or too long")
    return value


def number(message: Mapping[str, Any], key: str) -> int | None:
    """Return ``message[key]`` as a whole number from 0 up; None where it is missing.

    Carriers write numbers as text too. Raises BadMessage.
    """
    value = message.get(key)
    if value is None:
        return None
    try:
        parsed = int(value) if isinstance(value, int | str) else -1
    except ValueError:
        parsed = -1
    if not 0 <= parsed < 2**63:
        raise BadMessage(f"{key!r} is not a number")
    return parsed


def payload(message: Mapping[str, Any], key: str = "payload") -> bytes:
    """Return ``message[key]``, which must be base64; raises BadMessage."""
    value = message.get(key)
    if not isinstance(value, str):
        raise BadMessage(f"{key!r} is missing or no text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadMessage(f"{key!r} is not base64") from None


def packets(media: Mapping[str, Any], *, stamped: bool = True) -> tuple[Media, ...]:
    """Return the packet of a ``media`` event as Twilio writes it and others after it; none where it
    is the agent's own voice. ``stamped``: its ``timestamp`` is a media clock. Raises BadMessage.
    """
    if media.get("track", "inbound") != "inbound":
        return ()
    at_ms = number(media, "timestamp") if stamped else None
    clock = None if at_ms is None else float(at_ms)
    return (Media(payload(media), number(media, "chunk"), clock),)


def key(message: Mapping[str, Any], name: str = "digit") -> Key:
    """Return the key pressed, ``message[name]``; raises BadMessage."""
    pressed = text(message, name).upper()
    if pressed not in KEYS:
        raise BadMessage("there is no such key")
    return Key(pressed)


def strings(value: Any) -> dict[str, str]:
    """Return the text entries of what should be an object of texts; 20 at most."""
    if not isinstance(value, dict):
        return {}
    entries = [(k, v) for k, v in value.items() if isinstance(v, str) and len(k) + len(v) < 1000]
    return dict(entries[:20])


def format_of(media: Mapping[str, Any], encoding: str, rate: str) -> Format:
    """Return the format that a ``start`` names by its keys ``encoding`` and ``rate``.

    Raises:
        BadMessage: An encoding or a rate that we do not speak.
    """
    name = str(media.get(encoding, "")).lower().removeprefix("audio/").removeprefix("x-")
    known = {
        "mulaw": Encoding.PCMU,
        "ulaw": Encoding.PCMU,
        "pcmu": Encoding.PCMU,
        "alaw": Encoding.PCMA,
        "pcma": Encoding.PCMA,
        "l16": Encoding.L16,
        "raw": Encoding.L16,
        "linear16": Encoding.L16,
        "slin": Encoding.L16,
        "slin16": Encoding.L16,
    }
    if name not in known:
        raise BadMessage("an audio encoding that is not spoken here")
    hz = number(media, rate) or 8000
    if hz not in (8000, 16000, 24000, 48000):
        raise BadMessage("a sample rate that is not spoken here")
    return Format(known[name], hz)


def base64_text(data: bytes) -> str:
    """Return bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")
