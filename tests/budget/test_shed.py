"""A server that misses its budgets takes no new callers: over HTTP, with real calls."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest
from aiortc import RTCPeerConnection

from tests.test_sessions import FAST, QUESTION, ask, conversation_of, offer, serving
from voice_agent.budget.objective import Objective
from voice_agent.load.caller import Caller
from voice_agent.load.errors import Busy

pytestmark = pytest.mark.slow

BUDGET = """
[budget]
voice_to_voice = 200
target = 0.9
min_turns = 3
windows = [{ long_s = 60, short_s = 6, burn_rate = 5 }]
on_miss = ["shed"]
shed = { retry_after_s = 7 }
"""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A pipeline whose language model takes longer than the whole budget."""
    path = tmp_path / "slow.toml"
    path.write_text(FAST.replace("ttft_ms = 0", "ttft_ms = 300") + BUDGET)
    return path


async def offered(url: str) -> httpx.Response:
    connection = RTCPeerConnection()
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            return await client.post("/api/offer", json=await offer(connection))
    finally:
        await connection.close()


def objective(server: object) -> Objective:
    return server.conversations._resources.objective  # type: ignore[attr-defined, no-any-return]


async def test_new_callers_are_refused_while_turns_are_missed_and_taken_when_it_is_over(
    slow: Path,
) -> None:
    """503 with the time to come back; whoever is in a call stays, and may come back to it."""
    async with serving(slow) as server:
        now = 0.0
        objective(server)._clock = lambda: now
        async with Caller(server.url) as caller:
            for _ in range(3):
                await ask(caller, QUESTION)
            refused = await offered(server.url)
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "7"
            assert "busy" in refused.json()["error"]
            async with httpx.AsyncClient(base_url=server.url) as client:
                health = (await client.get("/api/health")).json()
                metrics = (await client.get("/metrics")).text
            assert (health["budget"]["burning"], health["budget"]["refused"]) == (True, 1)
            assert 'voice_agent_budget_burn_rate{window_seconds="6"} 10.0' in metrics
            assert "voice_agent_callers_refused_total 1.0" in metrics
            assert await ask(caller, QUESTION), "a call that goes on is not ended"
            name = await conversation_of(caller)
        await server.ended()
        async with Caller(server.url, request_data={"conversation": name}) as again:
            assert await conversation_of(again) == name, "it is no new caller"
        await server.ended()
        with pytest.raises(Busy):
            async with Caller(server.url):
                pass
        now = 6.0
        assert (await offered(server.url)).status_code == 200


async def test_a_pipeline_that_does_not_ask_for_it_refuses_nobody(slow: Path) -> None:
    """Missed turns are told and nothing else."""
    async with serving(slow, "budget.on_miss=[]") as server, Caller(server.url) as caller:
        for _ in range(3):
            await ask(caller, QUESTION)
        assert objective(server).burning
        assert (await offered(server.url)).status_code == 200
