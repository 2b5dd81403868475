"""Two workers on one port, real calls: a call stays where it was answered."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.running import Server
from voice_agent.load.caller import Caller
from voice_agent.load.errors import Lost
from voice_agent.load.fleet.watching import read_metrics
from voice_agent.load.handsets.twilio import TwilioHandset
from voice_agent.load.phone import Phone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers with four lines."""
    arguments = ("--pipeline", "fixed-latency", "--insecure-dev", "--workers", "2")
    overrides = ("telephony.twilio={}", "sessions.max=4", "trace.path=traces.sqlite")
    folder = tmp_path_factory.mktemp("workers")
    settings = [f"--set={each}" for each in overrides[:2]]
    settings.append(f"--set=trace.path={folder}/{overrides[2].partition('=')[2]}")
    with Server(folder, *arguments, *settings) as running:
        yield running


class Browser(Caller):
    """A caller that remembers what its offer was answered with."""

    answer: Any = None

    async def _post(self, offer: dict[str, Any]) -> Any:
        self.answer = await super()._post(offer)
        return self.answer

    async def conversation(self) -> str:
        """Return what the server calls the conversation."""
        await self.until(lambda: self.log.first("session") is not None, "name the conversation")
        session = self.log.first("session")
        assert session is not None
        return str(session.data["conversation"])


async def asked(url: str, method: str = "GET", **content: Any) -> tuple[int, Any]:
    """Return what a connection of its own is answered: it comes to the least busy worker."""
    async with aiohttp.ClientSession() as http, http.request(method, url, **content) as response:
        return response.status, await response.json(content_type=None)


async def calls(url: str) -> list[int]:
    """Return the calls on each worker."""
    _, health = await asked(f"{url}/api/health")
    return sorted(worker["sessions"]["active"] for worker in health["workers"])


async def test_calls_are_dealt_out_and_told_as_one_servers(workers: Server) -> None:
    """Two calls by browser and two by telephone: two on each worker, and no fifth."""
    async with AsyncExitStack() as lines:
        for _ in range(2):
            await lines.enter_async_context(Caller(workers.url))
            await lines.enter_async_context(Phone(workers.url, TwilioHandset()))
        assert await calls(workers.url) == [2, 2]
        async with aiohttp.ClientSession() as http, http.get(f"{workers.url}/metrics") as response:
            told = read_metrics(await response.text())
        assert told["voice_agent_sessions_active"] == 4
        assert told["voice_agent_sessions_max"] == 4
        status, refused = await asked(
            f"{workers.url}/api/offer", "POST", json={"sdp": "v=0", "type": "offer"}
        )
        assert status == 503, refused


async def test_what_comes_for_a_call_finds_its_worker(workers: Server) -> None:
    """Candidates over another connection, and the same conversation taken up from anew."""
    async with Browser(workers.url) as first:
        conversation = await first.conversation()
        candidates = {"pc_id": first.answer["pc_id"], "candidates": []}
        for _ in range(4):
            said = await asked(f"{workers.url}/api/offer", "PATCH", json=candidates)
            assert said == (200, {"status": "success"})
        async with Browser(workers.url, request_data={"conversation": conversation}) as again:
            assert await again.conversation() == conversation
            assert await calls(workers.url) == [0, 1]
    status, _ = await asked(
        f"{workers.url}/api/offer", "PATCH", json={"pc_id": "nobody's", "candidates": []}
    )
    assert status == 422


async def test_a_secret_made_by_one_is_good_with_the_other(workers: Server) -> None:
    """Client secrets and tickets lie on one shelf; the workers' own addresses are nobody else's."""
    url = f"{workers.url}/v1/realtime"
    async with Caller(workers.url):  # so that connections come to the other worker
        _, made = await asked(f"{url}/client_secrets", "POST", json={})
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {made['value']}"}) as http:
        for _ in range(2):
            async with http.ws_connect(url) as socket:
                assert (await socket.receive_json())["type"] == "session.created"
    assert (await asked(f"{workers.url}/worker/knows?call=x"))[0] == 404


async def test_a_worker_that_dies_is_replaced(workers: Server) -> None:
    """Its calls are lost, those of the other go on, and new ones are taken."""
    async with AsyncExitStack() as lines, asyncio.TaskGroup() as waiting:
        phones: list[Phone] = []
        while 0 in await calls(workers.url):  # a worker with two calls takes no third
            phones.append(await lines.enter_async_context(Phone(workers.url, TwilioHandset())))
        pids = _children(workers.pid)
        os.kill(pids[0], signal.SIGKILL)
        ends = [waiting.create_task(_lost(phone)) for phone in phones]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(60):
            while len(await calls(workers.url)) < 2:  # noqa: ASYNC110 - its successor loads
                await asyncio.sleep(0.2)
        idle, busy = await calls(workers.url)
        assert idle == 0
        assert busy == sum(not task.done() for task in ends) >= 1
        assert all(task.result() for task in ends if task.done())
        phones.append(await lines.enter_async_context(Phone(workers.url, TwilioHandset())))
        assert await calls(workers.url) == sorted([1, busy])
        for task in ends:
            task.cancel()
    pids += _children(workers.pid)
    assert workers.stop() == 0
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Return whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def _lost(phone: Phone) -> bool:
    try:
        await phone.until(lambda: False, "hang up", 60.0)
    except Lost:
        return True
    return False


def _children(pid: int) -> list[int]:
    """Return the processes a process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]
