"""One response, from ``response.created`` to ``response.done``: the events in between, in order.

Pure: each method returns the events that what has happened means to the client. Audio is told as
it is sent and the transcript as it is heard, so that an interrupted response says what was heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from openai.types import realtime as api
from pydantic import BaseModel

from voice_agent.transports.realtime_api.items import Item, Items
from voice_agent.turns.events import Tag

Ended = Literal["completed", "cancelled", "failed", "incomplete"]
Events = list[BaseModel]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a response is made, where one is asked for in particular."""

    aloud: bool
    format: dict[str, Any]
    voice: str
    metadata: dict[str, str] | None = None
    in_conversation: bool = True


@dataclass(slots=True)
class Tokens:
    """What a response cost, as far as the language model tells."""

    input: int = 0
    cached: int = 0
    output: int = 0


@dataclass(slots=True)
class Response:
    """An answer as the client sees it; see the module's docstring.

    ``new_id`` makes ids from a prefix. ``items`` gets what is said, unless it is beside the
    conversation.
    """

    id: str
    manner: Manner
    conversation_id: str
    items: Items
    new_id: Callable[[str], str]
    tag: Tag | None = None
    """The answer of ours that it is; None while that has not begun."""
    output: list[Item] = field(default_factory=list)
    message: Item | None = None
    """The message under way."""
    tokens: Tokens = field(default_factory=Tokens)
    _again: str = ""
    """The last word heard, which is heard once more."""
    recited: bool = False
    """It is a line that was written beforehand, not by a language model."""

    def created(self) -> Events:
        """It has begun."""
        model = self._model("in_progress")
        return [self._event(api.ResponseCreatedEvent, "response.created", response=model)]

    def audio(self, encoded: str, ms: float) -> Events:
        """Audio is sent: ``ms`` of it, as base64."""
        events, message = self._open()
        message.audio_ms += ms
        place = self._place(message)
        kind = "response.output_audio.delta"
        return [*events, self._event(api.ResponseAudioDeltaEvent, kind, delta=encoded, **place)]

    def heard(self, words: str, in_flight_ms: float) -> Events:
        """Words were heard; ``in_flight_ms`` of the audio sent was not by then."""
        events, message = self._open()
        again, self._again = self._again, ""
        first, _, rest = words.partition(" ")
        if again and again == first:
            words = rest
        if not words:
            return events
        delta = f" {words}" if message.text else words
        message.text = (message.text or "") + delta
        at_ms = max(0.0, message.audio_ms - in_flight_ms)
        message.words += [(word, at_ms) for word in words.split()]
        kind = "response.output_audio_transcript.delta"
        place = self._place(message)
        return [
            *events,
            self._event(api.ResponseAudioTranscriptDeltaEvent, kind, delta=delta, **place),
        ]

    def paused(self) -> None:
        """The voice was paused, and goes on from the last word: that is not said twice."""
        if self.message is not None and self.message.words:
            self._again = self.message.words[-1][0]

    def text(self, delta: str) -> Events:
        """The language model wrote something that is only read."""
        if self.message is None:
            delta = delta.lstrip()
        if not delta:
            return []
        events, message = self._open()
        message.text = (message.text or "") + delta
        place = self._place(message)
        kind = "response.output_text.delta"
        return [*events, self._event(api.ResponseTextDeltaEvent, kind, delta=delta, **place)]

    def call(self, call_id: str, name: str, arguments: str) -> Events:
        """The language model calls a function of the client's."""
        item = Item(self.new_id("item"), "function_call", status="in_progress")
        item.call_id, item.name = call_id, name
        item.turn = self.tag.turn if self.tag is not None else None
        events = self._add(item)
        item.arguments = arguments
        place = self._place(item)
        del place["content_index"]
        delta, done = (
            (api.ResponseFunctionCallArgumentsDeltaEvent, {"delta": arguments}),
            (api.ResponseFunctionCallArgumentsDoneEvent, {"arguments": arguments, "name": name}),
        )
        kind = "response.function_call_arguments"
        for (model, fields), end in ((delta, "delta"), (done, "done")):
            events.append(self._event(model, f"{kind}.{end}", call_id=call_id, **fields, **place))
        return [*events, *self._finish(item, "completed")]

    def done(self, status: Ended, reason: str | None = None, error: str = "") -> Events:
        """It is over; ``error`` says what failed."""
        events: Events = []
        if self.message is not None:
            events = self._close(self.message, complete=status == "completed")
        details: dict[str, Any] | None = None
        if status != "completed":
            details = {"type": status}
            if reason is not None:
                details["reason"] = reason
            if error:
                details["error"] = {"type": "server_error", "code": "answer_failed"}
                details["error"]["message"] = error
        model = self._model(status, details)
        return [*events, self._event(api.ResponseDoneEvent, "response.done", response=model)]

    # ----- within -----

    def _open(self) -> tuple[Events, Item]:
        if self.message is not None:
            return [], self.message
        spoken = self.manner.aloud
        item = Item(self.new_id("item"), role="assistant", spoken=spoken, status="in_progress")
        item.turn = self.tag.turn if self.tag is not None else None
        self.message = item
        events = self._add(item)
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        kind = "response.content_part.added"
        place = self._place(item)
        events.append(self._event(api.ResponseContentPartAddedEvent, kind, part=part, **place))
        return events, item

    def _add(self, item: Item) -> Events:
        self.output.append(item)
        kind = "response.output_item.added"
        place = {"response_id": self.id, "output_index": len(self.output) - 1}
        added = self._event(api.ResponseOutputItemAddedEvent, kind, item=item.model(), **place)
        if not self.manner.in_conversation:
            return [added]
        self.items.add(item)
        return [added, self._item_event(api.ConversationItemAdded, "added", item)]

    def _close(self, item: Item, *, complete: bool) -> Events:
        """End a message: what was sent of it, then what it is in the end."""
        place = self._place(item)
        words = item.text or ""
        events: Events = []
        if item.spoken:
            kind = "response.output_audio"
            events.append(self._event(api.ResponseAudioDoneEvent, f"{kind}.done", **place))
            kind += "_transcript.done"
            transcript = api.ResponseAudioTranscriptDoneEvent
            events.append(self._event(transcript, kind, transcript=words, **place))
            part = {"type": "audio", "transcript": words}
        else:
            kind = "response.output_text.done"
            events.append(self._event(api.ResponseTextDoneEvent, kind, text=words, **place))
            part = {"type": "text", "text": words}
        kind = "response.content_part.done"
        events.append(self._event(api.ResponseContentPartDoneEvent, kind, part=part, **place))
        self.message = None
        return [*events, *self._finish(item, "completed" if complete else "incomplete")]

    def _finish(self, item: Item, status: Literal["completed", "incomplete"]) -> Events:
        item.status = status
        place = {"response_id": self.id, "output_index": self.output.index(item)}
        kind = "response.output_item.done"
        done = self._event(api.ResponseOutputItemDoneEvent, kind, item=item.model(), **place)
        if not self.manner.in_conversation or self.items.find(item.id) is None:
            return [done]
        return [self._item_event(api.ConversationItemDone, "done", item), done]

    def _item_event(self, model: type[BaseModel], end: str, item: Item) -> BaseModel:
        return self._event(
            model,
            f"conversation.item.{end}",
            item=item.model(),
            previous_item_id=self.items.before(item),
        )

    def _place(self, item: Item) -> dict[str, Any]:
        return {
            "response_id": self.id,
            "item_id": item.id,
            "output_index": self.output.index(item),
            "content_index": 0,
        }

    def _event(self, model: type[BaseModel], kind: str, **fields: Any) -> BaseModel:
        return model(type=kind, event_id=self.new_id("event"), **fields)

    def _model(self, status: str, details: dict[str, Any] | None = None) -> api.RealtimeResponse:
        return api.RealtimeResponse.model_validate(
            {
                "id": self.id,
                "object": "realtime.response",
                "status": status,
                "status_details": details,
                "output": [item.model() for item in self.output],
                "conversation_id": self.conversation_id if self.manner.in_conversation else None,
                "output_modalities": ["audio" if self.manner.aloud else "text"],
                "max_output_tokens": "inf",
                "audio": {"output": {"format": self.manner.format, "voice": self.manner.voice}},
                "usage": None if status == "in_progress" else self._usage(),
                "metadata": self.manner.metadata,
            }
        )

    def _usage(self) -> dict[str, Any]:
        tokens = self.tokens
        return {
            "total_tokens": tokens.input + tokens.output,
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "input_token_details": {
                "text_tokens": tokens.input,
                "audio_tokens": 0,
                "image_tokens": 0,
                "cached_tokens": tokens.cached,
            },
            "output_token_details": {"text_tokens": tokens.output, "audio_tokens": 0},
        }
