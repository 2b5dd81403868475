"""A whole call over WebRTC whose ears are a server that is killed in the middle of a sentence."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.running import PATTERNS, Server
from voice_agent.load.caller import Caller
from voice_agent.load.wav import Speech, read_wav

SPEECH = Path(__file__).parent / "speech"
ASR = ("asr.engine=riva", "asr.start=asr-server", "asr.model=nemotron-speech-tiny")


def spoken(name: str) -> Speech:
    return read_wav(SPEECH / f"{name}.wav")


def children(pid: int) -> list[int]:
    """Return all processes that a process started, and those that they did."""
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return found + [each for child in found for each in children(child)]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.slow
async def test_the_call_goes_on_and_no_word_is_lost(tmp_path: Path) -> None:
    """Killed while somebody speaks, the recogniser comes back by itself with what was said
    meanwhile; the words are all there, and the next question is answered."""
    overrides = [each for override in (*PATTERNS, *ASR, "asr.streams=2", "greeting=false")
                 for each in ("--set", override)]  # fmt: skip
    with Server(tmp_path, *overrides) as server:
        ears = [pid for pid in children(server.pid) if "asr-server" in command(pid)]
        async with Caller(server.url) as caller:
            speaking = asyncio.create_task(
                caller.play(spoken("a-table-for-four-people-tomorrow-at-seven"))
            )
            began_s = caller.now()
            await caller.until(lambda: caller.now() > began_s + 1.2, "speak")
            os.kill(max(ears), signal.SIGKILL)
            turn = await caller.answer(await speaking, timeout_s=60)
            assert turn.user == "a table for four people tomorrow at seven"
            assert "four people" in turn.agent
            turn = await caller.say(spoken("what-time-do-you-open-on-sunday"), timeout_s=30)
            assert turn.user == "what time do you open on sunday"
