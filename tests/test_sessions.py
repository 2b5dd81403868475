"""What is left of a call when it is over: nothing, but for what its caller may come back to."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from aiortc import RTCPeerConnection
from onnxruntime import InferenceSession
from pipecat.processors.frame_processor import FrameProcessor

from tests.running import FIXTURES, Server
from voice_agent.config import Pipeline, load_pipeline
from voice_agent.conversation import Conversation
from voice_agent.errors import Busy
from voice_agent.load import wire
from voice_agent.load.caller import Caller
from voice_agent.load.wav import read_wav
from voice_agent.ports import bind
from voice_agent.server import serve
from voice_agent.sessions import Conversations

pytestmark = pytest.mark.slow

FAST = """
agent = "agents/bella-notte.toml"
greeting = false
[asr]
engine = "scripted"
final_ms = 0
[llm]
engine = "scripted"
script = "agents/bella-notte.script.toml"
ttft_ms = 0
tokens_per_s = 1000
[tts]
engine = "scripted"
ttfb_ms = 0
ms_per_word = 20
"""
QUESTION = "Where are you?"
ADDRESS = "We are at twelve Garden Street, at the corner of the market square."


@pytest.fixture
def fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose stages take no time, with bookings of its own."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))
    path = tmp_path / "fast.toml"
    path.write_text(FAST)
    return path


class Running:
    """A server in this process, and a look inside."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.conversations = Conversations(pipeline)
        self.url = ""

    @asynccontextmanager
    async def open(self, pipeline: Pipeline) -> AsyncIterator[None]:
        sock = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        ready = asyncio.Event()
        serving = asyncio.create_task(
            serve(pipeline, self.conversations, sock, on_ready=ready.set, grace_s=0)
        )
        await asyncio.wait(
            {serving, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    async def ended(self) -> None:
        """Return when every call has ended."""
        calls = [task for task in asyncio.all_tasks() if task.get_name().startswith("call ")]
        if calls:
            _, running = await asyncio.wait(calls, timeout=10)
            assert not running


@asynccontextmanager
async def serving(file: Path, *overrides: str) -> AsyncIterator[Running]:
    pipeline = load_pipeline(str(file), overrides)
    running = Running(pipeline)
    async with running.open(pipeline):
        yield running


async def ask(caller: Caller, text: str) -> str:
    """Type something; return what the agent was heard to answer."""
    asked_s = caller.now()
    caller.send(wire.message("send-text", {"content": text}))
    await caller.until(lambda: caller.log.first("agent-turn", since_s=asked_s) is not None, text)
    answer = caller.log.first("agent-turn", since_s=asked_s)
    assert answer is not None
    return str(answer.data["text"])


async def offer(connection: RTCPeerConnection) -> dict[str, Any]:
    connection.addTransceiver("audio")
    connection.createDataChannel("rtvi-ai")
    await connection.setLocalDescription(await connection.createOffer())
    return {"sdp": connection.localDescription.sdp, "type": "offer"}


async def conversation_of(caller: Caller) -> str:
    await caller.until(lambda: caller.log.first("session") is not None, "name the conversation")
    session = caller.log.first("session")
    assert session is not None
    return str(session.data["conversation"])


def alive(kind: type[Any]) -> list[Any]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, kind)]


