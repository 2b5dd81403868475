"""Turns that the client ends, and silences that nobody ends."""

from __future__ import annotations

from dataclasses import replace

from tests.transports.realtime_api.sides import TRANSCRIBED, Sides, error
from voice_agent.transports.realtime_api.idle import Idle
from voice_agent.transports.realtime_api.outputs import Clear, Commit, Tell
from voice_agent.turns.events import (
    Committed,
    Configured,
    NoTurn,
    Release,
    Remember,
    Tag,
    Tick,
    Typed,
    VoiceStarted,
)
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User

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


# ----- silences that nobody ends -----


def test_a_silence_after_a_response_is_an_item_and_is_answered() -> None:
    """It is told where it lies in the audio, committed without words, and a response follows."""
    sides = Sides()
    sides.update(**TRANSCRIBED)
    tag = sides.speak("what time do you open")
    sides.sound(tag, "From", "five.")
    sides.play_out(tag)
    since = len(sides.events)
    sides.time_out(5000.0, 11_000.0)
    assert sides.kinds(since) == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    told = sides.last("input_audio_buffer.timeout_triggered")
    assert (told["audio_start_ms"], told["audio_end_ms"]) == (4000, 10_000)
    assert told["item_id"] == sides.last("input_audio_buffer.committed")["item_id"]
    assert sides.told(Tell)[-1] == Tell(Typed(""))
    sides.decide(Typed(""), Release(Tag(2, 2), "", 0.0), agent=Agent.OWING)
    assert sides.kinds(since)[-2:] == ["response.created", "rate_limits.updated"]


def test_a_silence_is_not_answered_twice() -> None:
    """A response that is under way, or a voice, has ended it."""
    sides = Sides()
    sides.send("response.create")
    assert sides.time_out(5000.0, 11_000.0) == []


def test_silence_is_counted_from_the_end_of_a_response() -> None:
    """Not before the first, and not while anybody speaks; a voice that meant nothing starts it."""
    idle, quiet = Idle(), State(TurnSettings())
    speaking = replace(quiet, user=User.SPEAKING)
    detection = {"type": "server_vad", "idle_timeout_ms": 6000}
    idle.observe(1000.0, quiet, answered=False)
    assert idle.due_at(detection) is None
    idle.observe(2000.0, replace(quiet, agent=Agent.SPEAKING), answered=True)
    assert idle.due_at(detection) is None
    idle.observe(3000.0, quiet, answered=True)
    idle.observe(4000.0, quiet, answered=True)
    assert idle.due_at(detection) == 9000.0
    idle.observe(5000.0, speaking, answered=True)
    assert idle.due_at(detection) is None
    idle.observe(6000.0, quiet, answered=True)
    assert idle.due_at(detection) == 12_000.0
    assert idle.due_at({"type": "semantic_vad"}) is None
    assert idle.due_at(None) is None
