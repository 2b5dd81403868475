"""The realtime API without a network: what a client's events do, and what it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.realtime_api.sides import TRANSCRIBED, Sides
from voice_agent.transports.realtime_api.outputs import Aside, Clear, Commit, Hear, Tell, Wishes
from voice_agent.turns.events import (
    Apologise,
    Audible,
    Committed,
    Configured,
    Drop,
    Duck,
    Failed,
    Greet,
    Greeting,
    NoTurn,
    Release,
    Remember,
    Resume,
    Retract,
    Silenced,
    Stop,
    Tag,
    Tick,
    Typed,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.ledger import Draft
from voice_agent.turns.playout import PlayedOut, WordsPlayed
from voice_agent.turns.state import Agent, User


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    [event] = events
    assert event["type"] == "error"
    return dict(event["error"])


# ----- a spoken turn -----


def test_a_spoken_turn_and_its_answer_are_told_in_the_apis_order() -> None:
    """From the voice to response.done, each event once and in its place."""
    sides = Sides()
    sides.update(**TRANSCRIBED)
    since = len(sides.events)
    tag = sides.speak("what time do you open")
    sides.sound(tag, "From", "five.")
    sides.play_out(tag)
    assert sides.kinds(since) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = sides.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "From five."}]
    assert sides.messages() == [("user", "what time do you open"), ("assistant", "From five.")]


def test_speech_is_placed_in_the_audio_that_was_appended() -> None:
    """Times count the audio of the buffer, not the clock: here the buffer began at 1 s."""
    sides = Sides()
    sides.speak("hello", began_ms=2000.0)
    assert sides.last("input_audio_buffer.speech_started")["audio_start_ms"] == 1000
    assert sides.last("input_audio_buffer.speech_stopped")["audio_end_ms"] == 2500


def test_server_vad_counts_its_padding_and_its_silence() -> None:
    """As the API defines both times: what the model was given."""
    sides = Sides()
    detection = {"type": "server_vad", "prefix_padding_ms": 200, "silence_duration_ms": 400}
    sides.update(audio={"input": {"turn_detection": detection}})
    sides.speak("hello", began_ms=2000.0)
    assert sides.last("input_audio_buffer.speech_started")["audio_start_ms"] == 800
    assert sides.last("input_audio_buffer.speech_stopped")["audio_end_ms"] == 2900


def test_without_transcription_nobody_is_told_what_was_said() -> None:
    """The words are ours to answer; the client did not ask for them."""
    sides = Sides()
    tag = sides.speak("my name is ann")
    sides.sound(tag, "Hello")
    sides.play_out(tag)
    assert not [kind for kind in sides.kinds() if "transcription" in kind]
    item_id = sides.last("input_audio_buffer.committed")["item_id"]
    [retrieved] = sides.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_a_turn_that_goes_on_is_taken_back_and_comes_again_whole() -> None:
    """No transcript was told of the part; its item is deleted, its response cancelled."""
    sides = Sides()
    sides.update(**TRANSCRIBED)
    tag = sides.speak("a table for four")
    part = sides.last("input_audio_buffer.committed")["item_id"]
    since = len(sides.events)
    sides.decide(VoiceStarted(3700.0), Retract(tag), user=User.SPEAKING)
    assert sides.kinds(since) == [
        "input_audio_buffer.speech_started",
        "response.done",
        "conversation.item.deleted",
    ]
    assert sides.last("response.done")["response"]["status_details"] == {
        "type": "cancelled",
        "reason": "turn_detected",
    }
    assert sides.last("conversation.item.deleted")["item_id"] == part
    again = Tag(1, 2)
    sides.decide(Tick(), Release(again, "a table for four at seven", 5000.0), agent=Agent.OWING)
    sides.sound(again, "Booked.")
    sides.play_out(again)
    transcript = sides.last("conversation.item.input_audio_transcription.completed")["transcript"]
    assert transcript == "a table for four at seven"
    assert sides.messages() == [("user", "a table for four at seven"), ("assistant", "Booked.")]


def test_a_cough_is_told_as_speech_that_came_to_nothing() -> None:
    """Started and stopped; no item, no response."""
    sides = Sides()
    since = len(sides.events)
    sides.decide(VoiceStarted(2000.0), user=User.SPEAKING)
    sides.decide(Tick(), NoTurn())
    assert sides.kinds(since) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    ]
    assert not len(sides.talk.items)


# ----- a voice over the agent's -----


def test_a_backchannel_is_not_told_to_a_client_that_would_stop_for_it() -> None:
    """Clients stop playing at speech_started, so it waits until something is meant."""
    sides = Sides()
    tag = sides.speak("what is on the menu")
    sides.sound(tag, "We", "have")
    since = len(sides.events)
    sides.decide(VoiceStarted(6000.0), Duck(), user=User.SPEAKING, agent=Agent.DUCKED)
    sides.decide(Tick(), Unduck("mm-hm"), agent=Agent.SPEAKING)
    assert sides.kinds(since) == []
    sides.sound(tag, "pizza.")
    sides.play_out(tag)
    assert sides.last("response.done")["response"]["status"] == "completed"


def test_an_interruption_is_told_with_its_onset_and_ends_the_response() -> None:
    """speech_started names when the voice began; what was said is what was heard."""
    sides = Sides()
    tag = sides.speak("what is on the menu")
    sides.sound(tag, "We", "have", "pizza")
    since = len(sides.events)
    sides.decide(VoiceStarted(6000.0), Duck(), user=User.SPEAKING, agent=Agent.DUCKED)
    sides.decide(Tick(), Stop(tag), user=User.SPEAKING, agent=Agent.STOPPED)
    assert sides.kinds(since)[0] == "input_audio_buffer.speech_started"
    assert sides.events[since]["audio_start_ms"] == 5000
    done = sides.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    [item] = done["output"]
    assert item["status"] == "incomplete"
    assert sides.messages()[-1] == ("assistant", "We have pizza —")


def test_an_interruption_that_meant_nothing_goes_on_in_a_new_response() -> None:
    """The client has stopped; the rest comes as another response's audio."""
    sides = Sides()
    tag = sides.speak("what is on the menu")
    sides.sound(tag, "We", "have")
    sides.decide(VoiceStarted(6000.0), Duck(), user=User.SPEAKING, agent=Agent.DUCKED)
    sides.decide(Tick(), Stop(tag), user=User.SPEAKING, agent=Agent.STOPPED)
    first = sides.last("response.done")["response"]["id"]
    sides.decide(Tick(), Resume(tag), agent=Agent.SPEAKING)
    sides.sound(tag, "have", "pizza.")
    sides.play_out(tag)
    done = sides.last("response.done")["response"]
    assert done["id"] != first
    assert done["output"][0]["content"][0]["transcript"] == "have pizza."


