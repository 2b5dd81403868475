"""What a browser is told, and what it may say."""

from __future__ import annotations

from typing import Any

from voice_agent.rtvi import RtviClient
from voice_agent.turns.events import (
    Heard,
    Release,
    Stop,
    Tag,
    Tick,
    Unduck,
    VoiceStarted,
)
from voice_agent.turns.playout import FirstSound, PlayedOut, WordsPlayed
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User

TAG = Tag(1, 1)


class Browser:
    """Keeps what it is told and what reached the conversation."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.did: list[Any] = []
        self.heard = ""
        self.client = RtviClient(
            self.told.append,
            {"conversation": "c", "agent": "Bella Notte", "pipeline": "test"},
            on_text=self.did.append,
            on_ready=lambda: self.did.append("ready"),
            on_hang_up=lambda: self.did.append("gone"),
            on_client_message=lambda kind, data: kind == "script",
            heard=lambda tag: self.heard,
        )

    def say(self, kind: str, data: dict[str, Any] | None = None) -> None:
        self.client.take({"label": "rtvi-ai", "type": kind, "id": "7", "data": data})

    def see(self, event: Any, *actions: Any, state: State) -> None:
        self.client.observe(0.0, event, actions, state)

    @property
    def kinds(self) -> list[str]:
        return [
            m["data"]["type"] if m["type"] == "server-message" else m["type"] for m in self.told
        ]


def state(user: User = User.QUIET, agent: Agent = Agent.IDLE, **more: Any) -> State:
    return State(TurnSettings(), user=user, agent=agent, **more)


def test_a_client_that_is_ready_is_told_who_it_talks_to() -> None:
    """The handshake of RTVI, then our session."""
    browser = Browser()
    browser.say("client-ready", {"version": "1.0.0", "about": {"library": "x"}})
    assert browser.kinds == ["bot-ready", "session"]
    assert browser.told[0]["data"]["version"] == "1.0.0"
    assert browser.did == ["ready"]


def test_words_of_both_sides_are_told_as_they_are_heard() -> None:
    """Partials while speaking, the turn when it is decided, the answer word by word."""
    browser = Browser()
    talking = state(User.SPEAKING, segments=("what time",))
    browser.see(VoiceStarted(0), state=state(User.SPEAKING))
    browser.see(Heard("what time", False), state=talking)
    browser.see(Heard("what time", False), state=talking)
    browser.see(Tick(), Release(TAG, "what time", 0), state=state(agent=Agent.OWING))
    browser.see(FirstSound(TAG), state=state(agent=Agent.SPEAKING))
    browser.see(WordsPlayed(TAG, "At five."), state=state(agent=Agent.SPEAKING))
    browser.see(PlayedOut(TAG, "At five."), state=state())
    assert browser.kinds == [
        "user-started-speaking",
        "state",
        "user-transcription",
        "user-transcription",
        "user-stopped-speaking",
        "user-turn",
        "state",
        "bot-started-speaking",
        "state",
        "bot-tts-text",
        "bot-stopped-speaking",
        "agent-turn",
        "state",
    ]


def test_an_interrupted_answer_is_told_as_what_was_heard() -> None:
    """The page shows where it was cut off; a word said again after a pause stands there once."""
    browser = Browser()
    browser.heard = "We are"
    browser.see(FirstSound(TAG), state=state(agent=Agent.SPEAKING))
    browser.see(WordsPlayed(TAG, "We are"), state=state(agent=Agent.SPEAKING))
    browser.see(WordsPlayed(TAG, "are"), state=state(agent=Agent.SPEAKING))
    browser.see(Tick(), Stop(TAG), state=state(User.SPEAKING, Agent.STOPPED))
    turn = browser.told[-2]["data"]
    assert (turn["type"], turn["text"], turn["interrupted"]) == ("agent-turn", "We are", True)


def test_a_false_start_is_taken_back() -> None:
    """An empty final transcript removes what a noise had put on the page."""
    browser = Browser()
    browser.see(Heard("uh huh", False), state=state(User.SPEAKING, partial="uh huh"))
    browser.see(Tick(), Unduck("uh huh"), state=state(agent=Agent.SPEAKING))
    transcripts = [m["data"] for m in browser.told if m["type"] == "user-transcription"]
    assert transcripts[-1]["text"] == ""
    assert transcripts[-1]["final"]


def test_typed_text_and_keys_are_turns() -> None:
    """People without a microphone, and phones."""
    browser = Browser()
    browser.say("send-text", {"content": "  hello  "})
    browser.say("dtmf", {"buttons": ["1", "#"]})
    browser.say("send-text", {"content": "   "})
    assert browser.did == ["hello", "1#"]


def test_what_cannot_be_understood_is_answered_and_ends_nothing() -> None:
    """Strangers send anything."""
    browser = Browser()
    browser.say("send-text", {"nothing": 1})
    browser.say("no-such-thing")
    browser.say("client-message", {"t": "no-such-thing"})
    browser.client.take({"label": "rtvi-ai"})
    browser.client.take({"hello": "world"})
    assert browser.kinds == ["error-response"] * 4
    browser.say("disconnect-bot")
    assert browser.did == ["gone"]
