"""What the protocol answers with: server events for the client, commands for the turn engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from voice_agent.turns.events import Event


@dataclass(frozen=True, slots=True)
class Hear:
    """Take in audio, as the client encoded it."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """The user has finished, once everything appended so far has been heard."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget the audio that was appended and not committed."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the turn machine."""

    event: Event


@dataclass(frozen=True, slots=True)
class Wishes:
    """What answers that begin from now on are made from."""

    instructions: str
    tools: tuple[dict[str, Any], ...] | None
    """The client's functions; None: the agent's own tools."""
    tool_choice: Any
    """As chat completions have it."""
    aloud: bool
    voice: str
    speed: float


@dataclass(frozen=True, slots=True)
class Listen:
    """Take audio in this format from now on; ``threshold``: probability of a voice, None: as the
    pipeline has it."""

    format: str
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Aside:
    """Have the language model answer these messages beside the conversation, in text."""

    response_id: str
    messages: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody waits for this answer beside the conversation any more."""

    response_id: str


Command = Hear | Commit | Clear | Tell | Wishes | Listen | Aside | Withdraw
Output = BaseModel | Command
"""A server event as the API's own model, or a command."""
