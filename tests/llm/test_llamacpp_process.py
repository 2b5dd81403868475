"""The life of the llama.cpp worker: files it cannot load, deaths, doors, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from pipecat.frames.frames import ErrorFrame, LLMFullResponseEndFrame, LLMTextFrame

from tests.conftest import HELLO
from tests.llm.loading import engine
from tests.llm.tiny_gguf import random_model, speaking_model
from tests.processes import alive, gone
from voice_agent.bench.alone import alone
from voice_agent.engines import EngineError, SessionInfo
from voice_agent.llm.llamacpp_process import LlamaCppProcess
from voice_agent.llm.llamacpp_wire import Load


async def test_a_worker_killed_in_mid_answer_is_an_error_and_comes_back(models: Path) -> None:
    """The answer under way fails as an ordinary error; the next question is answered."""
    async with (
        engine(models / "endless.gguf", max_tokens=4000) as made,
        alone(made.service(SessionInfo("s"))) as pipe,
    ):
        await pipe.ask("count")
        await pipe.down.until(LLMTextFrame, 5)
        killed = made.model.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        (error,) = await pipe.up.until(ErrorFrame)
        assert "died" in error.error
        await pipe.down.until(LLMFullResponseEndFrame)
        said = len(pipe.down.of(LLMTextFrame))
        await pipe.ask("count")
        await pipe.down.until(LLMTextFrame, said + 5)
        assert made.model.pid != killed


async def test_a_model_that_does_not_come_back_is_tried_again(tmp_path: Path) -> None:
    """While the file is gone, questions fail in time; once it is back, they are answered."""
    file = speaking_model(tmp_path / "hello.gguf", HELLO)
    process = LlamaCppProcess(Load(str(file)), back_off_s=(0.0, 0.05))
    await process.start()
    try:
        body = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0}
        file.rename(tmp_path / "away.gguf")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while process.pid is not None:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await process.ask("chat", body)
        (tmp_path / "away.gguf").rename(file)
        async with asyncio.timeout(20):
            request = await process.ask("chat", body)
            text = "".join([chunk.get("text", "") async for chunk in request])
        assert text == HELLO
    finally:
        await process.stop()


async def test_a_worker_that_hangs_is_noticed(models: Path) -> None:
    """A model that says nothing in time is an error, and not a silence."""
    async with (
        engine(models / "hello.gguf", first_token_timeout_s=0.3) as made,
        alone(made.service(SessionInfo("s"))) as pipe,
    ):
        assert made.model.pid is not None
        os.kill(made.model.pid, signal.SIGSTOP)
        await pipe.ask("hello")
        (error,) = await pipe.up.until(ErrorFrame)
        assert "did not begin to answer within 0.3 s" in error.error
        os.kill(made.model.pid, signal.SIGCONT)
        await pipe.ask("hello")
        await pipe.down.until(LLMTextFrame)


async def test_a_file_that_ends_the_process_is_told_by_its_assertion(tmp_path: Path) -> None:
    """llama.cpp aborts over some files; the server lives to say so."""
    file = random_model(tmp_path / "bad.gguf", expert_used_count=None)
    with pytest.raises(EngineError, match=r"bad\.gguf cannot be loaded: GGML_ASSERT\(.*\) failed"):
        async with engine(file):
            pass


async def test_a_file_that_is_refused_is_told_by_its_reason(tmp_path: Path) -> None:
    """What llama.cpp finds missing is in the message."""
    file = random_model(tmp_path / "bad.gguf", block_count=None)
    with pytest.raises(EngineError, match=r"key not found in model: nemotron_h_moe\.block_count"):
        async with engine(file):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_side_door_is_closed(models: Path) -> None:
    """llama.cpp's own HTTP server listens nowhere that anybody could connect to."""
    async with engine(models / "hello.gguf") as made:
        assert made.model.pid is not None
        ports, sockets = listening(made.model.pid)
    assert not ports
    assert sockets, "this test does not see the sockets it looks for"
    assert not [path for path in sockets if path.exists() or path.parent.exists()]


def listening(pid: int) -> tuple[list[str], list[Path]]:
    """Return the TCP addresses and the paths of Unix sockets that a process listens on."""
    links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    ports = []
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()]
        ports += [row[1] for row in rows[1:] if row[3] == "0A" and row[9] in own]
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return ports, [Path(row[7]) for row in rows[1:] if row[6] in own and len(row) > 7]


async def test_after_stop_no_worker_is_left(models: Path) -> None:
    """The process is gone when stop returns, also with an answer under way, which fails."""
    process = LlamaCppProcess(Load(str(models / "endless.gguf")))
    await process.start()
    pid = process.pid
    assert pid is not None
    body = {"messages": [{"role": "user", "content": "count"}], "temperature": 0}
    request = await process.ask("chat", body)
    chunks = aiter(request)
    await anext(chunks)
    await process.stop()
    assert not alive(pid)
    with pytest.raises(EngineError, match="stopped"):
        async for _ in chunks:
            pass


async def test_the_worker_does_not_outlive_a_killed_server(models: Path) -> None:
    """A server that is killed cannot stop its worker; it sees its pipe end."""
    program = (
        "import asyncio, sys\n"
        "from voice_agent.llm.llamacpp_process import LlamaCppProcess\n"
        "from voice_agent.llm.llamacpp_wire import Load\n"
        "async def main():\n"
        "    process = LlamaCppProcess(Load(sys.argv[1]))\n"
        "    await process.start()\n"
        "    await process.ask('chat', {'messages': [{'role': 'user', 'content': 'count'}]})\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(models / "endless.gguf")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await server.stdout.readline())
    assert alive(pid)
    server.kill()
    await server.wait()
    await gone([pid])
