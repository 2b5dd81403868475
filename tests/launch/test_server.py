"""Servers that an engine starts itself, with real processes."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from voice_agent.engines import EngineError
from voice_agent.launch.server import LaunchedServer

SERVER = """
import os, pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: (path.unlink(), sys.exit(0)))
path.write_text(str(os.getpid()))
while True:
    time.sleep(60)
"""


def launched(path: Path) -> LaunchedServer:
    async def well() -> bool:
        return _up(path)

    return LaunchedServer("test server", [sys.executable, "-c", SERVER, str(path)], well)


def _up(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_it_is_started_and_ended(tmp_path):
    """After start it works; after stop it is gone, and was asked politely."""
    path = tmp_path / "pid"
    server = launched(path)
    await server.start()
    pid = int(path.read_text())
    os.kill(pid, 0)
    await server.stop()
    assert not path.exists(), "it was killed without being asked"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_it_is_started_again_when_it_dies(tmp_path):
    """A server that is killed comes back by itself."""
    path = tmp_path / "pid"
    server = launched(path)
    await server.start()
    first = path.read_text()
    path.unlink()
    os.kill(int(first), 9)
    await until(lambda: path.exists() and path.read_text() not in ("", first))
    assert server.restarts == 1
    await server.stop()
    assert not path.exists()


async def test_what_it_said_last_is_told(tmp_path):
    """A server that cannot start says why; so do we."""

    async def well() -> bool:
        return False

    command = [sys.executable, "-c", "raise SystemExit('no model here')"]
    with pytest.raises(EngineError, match="no model here"):
        await LaunchedServer("test server", command, well).start()
    with pytest.raises(EngineError, match="cannot start"):
        await LaunchedServer("test server", [str(tmp_path / "none")], well).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
async def test_it_ends_with_an_agent_that_is_killed(tmp_path):
    """SIGKILL to whoever started it leaves no server behind."""
    path = tmp_path / "pid"
    agent = """
import asyncio, pathlib, sys
from voice_agent.launch.server import LaunchedServer
async def main():
    path = pathlib.Path(sys.argv[1])
    async def well(): return path.exists() and path.read_text() != ""
    await LaunchedServer("s", [sys.executable, "-c", sys.argv[2], sys.argv[1]], well).start()
    print("started", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", agent, str(path), SERVER), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    pid = int(path.read_text())
    process.kill()
    await process.wait()
    await until(lambda: not path.exists())
    await until(lambda: not Path(f"/proc/{pid}").exists())
