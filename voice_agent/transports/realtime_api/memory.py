"""The conversation's memory where the client can see and change it: a ledger made of items.

The turn engine writes what it decides; the client adds, deletes and truncates; the language model
is told what is there when it is asked. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voice_agent.transports.realtime_api.items import Item, Items
from voice_agent.turns.ledger import Draft, Ledger, Message, answered_calls, result_message


@dataclass(frozen=True, slots=True)
class Terms:
    """What one response is made from where that differs from the session's."""

    instructions: str | None = None
    messages: tuple[Message, ...] | None = None
    """In place of the conversation."""


class ItemLedger(Ledger):
    """The memory of one conversation; see the module's docstring.

    What was heard of an answer is not taken from the turn engine but from the answer's item, whose
    words the client may truncate.
    """

    def __init__(self, system: str, items: Items) -> None:
        super().__init__(system)
        self.items = items
        self.terms: dict[int, Terms] = {}
        """By the turn of the response they are for."""
        self._first = Item("", "function_call_output")
        """Stands in front of all items: what was done before there were any."""

    def messages(self) -> list[Message]:
        """Return everything remembered, the instructions first."""
        return [self._system(None), *self._done_first(None), *self.items.messages()]

    def provisional(self, draft: Draft) -> list[Message]:
        """Return what the answer in the making is told."""
        turn = draft.tag.turn
        terms = self.terms.get(turn, Terms())
        if terms.messages is not None:
            known: list[Message] = list(terms.messages)
        else:
            known = [*self._done_first(turn), *self.items.messages(without_turn=turn)]
        said: list[Message] = [{"role": "user", "content": draft.text}] if draft.text else []
        return [self._system(terms.instructions), *known, *said, *answered_calls(draft.items)]

    def commit(self, draft: Draft, text: str) -> None:
        """Remember a decided turn; the client knows its item already."""
        turn = draft.tag.turn
        self._forget_done(turn)
        item = self.items.user_turn(turn)
        if item is not None:
            item.text = text
        else:
            item = self.items.last() or self._first
        item.done.append((turn, draft.items))

    def forget(self, turn: int) -> None:
        """Forget what was done for a turn that goes on; its item is the client's affair."""
        self._forget_done(turn)

    def correct(self, turn: int, text: str) -> None:
        """Replace a turn's words by a better transcript that came late."""
        item = self.items.user_turn(turn)
        if item is not None:
            item.text = text

    def heard(self, turn: int, text: str, *, interrupted: bool) -> None:
        """Nothing to note: the answer's item knows."""

    def add_result(self, turn: int, call_id: str, result: Any) -> None:
        """Add the result of a tool call that came when its answer was already cut off."""
        for item in (self._first, *self.items):
            for of, done in item.done:
                if of == turn:
                    done.append(result_message(call_id, result))

    @property
    def last_turn(self) -> int:
        """Number of the latest turn; 0 when there was none."""
        return max((item.turn for item in self.items if item.turn is not None), default=0)

    @property
    def last_said(self) -> str:
        """What was last heard of the agent."""
        answers = [item.text for item in self.items if item.role == "assistant" and item.text]
        return answers[-1] if answers else ""

    def _system(self, instructions: str | None) -> Message:
        return {"role": "system", "content": self.system if instructions is None else instructions}

    def _done_first(self, without_turn: int | None) -> list[Message]:
        done = (each for turn, each in self._first.done if turn != without_turn)
        return [message for each in done for message in answered_calls(each)]

    def _forget_done(self, turn: int) -> None:
        for item in (self._first, *self.items):
            item.done = [(of, done) for of, done in item.done if of != turn]
