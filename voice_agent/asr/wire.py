"""What the server and its recognition workers say to each other over a pipe.

A message is a fixed header (kind, stream, utterance, length of the payload) and the payload.
Imports nothing but the standard library: the worker loads it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct("<BHII")
SAMPLE_RATE_HZ = 16_000
SAMPLE_BYTES = 2


class Kind(IntEnum):
    """Who says what; the first group goes to the worker, the second comes from it."""

    OPEN = 1
    """A new speaker uses this stream: forget what was learned about the last one's channel."""
    BEGIN = 2
    """An utterance begins."""
    AUDIO = 3
    """Payload: PCM of the utterance, 16 kHz, 16-bit, mono."""
    END = 4
    """Answer with FINAL; the utterance is over."""
    ABORT = 5
    """The stream is no longer wanted; drop what is queued for it, answer nothing."""

    READY = 16
    """All decoders are loaded."""
    PARTIAL = 17
    """Payload: the words of the utterance so far, UTF-8; sent when they change."""
    HEARD = 18
    """Payload: unsigned 32-bit, bytes of the utterance that have been decoded."""
    FINAL = 19
    """Payload: the words of the utterance, UTF-8, empty when there were none."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``utterance`` numbers the utterances of a stream."""

    kind: Kind
    stream: int = 0
    utterance: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Return the message as it travels."""
        return HEADER.pack(self.kind, self.stream, self.utterance, len(self.payload)) + self.payload


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
            kind, stream, utterance, length = HEADER.unpack_from(self._buffer, at)
            end = at + HEADER.size + length
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[at + HEADER.size : end])
            messages.append(Message(Kind(kind), stream, utterance, payload))
            at = end
        del self._buffer[:at]
        return messages
