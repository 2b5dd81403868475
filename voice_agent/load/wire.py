"""What is said on the data channel: RTVI, as a browser's client speaks it. Pure.

Besides RTVI's own messages the log knows our ``server-message`` kinds (``user-turn``,
``agent-turn``, ``latency``, ``goodbye``, ...) and does without them on another's bot.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

LABEL = "rtvi-ai"
PROTOCOL = "2.0.0"
PING = "ping"
"""What a SmallWebRTC client sends every second, in plain text, to say that it is there."""

Data = Mapping[str, Any]


def message(kind: str, data: Data | None = None) -> str:
    """Return an RTVI message as it goes on the wire."""
    return json.dumps({"label": LABEL, "type": kind, "id": uuid4().hex[:8], "data": data or {}})


def client_ready() -> str:
    """Return the message that starts the conversation."""
    about = {"library": "voice-agent call", "library_version": "1"}
    return message("client-ready", {"version": PROTOCOL, "about": about})


def script(words: Sequence[Mapping[str, Any]]) -> str:
    """Return the message that tells a scripted ASR what it will hear next.

    Args:
        words: ``{"text": ..., "at_ms": ...}``, ``at_ms`` from the first voice of the utterance to
            the word's end. Empty: what comes is no speech. A recogniser that listens knows nothing
            of it, and nothing but a recogniser may.
    """
    return client_message("script", {"words": [dict(word) for word in words]})


def client_message(kind: str, data: Data | None = None) -> str:
    """Return a message of our own kind."""
    return message("client-message", {"t": kind, "d": data or {}})


@dataclass(frozen=True, slots=True)
class Received:
    """One message of the server; a ``server-message`` goes by its own ``type``."""

    at_s: float
    kind: str
    data: Data


@dataclass
class Log:
    """Every message of a call, oldest first."""

    messages: list[Received] = field(default_factory=list)

    def add(self, at_s: float, text: str | bytes) -> Received | None:
        """Append a message; what is not RTVI is skipped."""
        try:
            raw = json.loads(text)
        except ValueError:
            return None
        if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
            return None
        data = raw.get("data")
        data = data if isinstance(data, dict) else {}
        kind = raw["type"]
        if kind == "server-message" and isinstance(data.get("type"), str):
            kind = data["type"]
        received = Received(at_s, kind, data)
        self.messages.append(received)
        return received

    def of(self, *kinds: str, since_s: float = -math.inf) -> Iterator[Received]:
        """Yield the messages of these kinds from ``since_s`` on."""
        return (each for each in self.messages if each.at_s >= since_s and each.kind in kinds)

    def first(self, *kinds: str, since_s: float = -math.inf) -> Received | None:
        """Return the first message of these kinds from ``since_s`` on."""
        return next(self.of(*kinds, since_s=since_s), None)

    def last(self, *kinds: str, since_s: float = -math.inf) -> Received | None:
        """Return the latest message of these kinds from ``since_s`` on."""
        return max(self.of(*kinds, since_s=since_s), key=lambda each: each.at_s, default=None)

    def user_words(self, since_s: float) -> str:
        """Return what the server took the caller to have said since."""
        turns: dict[Any, str] = {}
        for each in self.of("user-turn", since_s=since_s):  # told again when it was corrected
            turns[each.data.get("turn")] = str(each.data.get("text", ""))
        if turns:
            return " ".join(filter(None, turns.values()))
        said = self.last("user-transcription", since_s=since_s)
        return str(said.data.get("text", "")) if said else ""

    def agent_words(self, since_s: float) -> str:
        """Return what the agent said since, as the server says it was heard."""
        turns = [str(each.data.get("text", "")) for each in self.of("agent-turn", since_s=since_s)]
        if turns:
            return " ".join(filter(None, turns))
        words = (
            str(each.data.get("text", "")) for each in self.of("bot-tts-text", since_s=since_s)
        )
        return " ".join(filter(None, (each.strip() for each in words)))

    def answer_ended(self, since_s: float) -> bool:
        """Whether the server says that an answer begun since is over."""
        ended = self.last("agent-turn", "bot-stopped-speaking", since_s=since_s)
        resumed = self.last("bot-started-speaking", since_s=since_s)
        thinking = self.last("state", since_s=since_s)
        if ended is None or (resumed is not None and resumed.at_s > ended.at_s):
            return False
        return thinking is None or thinking.data.get("state") != "thinking"
