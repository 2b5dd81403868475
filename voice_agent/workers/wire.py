"""What a server and its worker processes say to each other over a pipe.

A message is a fixed header (kind, stream, number, length of the payload) and the payload. Each
engine has kinds of its own. Imports nothing but the standard library: workers load it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<BHII")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``stream`` and ``number`` are the engine's to use."""

    kind: int
    stream: int = 0
    number: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Return the message as it travels."""
        return HEADER.pack(self.kind, self.stream, self.number, len(self.payload)) + self.payload


class Unpacker:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[Message]:
        """Add ``received`` and return the messages that are now complete, in order."""
        self._buffer += received
        messages: list[Message] = []
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            kind, stream, number, length = HEADER.unpack_from(self._buffer, at)
            end = at + HEADER.size + length
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[at + HEADER.size : end])
            messages.append(Message(kind, stream, number, payload))
            at = end
        del self._buffer[:at]
        return messages
