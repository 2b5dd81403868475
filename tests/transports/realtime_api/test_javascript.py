"""OpenAI's JavaScript packages, unmodified, in Node against a server as anybody runs it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.running import Server
from tests.transports.realtime_api.talker import recording

JS = Path(__file__).parent / "js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js: install Node >= 20.19"),
    pytest.mark.skipif(
        not (JS / "node_modules").is_dir(),
        reason=f"the JavaScript clients are not installed: run `npm ci` in {JS.name}/ beside this",
    ),
]


async def node(*arguments: str) -> Any:
    """Run a script of ``js/`` and return the JSON it prints."""
    process = await asyncio.create_subprocess_exec(
        "node", *arguments, cwd=JS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return json.loads(out.decode().splitlines()[-1])


async def test_the_agents_sdk_calls_its_tool_and_yields_to_its_user(
    host: Server, tmp_path: Path
) -> None:
    """A tool of the client's, its answer aloud; then a story, spoken over, cut where it was."""
    spoken = tmp_path / "spoken.raw"
    spoken.write_bytes(recording("sorry-could-you-repeat-that-please"))
    url = host.url.replace("http", "ws", 1) + "/v1/realtime"
    told = await node("agents.mjs", url, str(spoken))
    assert told["errors"] == []
    tool = told["afterTool"]
    assert (tool["cities"], tool["said"]) == (["rome"], "It is 31 degrees in rome.")
    assert tool["audioBytes"] > 24_000
    assert told["cut"] == {"type": "cancelled", "reason": "turn_detected"}
    assert told["interruptions"] == 1
    assert told["story"].startswith("Once upon a time there was a king")
    assert told["repetition"].startswith(f"I said: {told['story']}")
    assert told["tracing"] is None, "asked for by the SDK, accepted, and shown not to be in force"


async def test_the_openai_package_speaks_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text in, text out, and the API's error for a field of the old API."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # the certificate goes there
    pipeline = str(Path(__file__).parent / "host.toml")
    with Server(tmp_path, "--pipeline", pipeline, "--tls") as server:
        told = await node("openai.mjs", f"{server.url}/v1")
    assert told["status"] == "completed"
    assert told["text"].startswith("Once upon a time")
    assert told["errors"] == [
        {"code": "unknown_parameter", "param": "session.voice", "event": "bad"}
    ]
