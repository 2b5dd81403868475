"""One module a command of ``voice-agent``; each has ``run(arguments) -> exit code``."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType


def fail(message: object) -> int:
    """Print an error for a person and return the exit code that says the command was at fault."""
    for line in str(message).splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM run the clean-up, as Ctrl-C does, so that no server is left behind."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
