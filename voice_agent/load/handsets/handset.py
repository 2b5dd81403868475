"""What a carrier's side of a call must be able to say and to understand."""

from __future__ import annotations

import secrets
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from voice_agent.transports.telephony.wire import Encoding


@dataclass(frozen=True, slots=True)
class Play:
    """The server sends audio to be played, encoded as the call's is."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """The server wants to know when everything before this has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """The server wants nothing more to be heard of what it sent."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The server sends keys into the call."""

    keys: str


@dataclass(frozen=True, slots=True)
class Told:
    """The server sends an RTVI message, to an instrument that asked for them."""

    text: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The server ends the call."""

    reason: str = ""


Said = Play | Mark | Clear | Keys | Told | HungUp


@dataclass(frozen=True, slots=True)
class Ring:
    """A webhook as the carrier would send it."""

    method: str
    path: str
    form: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """What is sent where it is no form."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Handset(ABC):
    """One call of one carrier's; see the module's docstring.

    Args:
        secret: What the carrier signs with, or what lets it in; empty: nothing is signed.
        caller: The number that calls.
    """

    packet_ms: ClassVar[int] = 20
    encoding: Encoding = Encoding.PCMU
    hz: int = 8000

    def __init__(self, secret: str = "", caller: str = "+15550100") -> None:
        self.secret = secret
        self.caller = caller
        self.call_id = uuid.uuid4().hex
        self.stream_id = uuid.uuid4().hex

    # ----- ringing -----

    def ring(self, url: str) -> Ring | None:
        """Return the webhook for a server at ``url``; None where there is none."""
        return None

    def media_url(self, url: str, answer: str) -> str:
        """Return the address of the media socket, from the webhook's answer.

        Raises:
            ValueError: The answer does not connect the call to one; the text is its first lines.
        """
        raise ValueError(answer[:200])

    def media_headers(self, media_url: str) -> Mapping[str, str]:
        """Return the headers of the request for the media socket."""
        return {}

    subprotocols: Sequence[str] = ()

    # ----- on the media socket -----

    @abstractmethod
    def opening(self) -> Sequence[str | bytes]:
        """Return what is said before any audio."""

    @abstractmethod
    def media(self, payload: bytes, number: int, at_ms: float) -> str | bytes:
        """Return packet ``number`` (from 0), recorded ``at_ms`` after the first."""

    @abstractmethod
    def key(self, key: str) -> Sequence[str | bytes]:
        """Return what says that a key was pressed."""

    def marked(self, name: str) -> Sequence[str | bytes]:
        """Return what says that everything before this mark has been played, or cleared."""
        return ()

    def playing(self) -> Sequence[str | bytes]:
        """Return what says that audio begins to be played, where that is said."""
        return ()

    def drained(self) -> Sequence[str | bytes]:
        """Return what says that everything has been played, where that is said."""
        return ()

    def cleared(self) -> Sequence[str | bytes]:
        """Return what says that nothing is left to be played, where that is said."""
        return ()

    def closing(self) -> Sequence[str | bytes]:
        """Return what is said before the caller hangs up."""
        return ()

    @abstractmethod
    def hear(self, message: str | bytes) -> Sequence[Said]:
        """Return what a message of the server's means.

        Raises:
            ValueError: The carrier would not accept it; the text says why.
        """


def token(letters: str, digits: int = 32) -> str:
    """Return an identifier as carriers make them: letters and hexadecimal digits."""
    return letters + secrets.token_hex(digits // 2)
