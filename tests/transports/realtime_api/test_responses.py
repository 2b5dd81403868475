"""Answers that the client asks for, aloud and in text."""

from __future__ import annotations

from tests.transports.realtime_api.sides import Sides, error
from voice_agent.transports.realtime_api.outputs import Aside, Tell, Wishes
from voice_agent.turns.events import (
    Apologise,
    Audible,
    Drop,
    Failed,
    Greet,
    Greeting,
    Release,
    Silenced,
    Stop,
    Tag,
    Tick,
    Typed,
    VoiceStarted,
)
from voice_agent.turns.ledger import Draft
from voice_agent.turns.playout import WordsPlayed
from voice_agent.turns.state import Agent, User

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
