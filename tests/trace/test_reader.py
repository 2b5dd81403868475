"""The process in which traces are read."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.processes import alive, gone

SERVER = """
import asyncio, os, sys
from pathlib import Path
from voice_agent.trace.store.reader import Reader

def process(_traces):
    return os.getpid()

async def main():
    print(await Reader(Path("traces.db")).ask(process), flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_the_reader_does_not_outlive_a_server_that_was_killed(tmp_path: Path) -> None:
    """Both ends of its queue are its own, so it has to look for the server itself."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    server = await asyncio.create_subprocess_exec(
        sys.executable, script, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    pid = int(await server.stdout.readline())
    assert alive(pid)
    server.kill()
    await server.wait()
    await gone([pid])