async def leftover(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Return the tasks begun since that do not end."""
    begun = asyncio.all_tasks() - before
    return (await asyncio.wait(begun, timeout=5))[1] if begun else set()


async def a_whole_call(url: str) -> None:
    """Ask aloud and in writing, book, and hang up in the middle of an answer."""
    async with Caller(url) as caller:
        await caller.say(read_wav(FIXTURES / "yeah.wav"))
        assert await ask(caller, QUESTION) == ADDRESS
        asked_s = caller.now()
        caller.send(wire.message("send-text", {"content": "A table for two tomorrow at eight."}))
        await caller.sound(asked_s, "answer")


async def test_nothing_of_a_call_is_left_in_the_process(fast: Path) -> None:
    """No task, no thread, no connection, no processor and no model more than before it."""
    async with serving(fast) as server:
        await a_whole_call(server.url)  # the first one starts what the process keeps: its threads
        await server.ended()
        await leftover(set())
        models = len(alive(InferenceSession))
        assert models, "loaded before the first call"
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        await a_whole_call(server.url)
        await server.ended()
        assert await leftover(tasks) == set()
        pools = ("ThreadPoolExecutor", "asyncio_", "AnyIO")
        begun = [each.name for each in set(threading.enumerate()) - threads]
        assert [name for name in begun if not name.startswith(pools)] == []
        for kind in (Conversation, FrameProcessor, RTCPeerConnection, Caller):
            assert alive(kind) == [], f"{kind.__name__} outlives its call"
        assert len(alive(InferenceSession)) == models
        assert server.conversations.active == 0


async def test_calls_share_the_models(fast: Path) -> None:
    """Calls at the same time bring no model of their own."""
    async with serving(fast) as server:
        models = alive(InferenceSession)
        async with Caller(server.url), Caller(server.url), Caller(server.url) as third:
            assert await ask(third, QUESTION) == ADDRESS
            assert server.conversations.active == 3
            assert len(alive(InferenceSession)) == len(models)


async def test_the_rehearsal_leaves_nothing(fast: Path) -> None:
    """Before it is ready the server held a conversation with nobody; nothing of it remains."""
    async with serving(fast, "greeting=true") as server:
        assert alive(Conversation) == []
        assert alive(FrameProcessor) == []
        assert server.conversations.active == 0
        assert server.conversations.figures()["turns"] == {}


async def test_nothing_is_left_of_a_server_either(fast: Path) -> None:
    """When it has ended no task and no thread of its own runs on."""
    async with serving(fast) as server:
        await a_whole_call(server.url)  # a process's first
    await leftover(set())
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with serving(fast) as server:
        await a_whole_call(server.url)
    assert await leftover(tasks) == set()
    begun = set(threading.enumerate()) - threads
    ours = [each for each in begun if not each.name.startswith(("asyncio_", "AnyIO"))]
    for each in ours:
        each.join(5)
    assert [each for each in ours if each.is_alive()] == []


async def test_a_lost_conversation_is_taken_up_where_it_was(fast: Path) -> None:
    """Whoever comes back with its id is not greeted again, and is remembered."""
    async with serving(fast, "greeting=true") as server:
        async with Caller(server.url) as caller:
            assert await caller.greeting()
            await ask(caller, QUESTION)
            name = await conversation_of(caller)
        await server.ended()
        async with Caller(server.url, request_data={"conversation": name}) as again:
            assert await conversation_of(again) == name
            assert await ask(again, "Could you repeat that?") == ADDRESS
            assert len(list(again.log.of("agent-turn"))) == 1, "no greeting"


async def test_an_answer_that_was_cut_off_by_the_network_is_remembered_as_heard(
    fast: Path,
) -> None:
    """The connection broke in an answer: its words so far were heard, and are known later."""
    async with serving(fast, "tts.ms_per_word=200") as server:
        async with Caller(server.url) as caller:
            name = await conversation_of(caller)
            caller.send(wire.message("send-text", {"content": QUESTION}))
            await caller.until(lambda: caller.log.first("bot-tts-text") is not None, "speak")
        await server.ended()
        async with Caller(server.url, request_data={"conversation": name}) as again:
            heard = (await ask(again, "Could you repeat that?")).removesuffix(" —")
            assert heard
            assert ADDRESS.startswith(heard)
            assert heard != ADDRESS


async def test_a_conversation_moves_to_its_callers_new_connection(fast: Path) -> None:
    """A caller may come back before we noticed that it was gone; the old connection ends."""
    async with serving(fast, "sessions.max=1") as server, Caller(server.url) as caller:
        await ask(caller, QUESTION)
        name = await conversation_of(caller)
        async with Caller(server.url, request_data={"conversation": name}) as again:
            assert await ask(again, "Could you repeat that?") == ADDRESS
            assert server.conversations.active == 1


async def test_a_stock_client_restarts_its_connection(fast: Path) -> None:
    """Pipecat's own client names the connection it lost: the conversation gets a new one."""
    async with (
        serving(fast, "sessions.max=1") as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        first, second = RTCPeerConnection(), RTCPeerConnection()
        answer = (await client.post("/api/offer", json=await offer(first))).json()
        lost = {"pc_id": answer["pc_id"], "restart_pc": True}
        again = await client.post("/api/offer", json=await offer(second) | lost)
        assert again.status_code == 200
        assert again.json()["pc_id"] != answer["pc_id"]
        assert server.conversations.active == 1
        await first.close()
        await second.close()


@pytest.mark.parametrize("override", ["sessions.resume_s=0", "greeting=false"])
async def test_what_cannot_be_taken_up_is_a_new_conversation(fast: Path, override: str) -> None:
    """After its time, or with an id that nobody gave out, one starts anew."""
    async with serving(fast, override) as server:
        async with Caller(server.url) as caller:
            await ask(caller, QUESTION)
            name = await conversation_of(caller)
        await server.ended()
        asked = name if override.startswith("sessions") else "made-up"
        async with Caller(server.url, request_data={"conversation": asked}) as again:
            assert await conversation_of(again) not in (asked, name)
            assert await ask(again, "Could you repeat that?") != ADDRESS


async def test_silence_ends_a_call(fast: Path) -> None:
    """Nobody says anything for the time set: the caller is told why, and the line is free."""
    async with serving(fast, "sessions.idle_timeout_s=0.5") as server:
        async with Caller(server.url) as caller:
            await caller.until(lambda: caller.log.first("goodbye") is not None, "hang up")
            goodbye = caller.log.first("goodbye")
            assert goodbye is not None
            assert goodbye.data["reason"] == "idle"
        await server.ended()
        assert server.conversations.active == 0


def test_one_address_may_not_take_all_lines(fast: Path) -> None:
    """Beyond its share it is told that all lines are busy; others, and this machine, are not."""
    overrides = ["sessions.max=6", "sessions.max_per_address=2"]
    conversations = Conversations(load_pipeline(str(fast), overrides))
    with conversations.line("192.0.2.1"), conversations.line("192.0.2.1"):
        with pytest.raises(Busy), conversations.line("192.0.2.1"):
            pass
        local = conversations.line("127.0.0.1")
        with conversations.line("192.0.2.2"), conversations.line(), local, conversations.line():
            with pytest.raises(Busy), conversations.line("192.0.2.3"):
                pass
            assert conversations.active == 6
    with conversations.line("192.0.2.1"):
        assert conversations.active == 1


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def children_of(pid: int) -> set[str]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_fifty_calls_cost_no_memory_and_no_process(server: Server) -> None:
    """With the engines of the default pipeline, in a server of its own process."""

    async def calls(count: int) -> tuple[float, int, set[str]]:
        for _ in range(count):
            async with Caller(server.url) as caller:
                caller.send(wire.message("send-text", {"content": QUESTION}))
                await caller.sound(0.0, "answer")
        await asyncio.to_thread(server.wait_until_idle)
        return server.health()["rss_mb"], threads_of(server.pid), children_of(server.pid)

    rss_mb, threads, children = await calls(10)
    assert children, "the pool of recognisers"
    grown_mb, threads_now, children_now = await calls(40)
    assert children_now == children
    assert threads_now <= threads + 2, "the loop's own pool may still grow"
    # The allocator settles within about a hundred calls; a leaked conversation costs more.
    assert grown_mb - rss_mb < 16, f"{(grown_mb - rss_mb) / 40:.2f} MB a call"
