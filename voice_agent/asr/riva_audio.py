"""What a recogniser still owes us: audio that no final has covered, and finals asked for.

Pure: no clock, no I/O. A connection sends what is here in order; when it is lost, the next one
begins again with everything a final has not covered, and no word is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SAMPLE_BYTES = 2
BYTES_PER_MS = 16 * SAMPLE_BYTES


@dataclass(slots=True)
class Request:
    """A final that was asked for behind so much audio."""

    number: int
    at: int
    """Bytes of audio before it, from the start of the conversation."""
    sent: bool = False
    answered: bool = False
    """Somebody was given a transcript for it, perhaps before the server said anything."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next thing to send: audio, a request behind it, or both."""

    pcm: bytes
    request: Request | None


@dataclass(slots=True)
class Owed:
    """Audio and requests in their order; counts are bytes from the start of the conversation."""

    most: int
    """Bytes kept for a server that never finalizes; older audio will not be replayed."""
    pcm: bytearray = field(default_factory=bytearray)
    base: int = 0
    """Where ``pcm`` begins: everything before is covered by finals."""
    sent: int = 0
    forgotten: int = 0
    """Bytes that were given up because they were more than ``most``."""
    requests: deque[Request] = field(default_factory=deque)
    _numbers: int = 0

    @property
    def end(self) -> int:
        """Bytes taken in."""
        return self.base + len(self.pcm)

    @property
    def unsent_ms(self) -> float:
        """Audio not yet sent, ms."""
        return (self.end - self.sent) / BYTES_PER_MS

    def hear(self, pcm: bytes) -> None:
        """Take in audio."""
        self.pcm += pcm
        if len(self.pcm) > self.most:
            excess = len(self.pcm) - self.most
            if self.base + excess > self.sent:
                self.forgotten += self.base + excess - self.sent
            self._cut(self.base + excess)

    def ask(self) -> Request:
        """Ask for a final behind everything taken in so far."""
        self._numbers += 1
        self.requests.append(Request(self._numbers, self.end))
        return self.requests[-1]

    def next(self, most: int) -> Piece | None:
        """Return what is to be sent now, ``most`` bytes of audio at most; None when all is sent."""
        waiting = next((each for each in self.requests if not each.sent), None)
        end = min(self.end if waiting is None else waiting.at, self.sent + most)
        at = self.sent - self.base
        pcm = bytes(self.pcm[at : at + max(0, end - self.sent)])
        self.sent += len(pcm)
        if waiting is not None and self.sent >= waiting.at:
            waiting.sent = True
            return Piece(pcm, waiting)
        return Piece(pcm, None) if pcm else None

    def rewind(self) -> None:
        """Be as new to the next connection."""
        self.sent = self.base
        for request in self.requests:
            request.sent = False

    def covered(self, request: Request) -> None:
        """A final covers everything before this request; it and those before it are done."""
        while self.requests and self.requests[0].number <= request.number:
            self.requests.popleft()
        self._cut(request.at)

    def covered_to(self, at: int) -> None:
        """A final that nobody asked for covers the audio before ``at``."""
        self._cut(min(at, self.sent))

    def _cut(self, at: int) -> None:
        at = max(self.base, min(at, self.end))
        del self.pcm[: at - self.base]
        self.base = at
        self.sent = max(self.sent, at)