def test_the_client_says_what_was_heard_by_truncating() -> None:
    """Words that began after the cut are out of the item and out of the context."""
    sides = Sides()
    tag = sides.speak("what is on the menu")
    sides.sound(tag, "We", "have", "pizza", "today", ms_each=300.0)
    sides.decide(Tick(), Stop(tag), user=User.SPEAKING, agent=Agent.STOPPED)
    item_id = sides.last("response.done")["response"]["output"][0]["id"]
    [truncated] = sides.send(
        "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=550
    )
    assert truncated["type"] == "conversation.item.truncated"
    assert sides.messages()[-1] == ("assistant", "We have —")
    [retrieved] = sides.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"][0]["transcript"] == "We have"


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"audio_end_ms": 99_000}, "invalid_value", "audio_end_ms"),
        ({"audio_end_ms": -1}, "invalid_value", "audio_end_ms"),
        ({"content_index": 1}, "invalid_value", "content_index"),
        ({"item_id": "item_99"}, "item_truncate_invalid_item_id", "item_id"),
    ],
)
def test_what_was_not_said_cannot_be_truncated(
    change: dict[str, Any], code: str, param: str
) -> None:
    """The API's own codes."""
    sides = Sides()
    tag = sides.speak("what is on the menu")
    sides.sound(tag, "We")
    sides.play_out(tag)
    item_id = sides.last("response.done")["response"]["output"][0]["id"]
    wanted = {"item_id": item_id, "content_index": 0, "audio_end_ms": 100} | change
    refused = error(sides.send("conversation.item.truncate", event_id="e1", **wanted))
    assert (refused["code"], refused["param"], refused["event_id"]) == (code, param, "e1")
    assert refused["type"] == "invalid_request_error"


