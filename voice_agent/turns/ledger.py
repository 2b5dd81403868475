"""What the conversation remembers: decided turns, what was heard of each answer, and drafts.

Nothing unconfirmed gets in: an answer in the making works on a ``Draft`` that is attached to its
turn when the turn is decided, and is forgotten otherwise. Of an answer only what was played is
kept. Messages are OpenAI-style dicts, what every engine's context is made of. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voice_agent.turns.events import Tag

Message = dict[str, Any]


@dataclass(slots=True)
class Draft:
    """An answer in the making: the words it answers and the tool calls made for it."""

    tag: Tag
    text: str
    """The user's words; empty for the greeting."""
    items: list[Message] = field(default_factory=list)
    """Tool calls and their results, in order."""
    calls: set[str] = field(default_factory=set)
    """Tool calls without a result yet."""
    aloud: bool = True
    """It is spoken; otherwise its words are all there is of it."""
    handed_over: bool = False
    """Tool calls went to the client, who brings their results in a later turn."""
    rounds: int = 0
    """LLM rounds started."""
    rounds_ended: int = 0
    fallback: bool = False
    """The other language model makes it."""

    @property
    def complete(self) -> bool:
        """Whether every round started has been synthesized and no call is out."""
        return self.rounds_ended >= self.rounds and not self.calls


@dataclass(slots=True)
class Exchange:
    """A decided turn: what the user said, what was done, what was heard of the answer."""

    turn: int
    text: str
    items: list[Message] = field(default_factory=list)
    heard: str = ""
    interrupted: bool = False

    @property
    def waits(self) -> bool:
        """Whether a tool that was called for it has not told its result."""
        return len(answered_calls(self.items)) < len(self.items)

    def messages(self) -> list[Message]:
        """Return the exchange as a language model is told it."""
        said: list[Message] = [{"role": "user", "content": self.text}] if self.text else []
        said += answered_calls(self.items)
        if self.heard:
            cut = " —" if self.interrupted else ""
            said.append({"role": "assistant", "content": self.heard + cut})
        return said


def answered_calls(items: list[Message]) -> list[Message]:
    """Drop calls that never got a result: every model server refuses a context with one."""
    answered = {item["tool_call_id"] for item in items if item["role"] == "tool"}
    kept = []
    for item in items:
        if item["role"] == "tool" or item["tool_calls"][0]["id"] in answered:
            kept.append(item)
    return kept


class Ledger:
    """The memory of one conversation."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.summary = ""
        """What was said before the exchanges that are remembered word for word."""
        self.exchanges: list[Exchange] = []

    def messages(self) -> list[Message]:
        """Return everything remembered, the system prompt first.

        From one turn to the next only the end changes: what a server has read of it, it need not
        read again. Behind the last answer it is new; of an answer that was cut short, the end.
        """
        return [
            *self._beginning(),
            *(message for exchange in self.exchanges for message in exchange.messages()),
        ]

    def provisional(self, draft: Draft) -> list[Message]:
        """Return what the answer in the making is told: everything remembered, then the draft."""
        said: list[Message] = [{"role": "user", "content": draft.text}] if draft.text else []
        known = [exchange for exchange in self.exchanges if exchange.turn != draft.tag.turn]
        return [
            *self._beginning(),
            *(message for exchange in known for message in exchange.messages()),
            *said,
            *answered_calls(draft.items),
        ]

    def commit(self, draft: Draft, text: str) -> None:
        """Remember a decided turn; the draft's later tool calls become part of it."""
        self.forget(draft.tag.turn)
        self.exchanges.append(Exchange(draft.tag.turn, text, draft.items))

    def forget(self, turn: int) -> None:
        """Forget a turn that turned out to go on before anything of its answer was heard."""
        self.exchanges = [exchange for exchange in self.exchanges if exchange.turn != turn]

    def correct(self, turn: int, text: str) -> None:
        """Replace a turn's words by a better transcript that came late."""
        for exchange in self.exchanges:
            if exchange.turn == turn:
                exchange.text = text

    def heard(self, turn: int, text: str, *, interrupted: bool) -> None:
        """Note what was heard of a turn's answer, all of it so far."""
        for exchange in self.exchanges:
            if exchange.turn == turn:
                exchange.heard, exchange.interrupted = text, interrupted

    def add_result(self, turn: int, call_id: str, result: Any) -> None:
        """Add the result of a tool call that came when its answer was already cut off."""
        for exchange in self.exchanges:
            if exchange.turn == turn:
                exchange.items.append(result_message(call_id, result))

    def surplus(self, most: int, left: int) -> list[Exchange]:
        """Return the oldest exchanges beyond ``left``, if there are more than ``most`` of them.

        One that waits for a tool's result is not among them, nor what came after it.
        """
        if most == 0 or len(self.exchanges) <= most:
            return []
        oldest = self.exchanges[: len(self.exchanges) - left]
        waiting = (n for n, exchange in enumerate(oldest) if exchange.waits)
        return oldest[: next(waiting, len(oldest))]

    def sum_up(self, exchanges: list[Exchange], summary: str) -> None:
        """Take exchanges out; ``summary`` tells them, and what an earlier one told."""
        gone = {exchange.turn for exchange in exchanges}
        self.exchanges = [each for each in self.exchanges if each.turn not in gone]
        self.summary = summary

    def _beginning(self) -> list[Message]:
        said: list[Message] = [{"role": "system", "content": self.system}]
        if self.summary:
            # Not in the system prompt, which templates write in front of the tools: those, too,
            # would have to be read again.
            said.append({"role": "user", "content": f"(What was said before: {self.summary})"})
        return said

    @property
    def last_turn(self) -> int:
        """Number of the latest turn; 0 when there was none."""
        return max((exchange.turn for exchange in self.exchanges), default=0)

    @property
    def last_said(self) -> str:
        """What was last heard of the agent: what the user's words are an answer to."""
        return next((e.heard for e in reversed(self.exchanges) if e.heard), "")


def call_message(call_id: str, name: str, arguments: Mapping[str, Any]) -> Message:
    """Return the assistant's message of one tool call."""
    function = {"name": name, "arguments": json.dumps(dict(arguments), ensure_ascii=False)}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result_message(call_id: str, result: Any) -> Message:
    """Return the message that tells a tool's result."""
    content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return {"role": "tool", "tool_call_id": call_id, "content": content}
