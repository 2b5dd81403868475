"""What the server and a language model's worker say to each other, in ``workers.wire``'s messages.

``number`` is that of a request. Imports nothing but the standard library: workers load it.
"""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """Who says what; the first group goes to the worker, the second comes from it."""

    ASK = 1
    """Payload: JSON ``{"endpoint": "chat" or "completion", "body": ...}``, as llama-server takes
    it."""
    CANCEL = 2
    """The request is no longer wanted."""

    READY = 16
    """The model is loaded."""
    CHUNK = 17
    """Payload: JSON of what a streamed chunk holds: some of ``text``, ``calls`` (pieces of tool
    calls), ``logprobs``, ``finish``, ``timings`` (of the request so far)."""
    END = 18
    """The request is over and its slot free. Payload: JSON of what went wrong, or nothing."""
