"""A network that is not perfect, between a phone and a server.

Media over WebSocket is TCP: nothing is lost or overtakes on the way, but it stands still; packets
are lost and swapped before that, on their way to the carrier. Pure but for its random numbers,
which are the same every time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Network:
    """How bad it is."""

    delay_ms: float = 0.0
    """Each way."""
    jitter_ms: float = 0.0
    """Up to so much more, evenly; what is held up holds up what follows."""
    loss: float = 0.0
    """Share of the caller's packets that never reach the carrier."""
    reorder: float = 0.0
    """Share of the caller's packets that the next one overtakes."""
    seed: int = 7

    @classmethod
    def parse(cls, text: str) -> Network:
        """Read ``delay=30,jitter=20,loss=0.01,reorder=0.01``.

        Raises:
            ValueError: Something else; the text says what.
        """
        names = {"delay": "delay_ms", "jitter": "jitter_ms", "loss": "loss", "reorder": "reorder"}
        values: dict[str, float] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            if name not in names:
                raise ValueError(f"{name!r} is none of {', '.join(names)}")
            values[names[name]] = float(value)
        if not all(
            0 <= value <= (1 if name in ("loss", "reorder") else 10_000)
            for name, value in values.items()
        ):
            raise ValueError("delay and jitter are ms, loss and reorder shares from 0 to 1")
        return cls(**values)  # type: ignore[arg-type]


@dataclass
class Path(Generic[T]):
    """One direction of a network."""

    network: Network
    _random: random.Random = field(init=False)
    _last_s: float = 0.0
    _held: T | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.network.seed)

    def packets(self, packet: T) -> list[T]:
        """Return the packets that go on because this one was sent: none, it, or it and another."""
        if self.network.loss and self._random.random() < self.network.loss:
            return []
        if self._held is not None:
            held, self._held = self._held, None
            return [packet, held]
        if self.network.reorder and self._random.random() < self.network.reorder:
            self._held = packet
            return []
        return [packet]

    def arrives_s(self, sent_s: float) -> float:
        """Return when what is sent now arrives; never before what was sent earlier."""
        late_ms = self.network.delay_ms + self._random.uniform(0.0, self.network.jitter_ms)
        self._last_s = max(self._last_s, sent_s + late_ms / 1000.0)
        return self._last_s