def test_a_users_message_cannot_be_truncated() -> None:
    sides = Sides()
    item_id = sides.write("hello")
    refused = error(
        sides.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    )
    assert refused["code"] == "unsupported_content_type"


# ----- the client asks for answers -----


def test_a_typed_question_is_answered_when_a_response_is_asked_for() -> None:
    """Adding an item answers nothing by itself."""
    sides = Sides()
    sides.write("Where are you?")
    assert sides.told(Tell)[1:] == []
    sides.send("response.create")
    assert sides.told(Tell)[-1] == Tell(Typed(""))
    tag = Tag(1, 1)
    sides.decide(Typed(""), Release(tag, "", 0.0), agent=Agent.OWING)
    sides.sound(tag, "Here.")
    sides.play_out(tag)
    assert sides.kinds().count("response.created") == 1
    assert sides.messages() == [("user", "Where are you?"), ("assistant", "Here.")]


def test_only_one_response_at_a_time_writes_to_the_conversation() -> None:
    sides = Sides()
    sides.write("hello")
    sides.send("response.create")
    refused = error(sides.send("response.create", event_id="again"))
    assert refused["code"] == "conversation_already_has_active_response"
    assert refused["event_id"] == "again"


def test_a_response_to_nothing_is_the_agents_greeting() -> None:
    """A client that has the agent begin gets what a caller would hear."""
    sides = Sides(greeting=True)
    sides.send("response.create")
    assert sides.told(Tell)[-1] == Tell(Greeting())
    tag = Tag(0, 1)
    sides.decide(Greeting(), Greet(tag), agent=Agent.OWING)
    sides.sound(tag, "Good", "evening.")
    sides.play_out(tag)
    assert sides.kinds().count("response.created") == 1
    assert sides.messages() == [("assistant", "Good evening.")]


def test_a_response_can_have_terms_of_its_own() -> None:
    """Instructions, tools and modality hold for one response; then the session's hold again."""
    sides = Sides()
    sides.write("hello")
    tool = {"type": "function", "name": "wave", "parameters": {"type": "object"}}
    sides.send(
        "response.create",
        response={
            "instructions": "Be brief.",
            "tools": [tool],
            "output_modalities": ["text"],
            "metadata": {"topic": "greeting"},
        },
    )
    wishes = sides.told(Wishes)[-1]
    assert wishes.tools[0]["name"] == "wave"
    assert not wishes.aloud
    tag = Tag(1, 1)
    sides.decide(Typed(""), Release(tag, "", 0.0), agent=Agent.OWING)
    told = sides.talk.ledger.provisional(Draft(tag, ""))
    assert told[0] == {"role": "system", "content": "Be brief."}
    sides._note(sides.following.wrote(tag, " Hi"))
    sides.play_out(tag)
    done = sides.last("response.done")["response"]
    assert done["metadata"] == {"topic": "greeting"}
    assert done["output_modalities"] == ["text"]
    wishes = sides.told(Wishes)[-1]
    assert wishes.tools is None
    assert wishes.aloud
    assert sides.talk.ledger.messages()[0]["content"] == "You are the host."


def test_a_response_can_be_made_from_other_items() -> None:
    """``input`` takes the conversation's place for one response; references are looked up."""
    sides = Sides()
    item_id = sides.write("the sky is green")
    sides.write("never mind")
    sides.send(
        "response.create",
        response={
            "input": [
                {"type": "item_reference", "id": item_id},
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Is that so?"}],
                },
            ]
        },
    )
    tag = Tag(1, 1)
    sides.decide(Typed(""), Release(tag, "", 0.0), agent=Agent.OWING)
    told = sides.talk.ledger.provisional(Draft(tag, ""))
    assert [m["content"] for m in told[1:]] == ["the sky is green", "Is that so?"]


