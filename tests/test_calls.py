"""Whole calls over real WebRTC, without a browser: spoken, interrupted, typed, refused, ended."""

from __future__ import annotations

import asyncio
import json
import signal
import tomllib
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.running import FIXTURES, Server
from voice_agent.load import wire
from voice_agent.load.caller import Caller
from voice_agent.load.errors import Busy, Lost
from voice_agent.load.wav import Speech, read_wav
from voice_agent.paths import pipelines_dir

pytestmark = pytest.mark.slow

GREETING = "Good evening, Bella Notte, how can I help you?"
MENU = "What is on the menu?"
CUT_OFF = "—"
"""How the agent's memory marks an answer that was interrupted."""


def spoken(name: str) -> Speech:
    return read_wav(FIXTURES / f"{name}.wav")


def typed(text: str) -> str:
    return wire.message("send-text", {"content": text})


def menus() -> list[str]:
    """Both things the agent says when it is asked for the menu."""
    script = tomllib.loads((pipelines_dir() / "agents/bella-notte.script.toml").read_text())
    [menu] = [intent for intent in script["intents"] if intent["name"] == "menu"]
    return list(menu["answers"])


@pytest.fixture
async def caller(patterns: Server) -> AsyncIterator[Caller]:
    """A caller who has heard the greeting out."""
    async with Caller(patterns.url) as calling:
        assert await calling.greeting() == GREETING
        yield calling


async def in_the_middle_of_an_answer(caller: Caller) -> float:
    """Ask for the menu and let the agent say some words of it; return when it began to."""
    asked_s = caller.now()
    caller.send(typed(MENU))
    began_s = await caller.sound(asked_s, "answer")
    await caller.until(
        lambda: len(list(caller.log.of("bot-tts-text", since_s=asked_s))) > 3, "say four words"
    )
    return began_s


async def test_a_question_is_answered_and_a_booking_is_made(server: Server) -> None:
    """Spoken words become an answer and a row in the database; both sides' words are told."""
    before = server.bookings()
    async with Caller(server.url) as caller:
        assert await caller.greeting() == GREETING
        question = await caller.say(spoken("what-time-do-you-open-on-sunday"))
        booking = await caller.say(spoken("a-table-for-four-tomorrow-at-seven"))
    assert question.user == "what time do you open on sunday"
    assert question.agent.startswith("On Sunday we are open from noon")
    assert "table for four people" in booking.user
    assert booking.agent.startswith("I have booked a table for four people tomorrow")
    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    assert server.bookings() == [*before, (4, tomorrow, "19:00")]
    for turn in (question, booking):
        assert turn.v2v_ms is not None, "the agent waits for the caller's end"


async def test_a_browser_that_says_it_is_not_muted_is_heard(caller: Caller) -> None:
    """SmallWebRTC clients tell the state of their microphone; that changes nothing by itself."""
    status = {"type": "trackStatus", "receiver_index": 0, "enabled": True}
    caller.send(json.dumps({"type": "signalling", "message": status}))
    question = await caller.say(spoken("what-time-do-you-open-on-sunday"))
    assert question.user == "what time do you open on sunday"


async def test_an_interrupted_agent_stops_and_remembers_only_what_was_heard(
    caller: Caller,
) -> None:
    """Speech over an answer ends it; asked to repeat, the agent knows the heard words alone."""
    began_s = await in_the_middle_of_an_answer(caller)
    said = await caller.play(spoken("sorry-could-you-repeat-that-please"))
    await caller.until(lambda: caller.log.first("agent-turn", since_s=began_s) is not None, "stop")
    cut = caller.log.first("agent-turn", since_s=began_s)
    assert cut is not None
    assert cut.data["interrupted"]
    heard = cut.data["text"]
    assert any(menu.startswith(heard) and menu != heard for menu in menus())
    assert caller.heard.is_silent_at(said.stop_s), "it was silent while the caller spoke on"
    again = await caller.answer(said)
    repeated = caller.log.last("agent-turn", since_s=again.sound_s)
    assert repeated is not None
    assert repeated.data["text"].removesuffix(f" {CUT_OFF}") == heard


async def test_a_yeah_does_not_stop_the_agent(caller: Caller) -> None:
    """A backchannel is no turn: the answer is said to its end, and nothing is answered."""
    began_s = await in_the_middle_of_an_answer(caller)
    await caller.play(spoken("yeah"))
    end_s = await caller.end_of_answer(began_s)
    [answer] = caller.log.of("agent-turn", since_s=began_s)
    assert not answer.data["interrupted"]
    assert answer.data["text"] in menus()
    await caller.quiet(end_s)
    [turn] = caller.log.of("user-turn")
    assert turn.data["text"] == MENU


