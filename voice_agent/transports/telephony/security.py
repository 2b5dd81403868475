"""Who may call: signatures, one-time tickets, and how often a stranger may try.

Signatures are checked with the standard library and ``cryptography``, which WebRTC needs anyway,
not with the carriers' packages: Twilio's and Plivo's bring HTTP clients of their own for 20 lines
of HMAC each. The tests hold both against those packages, and the others against their published
examples. Everything secret is compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from voice_agent.shelf import Memory, Shelf
from voice_agent.transports.websocket import Rate

TICKET_S = 60.0
"""How long a carrier may take from the webhook's answer to opening the media socket."""
TICKETS_MAX = 1000
ADDRESSES_MAX = 1000

T = TypeVar("T")


class Forged(Exception):
    """A request is not from whom it claims to be; the text says what is wrong, not what is right.

    ``status`` is what it is answered with: 401 for what is missing, 403 for what does not fit.
    """

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A carrier's HTTP request, or its request for a WebSocket, as it was signed."""

    method: str
    url: str
    """The address that the carrier called, as it knows it."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""
    form: tuple[tuple[str, str], ...] = ()
    """What the body says where it is a form, in its order; else the query."""

    def header(self, name: str) -> str:
        """Return a header that must be there.

        Raises:
            Forged: It is missing.
        """
        value = self.headers.get(name)
        if not value:
            raise Forged(f"the header {name} is missing", 401)
        return value

    def field(self, name: str) -> str:
        """Return a field of the form, or nothing."""
        return next((value for key, value in self.form if key == name), "")


def same(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


class Tickets:
    """One-time tokens: a media socket opens only for a call that a webhook has let in.

    A ticket is kept under its hash, so that looking it up tells nothing about the others, for
    ``TICKET_S``; the oldest make room for new ones.

    Args:
        shelf: Where they are kept; None: in this process.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or Memory(TICKETS_MAX)

    def issue(self, for_what: object, now_s: float) -> str:
        """Return a new ticket, 192 bits, safe in a URL."""
        ticket = secrets.token_urlsafe(24)
        self._shelf.put(_hash(ticket), for_what, now_s, now_s + TICKET_S)
        return ticket

    def redeem(self, ticket: str, kind: type[T], now_s: float) -> T:
        """Return what the ticket was issued for; it is used up.

        Raises:
            Forged: There is no such ticket, or its time is over, or it is for something else.
        """
        for_what = self._shelf.take(_hash(ticket), now_s)
        if not isinstance(for_what, kind):
            raise Forged("the ticket is not valid, or used, or too old")
        return for_what


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


class Strangers:
    """How often each address may ask; the addresses asked from longest ago are forgotten."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    def allows(self, address: str, now_s: float) -> bool:
        """Count one request."""
        rate = self._rates.pop(address, None) or Rate(self._per_s, self._burst)
        self._rates[address] = rate
        while len(self._rates) > ADDRESSES_MAX:
            self._rates.popitem(last=False)
        return rate.allows(now_s)
