"""How long nobody has spoken after a response: ``idle_timeout_ms`` of ``server_vad``. Pure."""

from __future__ import annotations

from typing import Any

from voice_agent.turns.state import Agent, State, User


class Idle:
    """Counts from the end of the last response's sound; a voice ends the counting."""

    def __init__(self) -> None:
        self.since_ms: float | None = None
        """When it became silent; None: it is not, or nothing was answered yet."""

    def observe(self, now: float, state: State, *, answered: bool) -> None:
        """Take the state at ``now`` (ms); ``answered``: there has been a response."""
        silent = answered and state.agent is Agent.IDLE and state.user is User.QUIET
        if not silent:
            self.since_ms = None
        elif self.since_ms is None:
            self.since_ms = now

    def due_at(self, detection: dict[str, Any] | None) -> float | None:
        """Return when the silence has lasted too long for the session's turn detection."""
        timeout_ms = (detection or {}).get("idle_timeout_ms")
        return None if timeout_ms is None or self.since_ms is None else self.since_ms + timeout_ms
