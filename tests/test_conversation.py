"""One conversation with real engines and no network: guesses, tools, interruptions, memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.calling import Caller, call
from tests.conftest import HELLO
from voice_agent.llm.scripted import ScriptedService
from voice_agent.turns.events import Drop, Release, Speculate
from voice_agent.turns.playout import FirstSound, PlayedOut

BOOKING = "please book a table for four people tomorrow at seven please"


@pytest.fixture
def calling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Returns a context manager that holds a conversation of the embedded agent."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))
    return partial(call, tmp_path)


async def test_a_booking_is_made_when_the_turn_is_decided_and_not_on_a_guess(calling: Any) -> None:
    """The answer is started early, but what has side effects waits for the decision."""
    async with calling("turns.speculate_stable_ms=0", "turns.floor_ms=400") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: caller.conversation._taking.answers._drafts and _called(caller))
        assert caller.seen(Speculate)
        assert not caller.seen(Release)
        assert caller.bookings() == 0
        caller.stops()
        await caller.final(BOOKING)
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.bookings() == 1
        assert "four people" in caller.told("agent-turn")[-1]["text"]
        assert caller.told("latency")[-1]["guessed"]


def _called(caller: Caller) -> bool:
    return any(draft.items for draft in caller.conversation._taking.answers._drafts.values())


async def test_a_guess_that_was_wrong_books_nothing_and_is_not_remembered(calling: Any) -> None:
    """The caller goes on; only what they meant in the end is answered and kept."""
    async with calling("turns.speculate_stable_ms=0") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: _called(caller))
        await caller.partial("actually what time do you open on sunday")
        await caller.until(lambda: caller.seen(Drop))
        caller.stops()
        await caller.final("actually what time do you open on sunday")
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.bookings() == 0
        messages = caller.conversation.ledger.messages()
        said = [message["content"] for message in messages if message["role"] == "user"]
        assert said == ["actually what time do you open on sunday"]
        assert "book_table" not in str(messages[1:])


async def test_nothing_is_heard_of_an_answer_before_the_turn_is_decided(calling: Any) -> None:
    """Audio is ready and held at the gate."""
    async with calling("turns.speculate_stable_ms=0") as caller:
        caller.starts()
        await caller.partial("what time do you open on sunday")
        taking = caller.conversation._taking
        await caller.until(lambda: taking.state.guess)
        await caller.until(lambda: caller.conversation._playout.length(taking.state.guess))
        assert caller.line.loud_blocks == 0
        caller.stops()
        await caller.final("what time do you open on sunday")
        await caller.until(lambda: caller.seen(FirstSound))


async def test_what_is_remembered_of_an_interrupted_answer_is_what_was_heard(calling: Any) -> None:
    """A prefix of the answer, word for word, and the next answer knows no more than that."""
    async with calling() as caller:
        caller.types("what is on the menu")
        await caller.until(lambda: len(caller.line.told) and caller.seen(FirstSound))
        await caller.until(lambda: caller.line.loud_blocks >= 40)
        caller.types("thank you goodbye")
        await caller.until(lambda: caller.seen(PlayedOut))
        cut, whole = caller.told("agent-turn")
        assert cut["interrupted"]
        assert not whole["interrupted"]
        heard = cut["text"].split()
        assert 1 <= len(heard) <= 8
        remembered = caller.conversation.ledger.exchanges[0]
        assert remembered.heard.split() == heard


async def test_segments_of_a_turn_add_up_to_its_latency(calling: Any) -> None:
    """No millisecond goes unnamed."""
    async with calling() as caller:
        caller.starts()
        caller.stops()
        await caller.final("what time do you open on sunday")
        await caller.until(lambda: caller.told("latency"))
        latency = caller.told("latency")[0]
        assert sum(s["ms"] for s in latency["segments"]) == pytest.approx(latency["v2v_ms"], abs=1)


async def test_a_turn_is_traced_with_what_ran_beside_the_waiting(calling: Any) -> None:
    """Both rounds of the model, the tool between them, the voice, and a verdict."""
    async with calling("turns.speculate_stable_ms=0", "turns.floor_ms=400") as caller:
        caller.starts()
        await caller.partial(BOOKING)
        await caller.until(lambda: _called(caller))
        caller.stops()
        await caller.final(BOOKING)
        await caller.until(lambda: caller.seen(PlayedOut))
        [turn] = caller.traced()
        assert (turn.kind, turn.transport, turn.pipeline) == ("answered", "line", "embedded")
        assert sum(s.ms for s in turn.segments) == pytest.approx(turn.v2v_ms, abs=0.1)
        spans = {span.name: span for span in turn.spans}
        rounds = [span for span in turn.spans if span.name == "llm"]
        tool, voice = spans["tool:book_table"], spans["tts"]
        assert [span.outcome for span in rounds] == ["hit", "hit"]
        assert rounds[0].start_ms < 0 < tool.end_ms <= rounds[1].start_ms
        assert rounds[1].start_ms < voice.start_ms < turn.v2v_ms < spans["agent"].end_ms
        assert tool.attributes["held_ms"] > 0, "what has side effects waits for the decision"
        assert {"partial", "release", "tool", "played_out"} <= {e.name for e in turn.events}
        assert turn.figures["tokens"] > 1
        assert turn.figures["rtf"] > 0
        assert turn.words is None, "nobody asked for transcripts"
        assert turn.verdict in ("ok", "missed")


async def test_a_dead_language_model_is_apologised_for(
    calling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left in silence."""

    async def fail(*_: object) -> None:
        raise ConnectionError("the engine is gone")

    monkeypatch.setattr(ScriptedService, "_answer", fail)
    async with calling() as caller:
        caller.types("hello there")
        await caller.until(lambda: caller.seen(PlayedOut))
        assert "sorry" in caller.told("agent-turn")[-1]["text"]


async def test_a_language_model_whose_process_dies_costs_a_moment(
    calling: Any, models: Path
) -> None:
    """The question under way is asked again, of the process that takes the dead one's place."""
    model = f"llm.model={models / 'hello.gguf'}"
    async with calling("llm.engine=llamacpp", model) as caller:
        worker = caller.conversation._resources._llm.model
        os.kill(worker.pid, signal.SIGSTOP)
        caller.types("hello there")
        await caller.until(lambda: worker.slots.busy)
        os.kill(worker.pid, signal.SIGKILL)
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.told("agent-turn")[-1]["text"].endswith(HELLO)
        caller.types("hello again")
        await caller.until(lambda: len(caller.seen(PlayedOut)) == 2)
        assert caller.told("agent-turn")[-1]["text"].endswith(HELLO)
        await caller.until(lambda: len(caller.traced()) == 2)
        assert caller.traced()[-1].figures["tokens"] == 11


async def test_the_shipped_language_model_books_a_table(calling: Any) -> None:
    """A tool call in its own syntax, a row in the database, and the result said."""
    shipped = ("llm.engine=llamacpp", "llm.model=nemotron-tiny", "persona=brief")
    async with calling(*shipped) as caller:
        caller.types("a table for four people tomorrow at seven please")
        await caller.until(lambda: caller.seen(PlayedOut))
        assert caller.bookings() == 1
        said = caller.told("agent-turn")[-1]["text"]
        assert "I have booked a table for four people tomorrow" in said
        await caller.until(lambda: caller.traced())
        figures = caller.traced()[-1].figures
        assert figures["cached_tokens"] > figures["prompt_tokens"], (
            "persona and tools were read before"
        )
