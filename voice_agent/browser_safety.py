"""What a browser must know and check: the page's security headers, and who may start a call."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent.ports import is_loopback

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self' blob: mediastream:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PageHeaders:
    """Adds security and caching headers to every answer.

    Bundles carry a hash of their content in their name and may be kept for ever; everything else
    is asked for again each time, which costs one "304 Not Modified".
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers["Cache-Control"] = _cache_control(path, message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _cache_control(path: str, status: int) -> str:
    if path.startswith("/api/"):
        return "no-store"
    if path.startswith("/assets/") and status in (200, 206, 304):
        return "public, max-age=31536000, immutable"
    return "no-cache"


class SameOrigin:
    """Refuses calls that a page of somebody else's started in a visitor's browser.

    A browser names the page's origin on every POST, PATCH and WebSocket; programs that are not
    browsers send none and pass. On a loopback address the server also insists on being called by
    a loopback name, because a page can make its own name point at 127.0.0.1 (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str], host: str) -> None:
        self._app = app
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)
        self._allowed_hosts = frozenset(urlsplit(origin).netloc for origin in self._allowed)
        self._loopback = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        changing = scope["type"] == "websocket" or (
            scope["type"] == "http" and scope["method"] in ("POST", "PATCH", "PUT", "DELETE")
        )
        if changing:
            why_not = self._why_not(Headers(scope=scope))
            if why_not is not None:
                await JSONResponse({"error": why_not}, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _why_not(self, headers: Headers) -> str | None:
        host = headers.get("host", "").lower()
        name = urlsplit(f"//{host}").hostname or ""
        if self._loopback and not is_loopback(name) and host not in self._allowed_hosts:
            return (
                f"this server only answers to localhost, not to {name!r}; behind a proxy, add "
                "the page's origin to server.allowed_origins"
            )
        origin = headers.get("origin", "").lower()
        if origin and origin not in self._allowed and urlsplit(origin).netloc != host:
            return f"calls from {origin} are not allowed; see server.allowed_origins"
        return None
