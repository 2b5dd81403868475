"""The trtllm engine over HTTP, against a server that answers as trtllm-serve documents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pipecat.frames.frames import InterruptionFrame, LLMFullResponseEndFrame, LLMTextFrame

from tests.llm.model_server import ModelServer, delta, model_server
from voice_agent.bench.alone import alone
from voice_agent.engines import EngineContext, SessionInfo
from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.llm.server_figures import (
    Drafts,
    match_record,
    prometheus_drafts,
    read_perf_metrics,
    read_prometheus,
    running_in_prometheus,
    running_in_slots,
)
from voice_agent.llm.trtllm import TrtLlmEngine, TrtLlmSettings


@asynccontextmanager
async def engine(server: ModelServer) -> AsyncIterator[TrtLlmEngine]:
    made = TrtLlmEngine(TrtLlmSettings(base_url=server.url), EngineContext([Path()]))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def record(arrived_s: float, drafted: int = 9, accepted: int = 6) -> dict[str, Any]:
    """One finished request as ``/perf_metrics`` tells it."""
    return {
        "request_id": 7,
        "perf_metrics": {
            "timing_metrics": {
                "server_arrival_time": arrived_s,
                "arrival_time": arrived_s + 0.001,
                "first_scheduled_time": arrived_s + 0.003,
                "first_token_time": arrived_s + 0.023,
                "last_token_time": arrived_s + 0.073,
            },
            "kv_cache_metrics": {"num_reused_blocks": 12, "num_missed_blocks": 3},
            "speculative_decoding": {
                "acceptance_rate": accepted / drafted,
                "total_accepted_draft_tokens": accepted,
                "total_draft_tokens": drafted,
            },
        },
    }


async def test_what_the_server_measured_comes_with_the_turn() -> None:
    """Queue, prefill, decode, reused blocks and drafts of this request, and of no other."""
    async with model_server() as server:
        server.perf_metrics = []

        async def answer(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            arrived = time.monotonic()
            yield delta(content="Good evening.")
            assert server.perf_metrics is not None
            server.perf_metrics += [record(arrived - 60.0, 90, 1), record(arrived)]

        server.answer = answer
        async with engine(server) as made, alone(made.service(SessionInfo("s"))) as pipe:
            assert "measures every request" in made.about()
            await pipe.worker.queue_frame(ReplyStartFrame(turn=3, revision=2))
            await pipe.ask("hello")
            [figures] = await pipe.down.until(LLMFiguresFrame)
    assert (figures.turn, figures.revision) == (3, 2)
    assert round(figures.queue_ms) == 2
    assert round(figures.prompt_ms) == 20
    assert round(figures.tokens_ms) == 50
    assert (figures.reused_blocks, figures.drafted_tokens, figures.accepted_tokens) == (12, 9, 6)


async def test_a_server_without_figures_is_no_worse() -> None:
    """Answers come, and nothing is claimed."""
    async with model_server() as server, engine(server) as made:
        async with alone(made.service(SessionInfo("s"))) as pipe:
            await pipe.ask("hello")
            await pipe.down.until(LLMFullResponseEndFrame)
            assert pipe.down.text() == "Hello there."
            assert not pipe.down.of(LLMFiguresFrame)
        assert "tells nothing" in made.about()


async def test_a_barge_in_closes_the_requests_own_connection() -> None:
    """Every request has one, so that hanging up reaches the server and nothing is left watched."""
    async with model_server() as server:

        async def endless(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            yield delta(content="Well")
            await asyncio.Event().wait()

        server.answer = endless
        async with engine(server) as made, alone(made.service(SessionInfo("s"))) as pipe:
            await pipe.ask("hello")
            await pipe.down.until(LLMTextFrame)
            await pipe.worker.queue_frame(InterruptionFrame())
            async with asyncio.timeout(5):
                await server.disconnected.wait()
            server.say("Yes?")
            await pipe.ask("and again")
            await pipe.down.until(LLMTextFrame, 2)
            await pipe.ask("and again")
            await pipe.down.until(LLMTextFrame, 3)
        assert len(server.connections) == 3


def test_a_record_belongs_to_the_request_it_arrived_with() -> None:
    """By when it arrived: between the sending and the first token, next to the sending."""
    records = read_perf_metrics([record(at) for at in (9.0, 10.01, 10.2, 11.0)])
    found = match_record(records, 10.0, 10.5)
    assert found is not None
    assert found.arrived_s == 10.01
    assert match_record(records, 12.0, 12.5) is None
    assert read_perf_metrics({"error": "no"}) == []
    assert read_perf_metrics([{"perf_metrics": {}}, None]) == []


def test_drafts_are_counted_from_what_servers_tell() -> None:
    """Length in force, acceptance and tokens a step, of a request and between two scrapes."""
    drafts = Drafts.of_requests(drafted=30, accepted=20, tokens=31, ends=[False])
    assert (drafts.length, drafts.tokens_per_step) == (3.0, 3.0)
    assert Drafts.of_requests(0, 0, 31, [True]).length is None
    # As llama.cpp tells them of short answers with 4 and with 2 drafts a step: the ends of some
    # were drafts themselves, so that their last steps wrote one token less.
    answers = [True] * 6
    assert Drafts.of_requests(64, 54, 74, answers).length == 4.0
    assert Drafts.of_requests(50, 46, 74, answers).length == 2.0
    text = (
        "# TYPE vllm:spec_decode_num_draft_tokens_total counter\n"
        'vllm:spec_decode_num_draft_tokens_total{engine="0"} 60\n'
        'vllm:spec_decode_num_accepted_tokens_total{engine="0"} 40\n'
        'vllm:spec_decode_num_drafts_total{engine="0"} 20\n'
        'vllm:num_requests_running{engine="0"} 2\n'
    )
    samples = read_prometheus(text)
    assert prometheus_drafts(samples) == Drafts(60, 40, 20)
    assert running_in_prometheus(samples) == 2
    assert running_in_prometheus({}) is None
    assert running_in_slots([{"is_processing": True}, {"is_processing": False}]) == 1
    assert running_in_slots({"error": {}}) is None
