"""What the user says, as the client is told it: turns, interruptions, backchannels."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transports.realtime_api.sides import TRANSCRIBED, Sides, error
from voice_agent.turns.events import (
    Duck,
    NoTurn,
    Release,
    Resume,
    Retract,
    Stop,
    Tag,
    Tick,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.state import Agent, User

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
