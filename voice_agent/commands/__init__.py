"""One module a command of ``voice-agent``; each has ``run(arguments) -> exit code``."""

from __future__ import annotations

import sys


def fail(message: object) -> int:
    """Print an error for a person and return the exit code that says the command was at fault."""
    for line in str(message).splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 2
