"""A server from its plan to its end, with a stand-in for trtllm-serve that really serves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.llm_server import stand_in
from tests.processes import alive, gone
from voice_agent.llm_server.config.checkpoints import checkpoint
from voice_agent.llm_server.config.found import parse_gpu
from voice_agent.llm_server.config.planning import plan
from voice_agent.llm_server.config.wish import Plan, Version, Wish
from voice_agent.llm_server.launch import launch
from voice_agent.llm_server.proof.client import Endpoint, Unreachable
from voice_agent.llm_server.running.log import cause_of_death, phase_of
from voice_agent.llm_server.running.server import Server, ServerError

OPENING = {"messages": [{"role": "system", "content": "You are the host of a restaurant."}]}


@pytest.fixture
def trtllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which ``trtllm-serve`` is the stand-in."""
    stand_in.install(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wish(**more: Any) -> Wish:
    gpu = parse_gpu("H100:80:9.0")
    version = Version.parse("1.3.0rc29")
    made = {"calls": 2, "port": free_port(), **more}
    return Wish(checkpoint("nemotron-3.5-lightning"), "trtllm", version, gpu, **made)


def planned(**more: Any) -> Plan:
    return plan(wish(**more))


async def test_a_server_is_started_warmed_up_and_ended(trtllm: Path) -> None:
    """Its start is told, it knows the agent's prompt when it is ready, and none of it is left."""
    said: list[str] = []
    server = Server(planned(), trtllm / "log", said.append)
    await server.start(OPENING)
    pid = server.pid
    assert pid is not None
    async with Endpoint(server.plan.url) as endpoint:
        asked = [*OPENING["messages"], {"role": "user", "content": "Hi."}]
        answer = await endpoint.stream(asked, max_tokens=4)
        assert answer.cached_tokens
    await server.stop()
    assert not alive(pid)
    assert "loading the weights" in said
    assert "recording CUDA graphs" in said
    assert said[-1].startswith("ready after")
    assert "serving at" in (trtllm / "log").read_text()


async def test_a_death_after_the_start_is_told(trtllm: Path) -> None:
    """With the signal that killed it and where its log is."""
    server = Server(planned(draft=0), trtllm / "log")
    await server.start(OPENING)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        assert "it was killed" in await server.died()
    await server.stop()


async def test_a_death_at_the_start_is_told_by_its_cause(
    trtllm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory is said in words, with what to ask less of."""
    monkeypatch.setenv("STAND_IN", "oom")
    server = Server(planned(), trtllm / "log")
    with pytest.raises(ServerError, match=r"memory is not enough .*22 GiB.*ask for less"):
        await server.start(OPENING)
    assert server.pid is None


async def test_what_keeps_it_from_starting_is_said_at_once(
    trtllm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy port, and a program that is not there."""
    busy = planned()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(busy.url.split(":")[2].split("/")[0])))
        taken.listen()
        with pytest.raises(ServerError, match="in use by another program"):
            await Server(busy, trtllm / "log").start()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match="trtllm-serve is not installed here"):
        await Server(planned(), trtllm / "log").start()


async def test_a_cancelled_start_leaves_nothing(trtllm: Path) -> None:
    """Ctrl-C while it loads: the process is gone."""
    server = Server(planned(), trtllm / "log")
    starting = asyncio.create_task(server.start(OPENING))
    async with asyncio.timeout(20):
        while server.pid is None:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
    pid = server.pid
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await gone([pid])


async def launched(folder: Path, said: list[str], **more: Any) -> None:
    async def at_once(server: Server) -> None:
        """End it as soon as it is ready."""

    await launch(wish(**more), OPENING, folder / "log", said.append, until=at_once)


async def test_the_self_test_is_passed_once_for_each_configuration(trtllm: Path) -> None:
    """Two starts the first time, one with drafts and reuse and one without; one start later on."""
    said: list[str] = []
    port = free_port()
    await launched(trtllm, said, port=port)
    told = "\n".join(said)
    assert "first without drafts and without reuse" in told
    assert told.count("ready after") == 2
    for check in ("drafts change nothing", "reuse changes nothing", "drafts as configured"):
        assert f"self-test: ok     {check}" in told
    [file] = (trtllm / "self-tests").iterdir()
    assert json.loads(file.read_text())["passed"] is True
    again: list[str] = []
    await launched(trtllm, again, port=port)
    assert "\n".join(again).count("ready after") == 1
    assert "self-test" not in "\n".join(again)


async def test_a_draft_length_that_is_not_in_force_fails_the_self_test(
    trtllm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that counts layers drafts one token and says nothing: it is read back."""
    monkeypatch.setenv("STAND_IN", "counts layers")
    said: list[str] = []
    with pytest.raises(ServerError, match="self-test failed"):
        await launched(trtllm, said)
    told = "\n".join(said)
    assert "fails  drafts as configured" in told
    assert "tokens a step, 3 configured" in told
    assert "num_nextn_predict_layers" in told
    [file] = (trtllm / "self-tests").iterdir()
    assert json.loads(file.read_text())["passed"] is False


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("Loading safetensors checkpoint shards:  0%", "loading the weights"),
        ("[TRT-LLM] [I] autotuning process starts ...", "compiling kernels"),
        ("Capturing CUDA graphs (decode, FULL): 14%", "recording CUDA graphs"),
        ("INFO:     Application startup complete.", "opening its port"),
        ("Fetching 14 files:  21%", "downloading the weights"),
        ("hello", ""),
    ],
)
def test_the_log_tells_how_far_a_start_is(line: str, phase: str) -> None:
    """By the words of the runtimes' own logs."""
    assert (phase_of(line) or "").startswith(phase)
    assert bool(phase_of(line)) == bool(phase)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("RuntimeError: Failed to bind socket to 127.0.0.1:8000: [Errno 98]", "--port"),
        ("OSError: You are trying to access a gated repo.", "HF_TOKEN"),
        ("ValueError: No GPU devices found on the node", "nvidia-smi"),
        ("pydantic: moe_config.x Extra inputs are not permitted", "--runtime-version"),
        ("OSError: [Errno 28] No space left on device", "HF_HOME"),
        ("CUDA error: no kernel image is available for execution", "--precision bf16"),
        ("KeyError: 'something new'", "KeyError: 'something new'"),
    ],
)
def test_a_cause_of_death_says_what_to_do(line: str, said: str) -> None:
    """Causes that are known come with a remedy; others with what was said last."""
    assert said in cause_of_death(["starting", line, "Exiting"], 1)


async def test_the_command_keeps_a_server_until_it_is_told_to_stop(trtllm: Path) -> None:
    """From a shell: ready with the address for a pipeline, and nothing left after SIGTERM."""
    command = [sys.executable, "-m", "voice_agent", "llm-server", "--port", str(free_port())]
    command += ["--gpu", "H100:80:9.0", "--runtime-version", "1.3.0rc29", "--self-test", "off"]
    command += ["--pipeline", "embedded", "--log", str(trtllm / "log")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    said = []
    async with asyncio.timeout(60):
        async for line in process.stdout:
            said.append(line.decode().strip())
            if said[-1].startswith("ready: base_url"):
                break
    assert said[-1].endswith('model = "nemotron-3.5-lightning"'), said
    address = said[-1].split('"')[1]
    process.terminate()
    async with asyncio.timeout(30):
        assert await process.wait() == 128 + signal.SIGTERM
    with pytest.raises(Unreachable):
        async with Endpoint(address):
            pass
