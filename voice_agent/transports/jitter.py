"""The receiving jitter buffer for voice: no packet waits that need not.

aiortc holds every audio packet until four later ones are in (80 ms, hard-coded). An Opus packet is
a whole frame, so one that comes in order can be decoded at once; only a gap is worth waiting for,
and only for as long as this network has shown its packets to be late. After ``JitterBuffer`` of
aiortc, whose interface it keeps. Sequence numbers per RFC 3550.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from aiortc.jitterbuffer import JitterFrame

from voice_agent.media import now_ms

SHALLOWEST = 1
DEEPEST = 6
"""Packets that may overtake a missing one before it is given up: 20 ms to 120 ms at 20 ms a
packet."""
_CALM = 250
"""Packets in order (5 s) after which one packet less is waited for."""
_CLOCK_RATE = 48_000
_WINDOW_MS = 10_000.0


class Packet(Protocol):
    """What is used of aiortc's ``RtpPacket``."""

    sequence_number: int
    timestamp: int
    _data: bytes


class VoiceJitterBuffer:
    """Orders one stream's packets, waiting only where one is missing.

    ``add`` returns at most one frame, as aiortc expects; when a packet that was waited for frees
    those behind it, the others lie in ``backlog`` and must be taken from there. ``clock`` says when
    a packet arrives, ms.
    """

    def __init__(self, clock: Callable[[], float] = now_ms) -> None:
        self._clock = clock
        self.depth = SHALLOWEST
        """Packets waited at a gap now."""
        self.lost = 0
        """Packets given up."""
        self.late = 0
        """Packets that came after they were given up."""
        self.backlog: deque[JitterFrame] = deque()
        self.media_clock = MediaClock()
        self._next: int | None = None
        self._waiting: dict[int, Packet] = {}
        self._in_order = 0

    @property
    def capacity(self) -> int:
        """Packets held at most."""
        return DEEPEST + 1

    def add(self, packet: Packet) -> tuple[bool, JitterFrame | None]:
        """Take a packet; return (False, the next frame if one is ready)."""
        self.media_clock.arrived(packet.timestamp, self._clock())
        number = packet.sequence_number
        if self._next is None:
            self._next = number
        ahead = (number - self._next) & 0xFFFF
        if ahead >= 0x8000:
            self._note_late()
            return False, None
        if ahead > 200:  # the sender started over
            self._waiting.clear()
            self._next = number
        self._waiting[number] = packet
        self._note_order(ahead)
        ready = self._take_ready()
        self.backlog.extend(ready[1:])
        return False, ready[0] if ready else None

    def _take_ready(self) -> list[JitterFrame]:
        assert self._next is not None
        frames: list[JitterFrame] = []
        while self._waiting:
            packet = self._waiting.pop(self._next, None)
            if packet is not None:
                frames.append(JitterFrame(data=packet._data, timestamp=packet.timestamp))
            elif len(self._waiting) <= self.depth:
                break
            else:
                self.lost += 1
            self._next = (self._next + 1) & 0xFFFF
        return frames

    def _note_late(self) -> None:
        self.late += 1
        self.lost = max(0, self.lost - 1)
        self._in_order = 0
        self.depth = min(DEEPEST, self.depth + 1)

    def _note_order(self, ahead: int) -> None:
        self._in_order = self._in_order + 1 if ahead == 0 else 0
        if self._in_order >= _CALM and self.depth > SHALLOWEST:
            self.depth -= 1
            self._in_order = 0


class MediaClock:
    """Lays a sender's media clock on ours.

    The packet that was least delayed in the last 10-20 s fixes the offset: it is taken to have
    arrived the moment its last sample was captured. Jitter then moves nothing, and drift between
    the clocks is followed. Media time is counted in samples (48 kHz) from the first packet on, as
    aiortc counts the ``pts`` of what it decodes.
    """

    def __init__(self, packet_ms: float = 20.0) -> None:
        self._packet_ms = packet_ms
        self._offsets: list[float] = []
        self._window_began = 0.0
        self._last_timestamp = 0
        self._last_sample = 0

    def arrived(self, timestamp: int, at_ms: float) -> None:
        """A packet with this RTP timestamp (32 bits, wrapping) arrived at ``at_ms``."""
        if not self._offsets:
            self._last_timestamp = timestamp
        step = (timestamp - self._last_timestamp) & 0xFFFFFFFF
        sample = self._last_sample + (step if step < 0x80000000 else step - 0x100000000)
        if step < 0x80000000:
            self._last_timestamp, self._last_sample = timestamp, sample
        offset = at_ms - self._packet_ms - sample / _CLOCK_RATE * 1000.0
        if not self._offsets or at_ms - self._window_began > _WINDOW_MS:
            self._window_began = at_ms
            self._offsets = [*self._offsets[-1:], offset]
        self._offsets[-1] = min(self._offsets[-1], offset)

    def captured_ms(self, sample: int) -> float:
        """Return when this sample, counted from the first packet's first, was captured."""
        return sample / _CLOCK_RATE * 1000.0 + (min(self._offsets) if self._offsets else 0.0)
