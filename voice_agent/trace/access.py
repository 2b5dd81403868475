"""Who may read traces.

Where a token is set, whoever shows it. Else, as long as nobody's words or voice are kept, whoever
reaches the server; and where they are, only callers on this machine, unless they show the token
that was made for the process. A request counts as this machine's when the server listens on a
loopback address, was called by a loopback name and no proxy says that it passed something on.
Programs show the token as a bearer token, a browser once, for a cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request

from voice_agent.ports import is_loopback
from voice_agent.trace.settings import TraceSettings

COOKIE = "voice_agent_traces"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which proxies and tunnels say that a request comes from somewhere else."""


class Access:
    """Decides who may read.

    Args:
        settings: ``[trace]`` of the pipeline.
        host: The address the server listens on.
        allowed_origins: Pages of other origins that may use the server.
    """

    def __init__(
        self, settings: TraceSettings, host: str, allowed_origins: Sequence[str] = ()
    ) -> None:
        self._loopback = is_loopback(host)
        self._hosts = frozenset(urlsplit(origin).netloc.lower() for origin in allowed_origins)
        self._always = bool(settings.token)
        self._sensitive = settings.sensitive
        self.made = self._sensitive and not self._always
        """The token was made for this process: somebody must be told."""
        self.token = settings.token or secrets.token_urlsafe(16)

    def foreign(self, request: Request) -> bool:
        """Whether a server that is this machine's alone was called by a name that is not.

        A page can make its own name point at 127.0.0.1 (DNS rebinding).
        """
        host = request.headers.get("host", "").lower()
        return self._loopback and not self._names_this(host) and host not in self._hosts

    def allowed(self, request: Request) -> bool:
        """Whether the request may read."""
        if self._always or (self._sensitive and not self._local(request)):
            scheme, _, shown = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                shown = request.cookies.get(COOKIE, "")
            return self.is_token(shown)
        return True

    def is_token(self, shown: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(shown.encode(), self.token.encode())

    def _local(self, request: Request) -> bool:
        host = request.headers.get("host", "")
        passed_on = any(header in request.headers for header in _FORWARDED)
        return self._loopback and self._names_this(host) and not passed_on

    @staticmethod
    def _names_this(host: str) -> bool:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
