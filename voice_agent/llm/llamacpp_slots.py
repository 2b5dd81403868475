"""Which conversation has which of a model's slots, and who waits for one.

A slot remembers one prompt, and continues it at the cost of what is new. So a conversation keeps
its slot for as long as nobody else needs it, and waits for it even when others are free: what
keeps it busy is the conversation's own last request, cancelled a moment ago.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count

from voice_agent.engines import EngineError

__all__ = ["Slots"]


class Slots:
    """The slots of one model.

    Args:
        number: How many there are.
        waiting: Requests that may wait for one.
        at_once: Slots that may be at work at a time; None is all.
    """

    def __init__(self, number: int, waiting: int, at_once: int | None = None) -> None:
        self._owners: list[str | None] = [None] * number
        self._busy = [False] * number
        self._used = [0] * number
        self._clock = count(1)
        self._at_once = number if at_once is None else at_once
        self._bound = waiting
        self._queue: deque[tuple[str, asyncio.Future[int]]] = deque()
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def busy(self) -> int:
        """Slots at work."""
        return sum(self._busy)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    async def take(self, conversation: str) -> int:
        """Return a slot, the conversation's own if it has one, when it is free.

        Raises:
            EngineError: Too many wait already.
        """
        slot = self._pick(conversation)
        if slot is not None:
            return self._occupy(slot, conversation)
        if len(self._queue) >= self._bound:
            raise EngineError(
                f"the language model is busy: {self.busy} answers are being written and "
                f"{len(self._queue)} wait; raise llm.slots, or lower sessions.max"
            )
        granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((conversation, granted))
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(granted.result())
            elif (conversation, granted) in self._queue:
                self._queue.remove((conversation, granted))
            raise

    def give(self, slot: int) -> None:
        """Take a slot back; the first in the queue that can use it gets it."""
        self._busy[slot] = False
        for waiter in list(self._queue):
            conversation, granted = waiter
            if granted.done():  # cancelled a moment ago
                self._queue.remove(waiter)
            elif (free := self._pick(conversation)) is not None:
                self._queue.remove(waiter)
                granted.set_result(self._occupy(free, conversation))
        if not self.busy:
            self._quiet.set()

    async def idle(self) -> None:
        """Return when no slot is at work."""
        await self._quiet.wait()

    def hand_over(self, conversation: str, to: str) -> bool:
        """Let ``to`` have the conversation's slot; return whether it had one."""
        if conversation not in self._owners:
            return False
        self._owners[self._owners.index(conversation)] = to
        return True

    def leave(self, conversation: str) -> None:
        """The conversation needs its slot no more."""
        if conversation in self._owners:
            self._owners[self._owners.index(conversation)] = None

    def _pick(self, conversation: str) -> int | None:
        if self.busy >= self._at_once:
            return None
        if conversation in self._owners:
            slot = self._owners.index(conversation)
            return None if self._busy[slot] else slot
        free = [slot for slot, busy in enumerate(self._busy) if not busy]
        return min(free, key=self._worth, default=None)

    def _worth(self, slot: int) -> tuple[bool, int]:
        """What would be lost with the slot's prompt: nobody's first, then the longest unused."""
        return self._owners[slot] is not None, self._used[slot]

    def _occupy(self, slot: int, conversation: str) -> int:
        self._owners[slot] = conversation
        self._busy[slot] = True
        self._quiet.clear()
        self._used[slot] = next(self._clock)
        return slot
