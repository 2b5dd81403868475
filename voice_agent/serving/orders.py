"""What a worker is told at its start: JSON on its stdin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

STOP_S = 20.0
"""A worker that has not ended so long after it was told to is ended."""


@dataclass(frozen=True, slots=True)
class Orders:
    """One worker's."""

    number: int
    of: int
    folder: Path
    """Where the workers' sockets and their shelf lie; nobody else may look into it."""
    channel: int
    """File descriptor of the socket to the dispatcher."""
    pipeline: str
    overrides: tuple[str, ...]
    token: str
    """What reads the traces from elsewhere, the same for all."""
    tls: tuple[str, str] | None
    insecure: bool
    verbosity: int

    def socket(self, number: int) -> Path:
        """Return where worker ``number`` listens to the others."""
        return self.folder / f"worker-{number}.sock"

    @property
    def shelf(self) -> Path:
        """Where tickets and client secrets are kept."""
        return self.folder / "shelf.sqlite"


ORDERS: TypeAdapter[Orders] = TypeAdapter(Orders)
