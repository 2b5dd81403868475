"""What can go wrong with a call, in words for the person who made it.

CallError
├── WavError       a file cannot be played
├── ScenarioError  what callers are to do, or an SLO, cannot be read
├── Unreachable    nobody answers at the URL, or what answers is no voice agent
├── Busy           the server has no room; ``retry_after_s`` says when to try again
├── Lost           the call was connected and is not any more
└── NoAnswer       the call stands and the agent does not do what was waited for
"""

from __future__ import annotations


class CallError(Exception):
    """A call cannot be made or did not go as it must; the message says what to do about it."""


class WavError(CallError):
    """A file cannot be played; the message names the file."""


class ScenarioError(CallError):
    """A scenario or an SLO cannot be used; the message names the file, the key and the fault."""


class Unreachable(CallError):
    """There is no voice agent at the URL."""


class Busy(CallError):
    """The server takes no more calls for the moment."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Lost(CallError):
    """The server hung up, or the network did."""


class NoAnswer(CallError):
    """The agent did not do in time what the caller waited for."""
