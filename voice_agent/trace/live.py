"""Turns as they happen, for whoever watches: a bounded queue each, and nothing when nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from voice_agent.trace.model import Session, Turn

WAITING_MAX = 200
"""Items one watcher may be behind; then the oldest are lost to it, and it is told how many."""

Told = Turn | Session | int
"""A turn or a session that has changed, or how many such the watcher has missed."""


class Watcher:
    """One who watches."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Turn | Session | None] = asyncio.Queue()
        self._lost = 0

    async def next(self) -> Told | None:
        """Return what comes next; None when tracing has ended."""
        if self._lost:
            lost, self._lost = self._lost, 0
            return lost
        return await self._waiting.get()

    def tell(self, told: Turn | Session | None) -> None:
        """Put what has happened into the queue."""
        if self._waiting.qsize() >= WAITING_MAX:
            self._waiting.get_nowait()
            self._lost += 1
        self._waiting.put_nowait(told)


class Live:
    """Tells every watcher; a sink of :class:`voice_agent.trace.tracing.Tracing`."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Watch until the block is left."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def turn(self, turn: Turn) -> None:
        """Tell of a turn that has changed."""
        for watcher in self._watchers:
            watcher.tell(turn)

    def finished(self, turn: Turn) -> None:
        """A finished turn was told before."""

    def session(self, session: Session) -> None:
        """Tell of a session that has begun or ended."""
        for watcher in self._watchers:
            watcher.tell(session)

    def end(self) -> None:
        """Tell everybody that nothing more will come."""
        for watcher in self._watchers:
            watcher.tell(None)
