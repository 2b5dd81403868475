"""Who may use the realtime API: keys, and client secrets made with one. No more imports than that.

A key comes as ``Authorization: Bearer``, or, from a browser that can set no header, in the
subprotocol ``openai-insecure-api-key.<secret>``; a browser should be given a client secret, which
is valid for minutes. Keys are compared in constant time; of secrets only hashes are kept. Without a
key a server on a loopback address lets everybody in who can reach it, and no other server anybody.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers

from voice_agent.ports import is_loopback
from voice_agent.shelf import Memory, Shelf
from voice_agent.transports.realtime_api.settings import RealtimeSettings
from voice_agent.transports.websocket import Rate

SUBPROTOCOL = "realtime"
SECRET_PROTOCOL = "openai-insecure-api-key."
SECRETS_MAX = 10_000
GUESSES_PER_S, GUESSES_BURST = 0.5, 20
"""Wrong keys that one address may send."""
ADDRESSES_MAX = 1000


class AccessError(ValueError):
    """The pipeline's settings let nobody in; the message says what to do."""


class Denied(Exception):
    """A request is not let in; ``status`` and the API's error code say why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Grant:
    """A request is let in; ``session`` is what its client secret was made with."""

    by_key: bool
    session: Mapping[str, Any] | None = None


class Access:
    """Decides who is let in.

    Args:
        settings: ``[realtime]`` of the pipeline.
        host: The address the server listens on.
        environ: The environment, for the keys.
        shelf: Where client secrets are kept; None: in this process.

    Raises:
        AccessError: The variable that should hold the keys is not set.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        host: str,
        environ: Mapping[str, str] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._keys = _keys(settings.key_env, environ)
        self._open = not self._keys and is_loopback(host)
        self._secrets = shelf or Memory(SECRETS_MAX)
        self._guesses: OrderedDict[str, Rate] = OrderedDict()

    def admit(self, headers: Headers, address: str, now_s: float) -> Grant:
        """Let a request in, or raise Denied."""
        given = _given(headers)
        if given is None:
            if self._open:
                return Grant(by_key=True)
            raise self._denied("Missing bearer authentication in header")
        if any([hmac.compare_digest(_hash(given), key) for key in self._keys]):
            return Grant(by_key=True)
        session = self._secrets.get(_hash(given), now_s)
        if isinstance(session, Mapping):
            return Grant(by_key=False, session=session)
        if self._open:
            return Grant(by_key=True)  # clients send some key even where none is asked for
        if not self._guess(address, now_s):
            raise Denied(429, "rate_limit_exceeded", "Too many requests with a wrong key.")
        raise self._denied("Incorrect API key provided.")

    def issue(self, session: Mapping[str, Any], now_s: float, lasts_s: float) -> str:
        """Return a new client secret (256 bits) for sessions that begin with ``session``."""
        value = "ek_" + secrets.token_urlsafe(32)
        self._secrets.put(_hash(value), session, now_s, now_s + lasts_s)
        return value

    def _denied(self, message: str) -> Denied:
        if self._keys:
            return Denied(401, "invalid_api_key", message)
        return Denied(
            401,
            "invalid_api_key",
            "This server has no key to let anybody in by: set [realtime] key_env in its pipeline "
            "to the name of an environment variable that holds one.",
        )

    def _guess(self, address: str, now_s: float) -> bool:
        rate = self._guesses.setdefault(address, Rate(GUESSES_PER_S, GUESSES_BURST))
        self._guesses.move_to_end(address)
        while len(self._guesses) > ADDRESSES_MAX:
            self._guesses.popitem(last=False)
        return rate.allows(now_s)


def subprotocols(headers: Headers) -> Sequence[str]:
    """Return the WebSocket subprotocols a client offers."""
    offered = ",".join(headers.getlist("sec-websocket-protocol"))
    return [each.strip() for each in offered.split(",") if each.strip()]


def _given(headers: Headers) -> str | None:
    """Return the key or the secret that a request carries."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    for protocol in subprotocols(headers):
        if protocol.startswith(SECRET_PROTOCOL):
            return protocol.removeprefix(SECRET_PROTOCOL)
    return None


def _keys(variable: str, environ: Mapping[str, str]) -> list[bytes]:
    if not variable:
        return []
    keys = [key for key in re.split(r"[\s,]+", environ.get(variable, "")) if key]
    if not keys:
        raise AccessError(
            f"[realtime] key_env names the variable {variable}, which is not set: set it to the "
            "key that clients are to send, or remove key_env to serve this machine alone"
        )
    return [_hash(key) for key in keys]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
