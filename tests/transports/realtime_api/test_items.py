"""The conversation's items, and calls of the client's tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transports.realtime_api.sides import Sides, error
from voice_agent.transports.realtime_api.outputs import Wishes
from voice_agent.turns.playout import PlayedOut

# ----- items -----


def test_items_can_be_put_anywhere_and_taken_out() -> None:
    sides = Sides()
    first = sides.write("one")
    sides.write("three")
    sides.write("two", previous_item_id=first)
    sides.write("You speak in rhymes.", role="system", previous_item_id="root")
    sides.write("zero", role="assistant", previous_item_id="root")
    assert [text for _, text in sides.messages()] == [
        "zero",
        "You speak in rhymes.",
        "one",
        "two",
        "three",
    ]
    [deleted] = sides.send("conversation.item.delete", item_id=first)
    assert deleted == {
        "type": "conversation.item.deleted",
        "event_id": deleted["event_id"],
        "item_id": first,
    }
    assert "one" not in [text for _, text in sides.messages()]


def test_an_item_keeps_the_id_its_client_gave_it() -> None:
    sides = Sides()
    part = {"type": "input_text", "text": "hi"}
    item = {"id": "mine", "type": "message", "role": "user", "content": [part]}
    added, done = sides.send("conversation.item.create", item=item)
    assert added["item"]["id"] == done["item"]["id"] == "mine"
    assert added["previous_item_id"] is None
    refused = error(sides.send("conversation.item.create", item=item))
    assert refused["code"] == "item_create_duplicate_item_id"


@pytest.mark.parametrize(
    ("kind", "fields", "code", "param"),
    [
        ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id", "item_id"),
        (
            "conversation.item.retrieve",
            {"item_id": "x"},
            "item_retrieve_invalid_item_id",
            "item_id",
        ),
        ("conversation.item.delete", {}, "missing_required_parameter", "item_id"),
        ("conversation.item.create", {}, "missing_required_parameter", "item"),
        ("conversation.item.create", {"item": 7}, "invalid_type", "item"),
        ("conversation.item.create", {"item": {}}, "missing_required_parameter", "item.type"),
        ("conversation.item.create", {"item": {"type": "tea"}}, "invalid_value", "item.type"),
        ("nonsense", {}, "invalid_value", "type"),
        ("session.update", {}, "missing_required_parameter", "session"),
        ("session.update", {"session": {}}, "missing_required_parameter", "session.type"),
        ("input_audio_buffer.append", {"audio": "###"}, "invalid_value", "audio"),
        ("input_audio_buffer.append", {"audio": "AAA="}, None, None),
        ("input_audio_buffer.append", {"audio": "AA=="}, "invalid_value", "audio"),
        ("input_audio_buffer.append", {}, "missing_required_parameter", "audio"),
        ("input_audio_buffer.append", {"audio": 5}, "invalid_type", "audio"),
        ("output_audio_buffer.clear", {}, "unsupported_parameter", "type"),
        ("response.create", {"response": {"tools": 1}}, "invalid_type", "response.tools"),
        ("response.create", {"response": {"voice": "x"}}, "unknown_parameter", "response.voice"),
        (
            "response.create",
            {"response": {"conversation": "none"}},
            "unsupported_parameter",
            "response.output_modalities",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_apis_words(
    kind: str, fields: dict[str, Any], code: str | None, param: str | None
) -> None:
    """Code, field and the event it was about."""
    sides = Sides()
    answers = sides.send(kind, event_id="mine", **fields)
    if code is None:
        assert answers == []
        return
    refused = error(answers)
    assert (refused["code"], refused["param"]) == (code, param)
    assert refused["event_id"] == "mine"
    assert refused["type"] == "invalid_request_error"


# ----- the client's tools -----


def test_a_call_goes_to_the_client_and_its_output_comes_back() -> None:
    """The call is an item; the response is over; the output is an item; the next one speaks."""
    sides = Sides()
    tool = {"type": "function", "name": "weather", "description": "Tells the weather."}
    sides.update(tools=[tool])
    assert sides.told(Wishes)[-1].tools[0]["name"] == "weather"
    tag = sides.speak("what is the weather")
    since = len(sides.events)
    sides._note(sides.following.called(tag, "call_1", "weather", '{"city": "Rome"}'))
    sides.decide(PlayedOut(tag, ""))
    assert sides.kinds(since) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    [call] = sides.last("response.done")["response"]["output"]
    assert (call["type"], call["name"], call["call_id"]) == ("function_call", "weather", "call_1")
    assert sides.messages() == [("user", "what is the weather")], "not without its output"
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"sky": "blue"}'}
    sides.send("conversation.item.create", item=output)
    sides.send("response.create")
    assert sides.messages() == [
        ("user", "what is the weather"),
        ("assistant", None),
        ("tool", '{"sky": "blue"}'),
    ]


def test_an_output_to_a_call_nobody_made_is_refused() -> None:
    sides = Sides()
    output = {"type": "function_call_output", "call_id": "call_9", "output": "{}"}
    refused = error(sides.send("conversation.item.create", item=output))
    assert refused["code"] == "invalid_tool_call_id"


def test_a_call_whose_output_comes_late_still_stands_before_it() -> None:
    """The user goes on meanwhile: model servers want call and output together."""
    sides = Sides()
    tag = sides.speak("what is the weather")
    sides._note(sides.following.called(tag, "call_1", "weather", "{}"))
    sides.decide(PlayedOut(tag, ""))
    sides.speak("hello?", turn=2, began_ms=9000.0)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    sides.send("conversation.item.create", item=output)
    assert [role for role, _ in sides.messages()] == ["user", "assistant", "tool", "user"]
