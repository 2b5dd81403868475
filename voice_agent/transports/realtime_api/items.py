"""A conversation's items in their order: what client and server agree was said and done. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from openai.types import realtime as api

from voice_agent.transports.realtime_api.refusals import Refused, no_item, unsupported
from voice_agent.turns.ledger import answered_calls

Message = dict[str, Any]
Status = Literal["completed", "incomplete", "in_progress"]
Role = Literal["user", "assistant", "system", ""]


@dataclass(slots=True)
class Item:
    """A message, a function call, or its output."""

    id: str
    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Role = ""
    spoken: bool = False
    """A message that was audio: its words are a transcript."""
    text: str | None = None
    """The words; None while they are not known, or where the client does not want to know."""
    status: Status = "completed"
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    turn: int | None = None
    """The turn of ours that it belongs to; None for what the client brought in."""
    words: list[tuple[str, float]] = field(default_factory=list)
    """Words heard of a spoken answer, and where in its audio each began, ms."""
    audio_ms: float = 0.0
    """Audio sent of a spoken answer."""
    done: list[tuple[int, list[Message]]] = field(default_factory=list)
    """Tools of ours that ran right after it: the turn they ran for, and the calls and results as a
    language model is told them. Clients do not see them."""

    @property
    def cut(self) -> bool:
        """Whether it is an answer that was broken off."""
        return self.role == "assistant" and self.status == "incomplete"

    def model(self, *, shown: bool = True) -> api.ConversationItem:
        """Return it as the API writes it; ``shown``: with the transcript of what the user said."""
        common = {"id": self.id, "object": "realtime.item", "status": self.status}
        model: api.ConversationItem
        match self.type:
            case "function_call":
                return api.RealtimeConversationItemFunctionCall.model_validate(
                    {
                        **common,
                        "type": "function_call",
                        "name": self.name,
                        "call_id": self.call_id,
                        "arguments": self.arguments,
                    }
                )
            case "function_call_output":
                return api.RealtimeConversationItemFunctionCallOutput.model_validate(
                    {
                        **common,
                        "type": "function_call_output",
                        "call_id": self.call_id,
                        "output": self.output,
                    }
                )
            case "message":
                content = self._content(shown)
                message = {**common, "type": "message", "role": self.role, "content": content}
                model = _MESSAGES[self.role].model_validate(message)
                return model

    def _content(self, shown: bool) -> list[dict[str, Any]]:
        if self.spoken and self.role == "user":
            return [{"type": "input_audio", "transcript": self.text if shown else None}]
        if self.text is None:
            return []
        if self.role == "assistant":
            if self.spoken:
                return [{"type": "output_audio", "transcript": self.text}]
            return [{"type": "output_text", "text": self.text}]
        return [{"type": "input_text", "text": self.text}]


_MESSAGES: dict[str, type[Any]] = {
    "system": api.RealtimeConversationItemSystemMessage,
    "user": api.RealtimeConversationItemUserMessage,
    "assistant": api.RealtimeConversationItemAssistantMessage,
}


def brought(model: Any, item_id: str, at: str) -> Item:
    """Return an item that a client brings in as ours; ``at`` is its path. Raises Refused."""
    match model.type:
        case "function_call":
            return Item(
                item_id,
                "function_call",
                call_id=model.call_id or item_id,
                name=model.name,
                arguments=model.arguments,
            )
        case "function_call_output":
            return Item(item_id, "function_call_output", call_id=model.call_id, output=model.output)
        case _:
            texts = [
                _text(part, model.role, f"{at}.content[{index}]")
                for index, part in enumerate(model.content)
            ]
            return Item(item_id, role=model.role, text="\n".join(texts))


def _text(part: Any, role: str, at: str) -> str:
    if part.type in ("input_audio", "output_audio"):
        if part.transcript:
            return str(part.transcript)
        raise unsupported(f"{at}.type", "Audio in items (append it to the input audio buffer) is")
    if part.type == "input_image":
        raise unsupported(f"{at}.type", "Image input is")
    wanted = "output_text" if role == "assistant" else "input_text"
    if part.type not in (wanted, None):
        raise Refused("invalid_value", f"Invalid value: '{part.type}'.", f"{at}.type")
    if part.text is None:
        raise Refused("missing_required_parameter", f"Missing '{at}.text'.", f"{at}.text")
    return str(part.text)


class Items:
    """The conversation's items in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, item_id: str) -> Item | None:
        """Return the item called ``item_id``, if there is one."""
        return next((item for item in self._items if item.id == item_id), None)

    def last(self) -> Item | None:
        """Return the last item, if there is one."""
        return self._items[-1] if self._items else None

    def get(self, item_id: str, action: str) -> Item:
        """Return the item called ``item_id``; raises Refused, naming the ``action``."""
        item = self.find(item_id)
        if item is None:
            raise no_item(action, item_id)
        return item

    def before(self, item: Item) -> str | None:
        """Return the id of the item in front of ``item``."""
        index = self._items.index(item)
        return self._items[index - 1].id if index else None

    def add(self, item: Item, after: str | None = None) -> None:
        """Add an item at the end, or behind the one called ``after`` ("root": in front of all).

        Raises:
            Refused: There is no item ``after``, or one with this id already.
        """
        if self.find(item.id) is not None:
            message = "Error adding item: an item with this id already exists."
            raise Refused("item_create_duplicate_item_id", message, "item.id")
        if after is None:
            self._items.append(item)
        elif after == "root":
            self._items.insert(0, item)
        else:
            ids = [each.id for each in self._items]
            if after not in ids:
                raise Refused(
                    "item_create_invalid_previous_item_id",
                    "Error adding item: the previous item does not exist.",
                    "previous_item_id",
                )
            self._items.insert(ids.index(after) + 1, item)

    def remove(self, item: Item) -> None:
        """Take an item out."""
        self._items.remove(item)

    def called(self, call_id: str) -> bool:
        """Whether a function call of this id was made."""
        return any(i.type == "function_call" and i.call_id == call_id for i in self._items)

    def user_turn(self, turn: int) -> Item | None:
        """Return what the user said in a turn of ours."""
        return next((i for i in self._items if i.turn == turn and i.role == "user"), None)

    def messages(self, *, without_turn: int | None = None) -> list[Message]:
        """Return the conversation as a language model is told it.

        A call is followed by its output wherever that came in, and a call without one is left out:
        model servers refuse anything else.
        """
        outputs = {i.call_id: i for i in self._items if i.type == "function_call_output"}
        said: list[Message] = []
        for item in self._items:
            if item.turn is None or item.turn != without_turn:
                said += messages_of(item, outputs)
            for turn, done in item.done:
                said += answered_calls(done) if turn != without_turn else []
        return said


def messages_of(item: Item, outputs: dict[str, Item]) -> list[Message]:
    """Return an item as a language model is told it, a call together with its output."""
    match item.type:
        case "function_call" if item.call_id in outputs:
            function = {"name": item.name, "arguments": item.arguments or "{}"}
            call = {"id": item.call_id, "type": "function", "function": function}
            output = outputs[item.call_id].output
            return [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": item.call_id, "content": output},
            ]
        case "message" if item.text:
            return [{"role": item.role, "content": item.text + (" —" if item.cut else "")}]
        case _:
            return []