async def test_typed_words_are_a_turn_and_interrupt(patterns: Server, caller: Caller) -> None:
    """Text is answered aloud like speech; typing over an answer ends it."""
    before = patterns.bookings()
    began_s = await in_the_middle_of_an_answer(caller)
    caller.send(typed("A table for two on Sunday at eight in the evening."))
    await caller.until(
        lambda: any("booked" in each.data["text"] for each in caller.log.of("agent-turn")), "book"
    )
    first, *_, last = caller.log.of("agent-turn", since_s=began_s)
    assert first.data["interrupted"]
    assert not last.data["interrupted"]
    assert [(people, at) for people, _, at in patterns.bookings()[len(before) :]] == [(2, "20:00")]
    words = [each.data["text"] for each in caller.log.of("bot-tts-text", since_s=first.at_s)]
    assert " ".join(words).split() == last.data["text"].split(), "told as they were played"


async def test_the_words_and_the_audio_end_together(caller: Caller) -> None:
    """Every word of an answer is told while it sounds, none before the first sound."""
    asked_s = caller.now()
    caller.send(typed("Where are you?"))
    first_s = await caller.sound(asked_s, "answer")
    end_s = await caller.end_of_answer(first_s)
    words = list(caller.log.of("bot-tts-text", since_s=asked_s))
    assert len(words) > 5
    assert first_s - 0.1 < words[0].at_s <= words[-1].at_s < end_s


async def test_a_second_caller_is_told_that_the_line_is_busy(tmp_path: Path) -> None:
    """503 with Retry-After; when the first has hung up, the line is free again."""
    with Server(tmp_path, "--pipeline", "fixed-latency", "--set", "sessions.max=1") as server:
        async with Caller(server.url):
            with pytest.raises(Busy, match="all lines are busy") as refused:
                await Caller(server.url).__aenter__()
            assert refused.value.retry_after_s > 0
        await asyncio.to_thread(server.wait_until_idle)
        async with Caller(server.url):
            assert server.active() == 1


async def test_an_asked_for_end_waits_for_the_answer(tmp_path: Path) -> None:
    """After SIGTERM the answer is heard out, nobody new is let in, and the exit code is 0."""
    with Server(tmp_path, "--pipeline", "fixed-latency") as server:
        async with Caller(server.url) as caller:
            caller.send(typed("Tell me everything."))
            await caller.sound(0.0, "answer")
            server.signal(signal.SIGTERM)
            async with httpx.AsyncClient(base_url=server.url) as client:
                while (await client.get("/api/health")).json()["ready"]:
                    pass
            with pytest.raises(Busy):
                await Caller(server.url).__aenter__()
            with pytest.raises(Lost, match="shutting down"):
                await caller.until(lambda: False, "hang up")
            [answer] = caller.log.of("agent-turn")
            assert answer.data["text"].endswith("And it ends with a third one, just as long.")
            assert not answer.data["interrupted"]
        assert await asyncio.to_thread(server.wait) == 0
        assert "Traceback" not in server.log()


GARBAGE = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio rubbish\r\n\x00\xff"
NO_AUDIO = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize(
    ("method", "body", "status", "says"),
    [
        ("POST", {"sdp": GARBAGE, "type": "offer"}, 422, "the offer cannot be used"),
        ("POST", {"sdp": NO_AUDIO, "type": "offer"}, 422, "offer"),
        ("POST", {"sdp": "no sdp at all", "type": "offer"}, 422, "offer"),
        ("POST", {"sdp": "v=0" * 4_000_000, "type": "offer"}, 413, "larger than"),
        ("POST", {"type": "offer"}, 422, "sdp"),
        ("PATCH", {"pc_id": "nobody", "candidates": []}, 422, "no such call"),
    ],
    ids=["garbage", "no audio", "no SDP", "10 MB", "nothing", "unknown call"],
)
async def test_what_cannot_be_used_is_refused_with_a_reason(
    server: Server, method: str, body: dict[str, object], status: int, says: str
) -> None:
    """Strangers' requests get a sentence, start no call, and harm nobody."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.request(method, "/api/offer", json=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert "Traceback" not in server.log()
    assert server.active() == 0
