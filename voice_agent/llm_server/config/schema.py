"""Holds a configuration against TensorRT-LLM's own schema, wherever tensorrt_llm can be imported.

Its configuration classes refuse unknown keys, but one thing they do in silence: in versions that
still count layers, a draft length becomes the number of layers. So the length is read back. It
is asked in a process of its own (``schema_inside``), in the Python that has tensorrt_llm: importing
it takes long and starts MPI.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from voice_agent.llm_server.config.choices import plain
from voice_agent.llm_server.config.wish import Plan

__all__ = ["NotInstalled", "problems"]

_NOT_INSTALLED = 3
_TIMEOUT_S = 300.0


class NotInstalled(Exception):
    """There is no tensorrt_llm here to ask."""


async def problems(plan: Plan, python: str = sys.executable) -> list[str]:
    """Return what TensorRT-LLM would not take, or would take otherwise than it reads.

    Raises:
        NotInstalled: It cannot be imported.
    """
    asked = {
        "model": plan.command[1],
        "values": plain(plan.table),
        "autodeploy": "_autodeploy" in plan.command,
        "draft": plan.draft,
    }
    process = await asyncio.create_subprocess_exec(
        *(python, str(Path(__file__).with_name("schema_inside.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate(json.dumps(asked).encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode == _NOT_INSTALLED:
        raise NotInstalled(err.decode(errors="replace").strip())
    last = out.decode(errors="replace").strip().rpartition("\n")[2]
    try:
        found: list[str] = json.loads(last)
    except ValueError:
        said = err.decode(errors="replace").strip().rpartition("\n")[2]
        return [f"tensorrt_llm could not be asked: {said or f'status {process.returncode}'}"]
    return found