def test_an_answer_beside_the_conversation_leaves_no_trace_in_it() -> None:
    """``conversation: none``: its own events, no items."""
    sides = Sides()
    sides.write("hello")
    since = len(sides.events)
    sides.send(
        "response.create",
        response={
            "conversation": "none",
            "output_modalities": ["text"],
            "instructions": "Which language is this?",
        },
    )
    [aside] = sides.told(Aside)
    assert [m["content"] for m in aside.messages] == ["Which language is this?", "hello"]
    sides._note(sides.following.wrote_aside(aside.response_id, "English."))
    done = sides.last("response.done")["response"]
    assert done["status"] == "completed"
    assert done["conversation_id"] is None
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "English."}]
    assert "conversation.item.added" not in sides.kinds(since)
    assert sides.messages() == [("user", "hello")]


def test_an_answer_beside_the_conversation_that_cannot_be_made_has_failed() -> None:
    sides = Sides()
    asked = {"conversation": "none", "output_modalities": ["text"]}
    sides.send("response.create", response=asked)
    [aside] = sides.told(Aside)
    sides._note(sides.following.wrote_aside(aside.response_id, None))
    assert sides.last("response.done")["response"]["status"] == "failed"


def test_cancelling_stops_the_response_that_is_under_way() -> None:
    sides = Sides()
    tag = sides.speak("tell me everything")
    sides.sound(tag, "Well,")
    assert sides.send("response.cancel") == []
    assert sides.told(Tell)[-1] == Tell(Silenced())
    sides.decide(Silenced(), Stop(tag))
    done = sides.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


def test_cancelling_nothing_is_an_error_that_clients_know() -> None:
    sides = Sides()
    refused = error(sides.send("response.cancel", event_id="c"))
    assert refused["code"] == "response_cancel_not_active"


def test_an_answer_that_cannot_be_made_is_a_failed_response() -> None:
    """Asked for once more, apologised for, given up: one response all the while."""
    sides = Sides()
    first = sides.speak("hello")
    again, apology = Tag(1, 2), Tag(1, 3)
    release = Release(again, "hello", 3500.0)
    sides.decide(Failed(first), Drop(first), release, agent=Agent.OWING)
    sides.decide(Failed(again), Drop(again), Apologise(apology), agent=Agent.OWING)
    assert "response.done" not in sides.kinds()
    sides.decide(Failed(apology), Drop(apology))
    assert sides.kinds().count("response.created") == 1
    done = sides.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["type"] == "server_error"


def test_words_of_an_answer_that_was_replaced_before_its_first_sound_are_not_told() -> None:
    """Its audio began with silence; then better words of the user came, and another answer."""
    sides = Sides()
    first = sides.speak("what time do you")
    sides.decide(WordsPlayed(first, "We"), agent=Agent.OWING)
    again = Tag(1, 2)
    release = Release(again, "what time do you close", 3500.0)
    sides.decide(Tick(), Drop(first), release, agent=Agent.OWING)
    sides.sound(again, "At", "ten.")
    sides.play_out(again)
    assert sides.messages()[-1] == ("assistant", "At ten.")


# ----- text -----


def test_text_is_told_as_it_is_written_but_not_before_the_turn_is_decided() -> None:
    """What was written on a guess is held; then it streams."""
    sides = Sides()
    sides.update(output_modalities=["text"])
    tag = Tag(1, 1)
    sides.decide(VoiceStarted(2000.0), user=User.SPEAKING)
    since = len(sides.events)
    sides._note(sides.following.wrote(tag, "From"))
    assert sides.kinds(since) == []
    sides.decide(Tick(), Release(tag, "when do you open", 3500.0), agent=Agent.OWING)
    assert sides.last("response.output_text.delta")["delta"] == "From"
    assert sides.told(Tell)[-1] == Tell(Audible(tag))
    sides._note(sides.following.wrote(tag, " five."))
    sides.decide(WordsPlayed(tag, "From five."), agent=Agent.SPEAKING)
    sides.play_out(tag)
    assert sides.last("response.output_text.done")["text"] == "From five."
    assert "response.output_audio.delta" not in sides.kinds()
    assert sides.last("response.done")["response"]["usage"]["output_tokens"] == 2


def test_a_guess_that_was_wrong_is_never_told() -> None:
    sides = Sides()
    sides.update(output_modalities=["text"])
    sides._note(sides.following.wrote(Tag(1, 1), "Wrong"))
    sides.decide(Tick(), Drop(Tag(1, 1)), user=User.SPEAKING)
    tag = Tag(1, 2)
    sides.decide(Tick(), Release(tag, "hello", 3500.0), agent=Agent.OWING)
    sides._note(sides.following.wrote(tag, "Right"))
    assert [e["delta"] for e in sides.events if e["type"].endswith("text.delta")] == ["Right"]


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


