"""Holds a configuration against TensorRT-LLM's own schema, wherever tensorrt_llm can be imported.

Its configuration classes refuse unknown keys, but one thing they do in silence: in versions that
still count layers, a draft length becomes the number of layers. So the length is read back. This
runs as ``python -m voice_agent.llm_server.config.schema``, in a process of its own: importing
tensorrt_llm takes long and starts MPI.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

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
        *(python, "-m", __name__),
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


def _validate(asked: Mapping[str, Any]) -> Sequence[str]:
    if asked["autodeploy"]:
        from tensorrt_llm._torch.auto_deploy import (  # type: ignore[import-not-found, unused-ignore]
            LlmArgs as Args,
        )
    else:
        from tensorrt_llm.llmapi.llm_args import (  # type: ignore[import-not-found, unused-ignore]
            TorchLlmArgs as Args,
        )
    try:
        args = Args(model=asked["model"], **asked["values"])
    except ValueError as error:  # pydantic's ValidationError is one
        return [line.strip() for line in str(error).splitlines() if line.strip()]
    speculative = getattr(args, "speculative_config", None)
    in_force = getattr(speculative, "max_draft_len", None) or 0
    if in_force != asked["draft"]:
        return [
            f"max_draft_len {asked['draft']} is read as {in_force} by this version: it counts "
            "layers (num_nextn_predict_layers); use a later one"
        ]
    return []


def main() -> None:
    """Read what is asked from stdin, print a list of problems as JSON."""
    asked = json.loads(sys.stdin.read())
    try:
        found = _validate(asked)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(_NOT_INSTALLED)
    print("\n" + json.dumps(list(found)))


if __name__ == "__main__":
    main()
