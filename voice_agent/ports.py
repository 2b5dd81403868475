"""Taking a port before anything is loaded, so that a busy one is said at once."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address


class PortError(OSError):
    """The address cannot be listened on; the message says what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port`` that does not listen yet.

    Args:
        host: A name or address of this machine; 0.0.0.0 or :: mean all of them.
        port: 0 takes any free port.

    Raises:
        PortError: In use, not allowed, or not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise PortError(f"cannot listen on {host!r}: {error}; choose another --host") from error
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would share the port with another program
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise PortError(_why(error, host, port)) from error
    return sock


def in_use(host: str, port: int) -> str:
    """Return what to say when another program has the port."""
    return (
        f"port {port} on {host} is in use by another program: stop that, or choose another with "
        "--port (0 takes any free one)"
    )


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return in_use(host, port)
        case errno.EACCES:
            return f"port {port} is not allowed for this user; choose one above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; choose another --host"
        case _:
            return f"cannot listen on {host} port {port}: {error.strerror}"


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
