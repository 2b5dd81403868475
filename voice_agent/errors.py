"""Why a call is refused, so that the HTTP edge and the conversations agree without importing
each other."""

from __future__ import annotations


class Busy(Exception):
    """All lines are taken, or all that one address may hold."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"all lines are busy; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class BadOffer(ValueError):
    """An offer or a candidate that cannot be used; the message says why."""