# ----- turns that the client ends -----


def test_committed_audio_is_an_item_at_once_and_a_turn_when_it_is_recognised() -> None:
    """Push to talk: commit, ask, and the answer waits for the words."""
    sides = Sides()
    sides.update(audio={"input": {"turn_detection": None, "transcription": {"model": "m"}}})
    configured = sides.told(Tell)[-1].event
    assert isinstance(configured, Configured)
    assert not configured.decides
    assert not configured.answers
    sides.append(1000)
    since = len(sides.events)
    sides.send("input_audio_buffer.commit")
    sides.send("response.create")
    assert sides.kinds(since) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
    ]
    assert sides.told(Commit) == [Commit()]
    assert not [t for t in sides.told(Tell) if isinstance(t.event, Typed)]
    sides.decide(Tick(), Remember(1, "what time do you open", 1000.0))
    assert sides.told(Tell)[-1] == Tell(Typed(""))
    assert sides.last("conversation.item.input_audio_transcription.completed")["transcript"]
    sides.decide(Typed(""), Release(Tag(2, 1), "", 0.0), agent=Agent.OWING)
    assert sides.kinds().count("response.created") == 1
    assert "input_audio_buffer.speech_started" not in sides.kinds(since)


def test_a_commit_without_words_is_an_item_without_words() -> None:
    sides = Sides()
    sides.update(audio={"input": {"turn_detection": None, "transcription": {"model": "m"}}})
    sides.append(500)
    sides.send("input_audio_buffer.commit")
    sides.decide(Tick(), NoTurn())
    done = sides.last("conversation.item.input_audio_transcription.completed")
    assert done["transcript"] == ""
    assert sides.messages() == []


def test_too_little_audio_cannot_be_committed() -> None:
    sides = Sides()
    sides.append(50)
    refused = error(sides.send("input_audio_buffer.commit"))
    assert refused["code"] == "input_audio_buffer_commit_empty"
    assert "50.00ms" in refused["message"]


def test_cleared_audio_counts_no_more() -> None:
    sides = Sides()
    sides.append(500)
    [cleared] = sides.send("input_audio_buffer.clear")
    assert cleared["type"] == "input_audio_buffer.cleared"
    assert sides.told(Clear) == [Clear()]
    assert error(sides.send("input_audio_buffer.commit"))["code"].endswith("commit_empty")


def test_a_response_asked_for_in_mid_speech_answers_what_was_said_so_far() -> None:
    """The client knows best that the user is done."""
    sides = Sides()
    sides.decide(VoiceStarted(2000.0), user=User.SPEAKING)
    sides.send("response.create")
    assert sides.told(Tell)[-1] == Tell(Committed())
    tag = Tag(1, 1)
    sides.decide(Committed(), Release(tag, "my name is ann", 3000.0), agent=Agent.OWING)
    sides.sound(tag, "Hello")
    sides.play_out(tag)
    assert sides.kinds().count("response.created") == 1
    assert sides.messages() == [("user", "my name is ann"), ("assistant", "Hello")]


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


