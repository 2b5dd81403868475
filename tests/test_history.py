"""A long conversation: what is told again byte for byte, what is summed up, and what that saves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm import faults
from tests.llm.llama_server import llama_server
from tests.llm.model_server import ModelServer, model_server
from voice_agent.engines import EngineContext, SessionInfo
from voice_agent.history import History
from voice_agent.llm.openai_compatible import OpenAICompatibleEngine, OpenAICompatibleSettings
from voice_agent.llm_server.proof.client import Endpoint
from voice_agent.turns.events import Event, Tag, VoiceStopped
from voice_agent.turns.ledger import Draft, Ledger, call_message, result_message
from voice_agent.turns.settings import HistorySettings, TurnSettings
from voice_agent.turns.state import Agent, State, User

SETTINGS = HistorySettings(turns=6, keep=2, summary=True)


def talked(turns: int) -> Ledger:
    ledger = Ledger("You are the host.")
    for turn in range(1, turns + 1):
        ledger.commit(Draft(Tag(turn, 1), f"question {turn}"), f"question {turn}")
        ledger.heard(turn, f"Answer {turn}.", interrupted=False)
    return ledger


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text(), st.booleans(), st.booleans()), min_size=1)
)
def test_what_was_told_once_is_told_again_byte_for_byte(
    turns: list[tuple[str, str, bool, bool]],
) -> None:
    """Each prompt begins with all of the one before: only the end is ever new, however answers
    were cut short and whatever tools were called."""
    ledger = Ledger("You are the host.")
    before = ""
    for turn, (question, heard, cut, tool) in enumerate(turns, 1):
        draft = Draft(Tag(turn, 1), question)
        prompt = json.dumps(ledger.provisional(draft))[:-1]
        assert prompt.startswith(before)
        before = prompt
        if tool:
            draft.items += [
                call_message(f"c{turn}", "look", {"a": 1}),
                result_message(f"c{turn}", 2),
            ]
        ledger.commit(draft, question)
        ledger.heard(turn, heard, interrupted=cut)


def test_the_oldest_turns_are_taken_out_at_once_and_seldom() -> None:
    """Not one each turn: a server's memory of the prompt holds until there are too many again."""
    ledger = talked(6)
    assert ledger.surplus(6, 2) == []
    ledger = talked(7)
    assert [exchange.turn for exchange in ledger.surplus(6, 2)] == [1, 2, 3, 4, 5]
    assert ledger.surplus(0, 0) == []
    ledger.exchanges[1].items.append(call_message("c", "book", {}))
    assert [exchange.turn for exchange in ledger.surplus(6, 2)] == [1]


@asynccontextmanager
async def kept(server: ModelServer, ledger: Ledger) -> AsyncIterator[History]:
    engine = OpenAICompatibleEngine(
        OpenAICompatibleSettings(base_url=server.url), EngineContext([Path()])
    )
    await engine.start()
    history = History(SETTINGS, ledger, engine.service(SessionInfo("s")))
    running = asyncio.create_task(history.run())
    try:
        yield history
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engine.stop()


async def shortened(history: History, ledger: Ledger) -> None:
    event: Event = VoiceStopped(0.0)
    quiet = State(TurnSettings(), user=User.QUIET, agent=Agent.IDLE)
    history.observe(0.0, event, (), quiet)
    async with asyncio.timeout(10):
        while len(ledger.exchanges) > 2:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)


async def test_a_long_conversation_is_summed_up_when_nobody_waits() -> None:
    """The model reads the oldest turns and what it knew before; its words take their place."""
    async with model_server() as server:
        ledger = talked(7)
        ledger.summary = "The caller is Ada."
        async with kept(server, ledger) as history:
            await shortened(history, ledger)
        [request] = server.requests
        asked = request["messages"][0]["content"]
    assert "Caller: question 5" in asked
    assert "question 6" not in asked
    assert "Before that: The caller is Ada." in asked
    assert ledger.summary == "Hi"
    messages = ledger.messages()
    assert messages[0] == {"role": "system", "content": "You are the host."}
    assert messages[1]["content"] == "(What was said before: Hi)"
    assert messages[2]["content"] == "question 6"


@pytest.mark.parametrize("fault", [faults.refuses(500), faults.cuts], ids=["500", "cut"])
async def test_a_summary_that_fails_harms_nobody(fault: faults.Fault) -> None:
    """The turns are forgotten, the earlier summary stays, the conversation goes on."""
    async with model_server() as server:
        faults.inflict(server, fault)
        ledger = talked(7)
        ledger.summary = "The caller is Ada."
        async with kept(server, ledger) as history:
            await shortened(history, ledger)
    assert ledger.summary == "The caller is Ada."
    assert len(ledger.exchanges) == 2


async def test_a_cut_answer_keeps_what_the_server_has_read() -> None:
    """A real server with our small Nemotron: after a barge-in, the next prompt is known as far as
    the question that was answered; only the cut answer and the new question are read."""
    ledger = Ledger("You are the host of Bella Notte, a small Italian restaurant.")
    known: list[tuple[int, int]] = []
    with llama_server(slots=1) as url:
        async with Endpoint(url, fields={"max_tokens": 24, "temperature": 0}) as endpoint:
            prompts: list[int] = []
            for turn, question in enumerate(("hello", "when are you open", "and on sunday"), 1):
                draft = Draft(Tag(turn, 1), question)
                answer: Any = await endpoint.stream(ledger.provisional(draft))
                known.append((answer.cached_tokens, prompts[-1] if prompts else 0))
                prompts.append(answer.usage["prompt_tokens"])
                ledger.commit(draft, question)
                heard = " ".join(answer.text.split()[:3])
                ledger.heard(turn, heard, interrupted=True)
    for cached, prompt_before in known[1:]:
        assert cached >= prompt_before - 5
