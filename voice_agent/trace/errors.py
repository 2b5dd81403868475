"""What can go wrong with traces."""

from __future__ import annotations


class TraceError(RuntimeError):
    """Something about traces cannot be done; the message says what to do."""


class StoreError(TraceError):
    """The file of the traces cannot be used."""


class NotTraced(TraceError):
    """There is no such turn, run or recording."""
