"""What a transport is to a conversation: audio heard, audio pulled, messages both ways.

A conversation never waits for a transport and a transport never decides anything. Audio comes in
as it arrives; audio goes out because the transport *pulls* it, a packet at a time, in real time,
so that nothing the agent says is ever more than one packet beyond recall.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

HEARD_HZ = 16_000
"""Sample rate of everything the agent hears, Hz."""

Pcm = npt.NDArray[np.int16]
"""Mono 16-bit samples, shape (n,)."""


def now_ms() -> float:
    """Return the monotonic clock in ms: the one clock of turns and traces."""
    return time.monotonic() * 1000.0


@dataclass(frozen=True, slots=True)
class HeardAudio:
    """A packet of the user's audio, 16 kHz mono."""

    pcm: bytes
    """Signed 16-bit little-endian samples."""
    captured_ms: float
    """When its first sample was spoken, by the sender's media clock laid on ours: the arrival of
    the least delayed packet so far fixes the offset, so network jitter does not move it."""
    arrived_ms: float
    """When it reached us, on the same clock."""

    @property
    def duration_ms(self) -> float:
        """Length of the packet, ms."""
        return len(self.pcm) / 2 / HEARD_HZ * 1000.0


class AudioSource(Protocol):
    """Where a transport pulls the agent's voice from."""

    def pull(self, samples: int) -> Pcm:
        """Return exactly ``samples`` samples to send now; silence when there is nothing to say.

        What was pulled counts as heard. Called on the event loop, in real time; must return within
        microseconds.
        """
        ...

    def pull_ahead(self, samples: int) -> Pcm:
        """Return samples as ``pull`` does, to be heard later: ``played`` says when.

        For transports that feed a player far away. What was pulled ahead and not played can be
        recalled; whoever pulls ahead must say so with ``on_recall`` first.
        """
        ...

    def played(self, samples: int) -> None:
        """Say that the next ``samples`` samples of those pulled ahead have been heard."""
        ...

    def ready(self) -> int:
        """Return how many samples can be pulled before there is silence."""
        ...

    def on_recall(self, recall: Callable[[], None]) -> None:
        """Call ``recall`` when what was pulled ahead and not played must not be heard any more.

        It may first say with ``played`` how much of it can no longer be taken back. The rest counts
        as not heard, and what is pulled next follows what was played.
        """
        ...

    async def wait_audible(self) -> None:
        """Return when the next ``pull`` would not be silence, so that an idle sender can send
        the first packet of an answer at once instead of at its next tick."""
        ...


class Transport(Protocol):
    """One client's connection, as a conversation sees it."""

    name: str
    """What kind of line it is, as traces name it: "webrtc", "microphone", "twilio", ..."""
    ids: Mapping[str, str]
    """What others call this call, for finding it in their logs (a carrier's call and stream ids);
    no telephone numbers, no names."""
    audio_out_hz: int
    """Sample rate the transport pulls at, Hz."""

    def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield the user's audio as it arrives; ends when the client has gone."""
        ...

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the client's RTVI messages; ends when the client has gone."""
        ...

    def play(self, source: AudioSource) -> None:
        """Start pulling the agent's voice from ``source``, until closed."""
        ...

    def figures(self) -> Mapping[str, float]:
        """Return what a trace should know of the line so far: packets lost and late, ms, dBFS."""
        ...

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the client in order; never blocks, bounded, dropped once gone."""
        ...

    async def close(self) -> None:
        """Hang up; idempotent."""
        ...