# ----- whatever comes -----

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=20)
)
_json = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
_known = {
    "item_id": st.sampled_from(["item_1", "item_2", "x"]) | _json,
    "audio": st.sampled_from(["", "AAAA", "!!"]) | _json,
    "audio_end_ms": st.integers(-5, 5000) | _json,
    "content_index": st.integers(-1, 2) | _json,
    "previous_item_id": st.sampled_from(["root", "item_1", None]) | _json,
    "response_id": st.sampled_from(["resp_1", None]) | _json,
    "session": st.fixed_dictionaries(
        {"type": st.sampled_from(["realtime", "transcription"])},
        optional={
            "instructions": _json,
            "tools": _json,
            "tool_choice": _json,
            "output_modalities": st.sampled_from([["audio"], ["text"], [], ["audio", "text"]]),
            "audio": st.fixed_dictionaries(
                {},
                optional={
                    "input": st.fixed_dictionaries(
                        {},
                        optional={
                            "turn_detection": st.sampled_from(
                                [None, {"type": "server_vad"}, {"type": "semantic_vad"}, {}]
                            )
                            | _json,
                            "format": st.sampled_from([{"type": "audio/pcmu"}, {}]) | _json,
                            "transcription": st.sampled_from([None, {}]) | _json,
                        },
                    ),
                    "output": _json,
                },
            ),
        },
    )
    | _json,
    "item": st.fixed_dictionaries(
        {"type": st.sampled_from(["message", "function_call", "function_call_output", "mcp_call"])},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "robot"]),
            "content": st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["input_text", "output_text", "input_audio"])},
                    optional={"text": _scalars, "transcript": _scalars},
                ),
                max_size=2,
            )
            | _json,
            "call_id": _scalars,
            "output": _scalars,
            "name": _scalars,
            "arguments": _scalars,
            "id": _scalars,
        },
    )
    | _json,
    "response": st.fixed_dictionaries(
        {},
        optional={
            "conversation": st.sampled_from(["auto", "none"]) | _json,
            "output_modalities": st.sampled_from([["text"], ["audio"]]) | _json,
            "input": _json,
            "metadata": _json,
            "tools": _json,
        },
    )
    | _json,
    "event_id": _scalars,
}
_kinds = st.sampled_from(
    [
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "conversation.item.create",
        "conversation.item.retrieve",
        "conversation.item.delete",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
        "output_audio_buffer.clear",
        "transcription_session.update",
    ]
)
_messages = st.fixed_dictionaries({"type": _kinds | _json}, optional=_known) | st.dictionaries(
    st.text(max_size=8), _json, max_size=4
)
_decisions = st.sampled_from(
    ["voice", "release", "retract", "stop", "played", "words", "no turn", "remember", "drop"]
)


@settings(max_examples=250, deadline=None)
@given(st.lists(_messages | _decisions, max_size=14))
def test_no_event_breaks_anything_whatever_the_engine_does_meanwhile(
    happenings: list[dict[str, Any] | str],
) -> None:
    """Every event is carried out or answered by one error; responses open and close in pairs."""
    sides = Sides()
    turn = 0
    for happening in happenings:
        if isinstance(happening, dict):
            events = sides._note(sides.protocol.receive(happening))
            errors = [event for event in events if event["type"] == "error"]
            assert len(errors) <= 1
            for each in errors:
                assert each["error"]["code"]
                assert each["error"]["message"]
                sent = happening.get("event_id")
                assert each["error"]["event_id"] == (sent if isinstance(sent, str) else None)
            continue
        response = sides.talk.response
        tag = response.tag if response is not None and response.tag is not None else Tag(turn, turn)
        match happening:
            case "voice":
                sides.decide(VoiceStarted(2000.0), user=User.SPEAKING)
            case "release" if response is None or response.tag is None:
                turn += 1
                sides.decide(Tick(), Release(Tag(turn, turn), "hi", 3000.0), agent=Agent.OWING)
            case "retract":
                sides.decide(VoiceStarted(2000.0), Retract(tag), user=User.SPEAKING)
            case "stop":
                sides.decide(Tick(), Stop(tag), user=User.SPEAKING, agent=Agent.STOPPED)
            case "played":
                sides.play_out(tag)
            case "words":
                sides.sound(tag, "word")
            case "no turn":
                sides.decide(Tick(), NoTurn())
            case "remember":
                turn += 1
                sides.decide(Tick(), Remember(turn, "hi", 3000.0))
            case "drop":
                sides.decide(Silenced(), Drop(tag))
            case _:
                pass
        sides.talk.ledger.messages()
    created = [e["response"]["id"] for e in sides.events if e["type"] == "response.created"]
    done = [e["response"]["id"] for e in sides.events if e["type"] == "response.done"]
    assert len(set(done)) == len(done)
    assert set(done) <= set(created)
    active = {sides.talk.response.id} if sides.talk.response is not None else set()
    assert set(created) - set(done) == active | sides.talk.asides.keys()


def test_audio_is_handed_on_as_it_came() -> None:
    sides = Sides()
    sides.append(20)
    [hear] = sides.told(Hear)
    assert len(hear.audio) == 960
