"""The end of a call that waits for the agent's last words, and is called off by an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from voice_agent.turns.events import Action, Event, Release
from voice_agent.turns.playout import PlayoutEvent
from voice_agent.turns.state import Agent, State, User

Act = Callable[[], Awaitable[None]]
After = Callable[[Act], None]
"""Does something when the answer under way has been heard, then ends the conversation."""


class Parting:
    """Watches a conversation that is about to end."""

    def __init__(self) -> None:
        self._act: Act | None = None
        self._due = asyncio.Event()

    def after(self, act: Act) -> None:
        """Do ``act`` when the answer under way has been heard to its end, unless the user says
        something that is answered."""
        self._act = act

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """See ``turns.taking.Observer``."""
        if self._act is None or self._due.is_set():
            return
        if any(isinstance(action, Release) for action in actions):
            self._act = None
        elif state.agent is Agent.IDLE and state.user is User.QUIET:
            self._due.set()

    async def due(self) -> Act:
        """Return what is to be done when it is; then it is over."""
        await self._due.wait()
        self._due.clear()
        assert self._act is not None
        act, self._act = self._act, None
        return act
