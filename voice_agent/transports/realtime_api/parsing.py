"""Client events as they come in: JSON of strangers becomes the API's own models, or a refusal.

The models allow what they do not know; the API does not, and a misspelt field that is silently
ignored is the hardest mistake to find, so it is refused here too. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from openai.types import realtime as api
from pydantic import BaseModel, ValidationError

from voice_agent.transports.realtime_api.refusals import (
    Refused,
    invalid,
    missing,
    not_one_of,
    unknown,
    unsupported,
)

ClientEvent = (
    api.ConversationItemCreateEvent
    | api.ConversationItemDeleteEvent
    | api.ConversationItemRetrieveEvent
    | api.ConversationItemTruncateEvent
    | api.InputAudioBufferAppendEvent
    | api.InputAudioBufferClearEvent
    | api.InputAudioBufferCommitEvent
    | api.OutputAudioBufferClearEvent
    | api.ResponseCancelEvent
    | api.ResponseCreateEvent
    | api.SessionUpdateEvent
)
ModelT = TypeVar("ModelT", bound=BaseModel)

_EVENTS: dict[str, type[Any]] = {
    "conversation.item.create": api.ConversationItemCreateEvent,
    "conversation.item.delete": api.ConversationItemDeleteEvent,
    "conversation.item.retrieve": api.ConversationItemRetrieveEvent,
    "conversation.item.truncate": api.ConversationItemTruncateEvent,
    "input_audio_buffer.append": api.InputAudioBufferAppendEvent,
    "input_audio_buffer.clear": api.InputAudioBufferClearEvent,
    "input_audio_buffer.commit": api.InputAudioBufferCommitEvent,
    "output_audio_buffer.clear": api.OutputAudioBufferClearEvent,
    "response.cancel": api.ResponseCancelEvent,
    "response.create": api.ResponseCreateEvent,
    "session.update": api.SessionUpdateEvent,
}
_MESSAGES: dict[str, type[BaseModel]] = {
    "system": api.RealtimeConversationItemSystemMessage,
    "user": api.RealtimeConversationItemUserMessage,
    "assistant": api.RealtimeConversationItemAssistantMessage,
}
_CALLS: dict[str, type[BaseModel]] = {
    "function_call": api.RealtimeConversationItemFunctionCall,
    "function_call_output": api.RealtimeConversationItemFunctionCallOutput,
}
_SHOWN_TYPES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "a boolean",
    "bool_parsing": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def event_id_of(message: Any) -> str | None:
    """Return the id a client gave its event, for the error that answers it."""
    event_id = message.get("event_id") if isinstance(message, Mapping) else None
    return event_id[:512] if isinstance(event_id, str) else None


def load(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in ``text``; raises Refused."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("invalid_json", "The event is not valid JSON.") from None
    if not isinstance(message, dict):
        raise Refused("invalid_event", "An event must be a JSON object.")
    return message


def client_event(message: dict[str, Any]) -> ClientEvent:
    """Return a client event as the API's model; raises Refused."""
    kind = message.get("type")
    if kind is None:
        raise missing("type")
    if not isinstance(kind, str) or kind not in _EVENTS:
        raise not_one_of("type", kind, sorted(_EVENTS))
    if kind == "session.update":
        session(message.get("session"), "session")
    elif kind == "conversation.item.create":
        item(message.get("item"), "item")
    elif kind == "response.create" and isinstance(message.get("response"), dict):
        message = dict(message)
        message["response"] = {k: v for k, v in message["response"].items() if k != "input"}
    event: ClientEvent = validated(_EVENTS[kind], message, "")
    return event


def session(value: Any, at: str) -> api.RealtimeSessionCreateRequest:
    """Return the session a client wants, ``at`` its path; raises Refused."""
    _object(value, at)
    if value.get("type") == "transcription":
        raise unsupported(f"{at}.type", "Transcription sessions are")
    return validated(api.RealtimeSessionCreateRequest, value, at)


def item(value: Any, at: str) -> BaseModel:
    """Return an item of a conversation, ``at`` its path; raises Refused."""
    _object(value, at)
    kind = value.get("type")
    if kind is None:
        raise missing(f"{at}.type")
    if kind == "message":
        role = value.get("role")
        if role is None:
            raise missing(f"{at}.role")
        if role not in _MESSAGES:
            raise not_one_of(f"{at}.role", role, sorted(_MESSAGES))
        return validated(_MESSAGES[role], value, at)
    if isinstance(kind, str) and kind.startswith("mcp_"):
        raise unsupported(f"{at}.type", "MCP items are")
    if not isinstance(kind, str) or kind not in _CALLS:
        raise not_one_of(f"{at}.type", kind, ["message", *sorted(_CALLS)])
    return validated(_CALLS[kind], value, at)


def validated(model: type[ModelT], value: Any, at: str) -> ModelT:
    """Return ``value`` as ``model`` if nothing in it is wrong or unknown; raises Refused."""
    try:
        parsed = model.model_validate(value)
    except ValidationError as error:
        raise _refusal(error, value, at) from None
    for path in _extras(parsed):
        raise unknown(_join(at, path))
    return parsed


def _object(value: Any, at: str) -> None:
    if value is None:
        raise missing(at)
    if not isinstance(value, dict):
        raise Refused("invalid_type", f"Invalid type for '{at}': expected an object.", at)


def _extras(value: Any, path: str = "") -> Iterable[str]:
    """Yield the paths of fields that no model knows."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or ():
            yield _join(path, name[:64])
        for name in value.model_fields_set & type(value).model_fields.keys():
            yield from _extras(getattr(value, name), _join(path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _extras(each, f"{path}[{index}]")


def _join(at: str, path: str) -> str:
    return f"{at}.{path}" if at and path else at or path


def _refusal(error: ValidationError, value: Any, at: str) -> Refused:
    """Return the first mistake as the API would say it."""
    # Of the branches of a union, the one that got furthest says most.
    found = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))
    path, _ = _walk(value, found["loc"])
    param = _join(at, path)
    kind = found["type"]
    if kind == "missing":
        return missing(_join(param, str(found["loc"][-1])))
    if kind == "literal_error":
        allowed = found["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return not_one_of(param, found["input"], allowed)
    if kind in _SHOWN_TYPES:
        message = f"Invalid type for '{param}': expected {_SHOWN_TYPES[kind]}."
        return Refused("invalid_type", message, param)
    return invalid(param, found["msg"])


def _walk(value: Any, loc: tuple[int | str, ...]) -> tuple[str, Any]:
    """Return the path of ``loc`` in ``value``: names of union branches are no part of it."""
    path = ""
    for part in loc:
        if isinstance(part, int) and isinstance(value, list) and part < len(value):
            path, value = f"{path}[{part}]", value[part]
        elif isinstance(part, str) and isinstance(value, dict) and part in value:
            path, value = _join(path, part), value[part]
    return path, value
