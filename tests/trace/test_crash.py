"""What is left of a call's trace when its server ends: politely, or killed in the middle."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.running import Server
from voice_agent.load import wire
from voice_agent.load.caller import Caller
from voice_agent.load.errors import CallError
from voice_agent.trace.store.queries import Filter, Traces

pytestmark = pytest.mark.slow

QUIET = ("--pipeline", "fixed-latency")


def traced(folder: Path) -> list[dict[str, Any]]:
    return Traces(folder / "traces.db").turns(Filter()).rows


async def in_an_answer(server: Server, caller: Caller) -> float:
    """Ask something; return when the answer began to be heard."""
    asked_s = caller.now()
    caller.send(wire.message("send-text", {"content": "What time do you open?"}))
    return await caller.sound(asked_s, "answer")


async def test_a_killed_server_loses_at_most_the_last_second(tmp_path: Path) -> None:
    """The turn being answered is there, with what the user had waited; the next start closes it."""
    with Server(tmp_path, *QUIET) as server:
        async with Caller(server.url) as caller:
            heard_s = await in_an_answer(server, caller)
            await caller.wait(heard_s + 1.0)
            server.kill()
        [turn] = traced(tmp_path)
        assert turn["kind"] == "open"
        assert sum(segment["ms"] for segment in turn["segments"]) == pytest.approx(turn["v2v_ms"])
        [session] = Traces(tmp_path / "traces.db").sessions(Filter()).rows
        assert session["ended_at"] is None
        server.start()
        assert [each["id"] for each in traced(tmp_path)] == [turn["id"]]


async def test_a_server_asked_to_end_writes_everything(tmp_path: Path) -> None:
    """The answer is heard to its end, and the turn and the session say so."""
    with Server(tmp_path, *QUIET) as server:
        try:
            async with Caller(server.url) as caller:
                await in_an_answer(server, caller)
                server.signal(signal.SIGTERM)
                await caller.until(lambda: caller.log.first("goodbye") is not None, "say goodbye")
        except CallError:
            pass  # the server has hung up, as it should
        assert server.wait() == 0
        [turn] = traced(tmp_path)
        assert (turn["kind"], turn["ended_ms"] is not None) == ("typed", True)
        [session] = Traces(tmp_path / "traces.db").sessions(Filter()).rows
        assert session["reason"] == "shutdown"
