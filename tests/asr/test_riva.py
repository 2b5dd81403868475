"""The Riva engine with our own server, a process of its own."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pipecat.frames.frames import VADUserStoppedSpeakingFrame

from tests.asr.hearing import frames, silence, transcripts
from tests.asr.riva_listening import Listener, started
from tests.asr_server.listening import MODEL, TEXTS, said
from tests.processes import gone
from voice_agent.asr.riva import RivaASREngine
from voice_agent.asr.riva_kind import Kind
from voice_agent.engines import SessionInfo
from voice_agent.frames import FinalizeTranscriptFrame

SESSION = SessionInfo("test")
TABLE = "a-table-for-four-people-tomorrow-at-seven"
CANCEL = "please-cancel-my-reservation"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[RivaASREngine]:
    async with started(start="asr-server", model=MODEL.name, streams=4, threads=1) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_a_conversation_is_heard(engine):
    """Each request gets one final, empty where nothing was said; the next utterance does not repeat
    the last; words come with their times."""
    sent = [*frames(said(TABLE, after_ms=100)), FinalizeTranscriptFrame()]
    sent += [*frames(silence(300)), FinalizeTranscriptFrame()]
    sent += [*frames(said(CANCEL, after_ms=100)), FinalizeTranscriptFrame()]
    _, final = await transcripts(engine.service(SESSION), sent)
    assert [(f.text, f.finalized) for f in final] == [
        (TEXTS[TABLE], True),
        ("", True),
        (TEXTS[CANCEL], True),
    ]
    timed = final[0].result
    assert [each.text for each in timed] == TEXTS[TABLE].split()
    assert all(a.end_ms <= b.end_ms for a, b in itertools.pairwise(timed))


@pytest.mark.asyncio(loop_scope="module")
async def test_in_a_bot_without_our_turn_machine(engine):
    """Pipecat's own VAD stop ends an utterance; other sample rates are taken too."""
    sent = [*frames(said(CANCEL, after_ms=200)), VADUserStoppedSpeakingFrame(stop_secs=0.2)]
    _, final = await transcripts(engine.service(SESSION), sent)
    assert [f.text for f in final] == [TEXTS[CANCEL]]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_server_loses_no_word(engine):
    """Killed in the middle of a sentence it comes back by itself, is sent the sentence again, and
    the caller's words are all there, once."""
    listener = Listener(engine)
    pcm = said(TABLE, after_ms=200)
    cut = len(pcm) // 8 * 6
    listener.stream.hear(said(CANCEL, after_ms=200))
    assert await listener.end() == (TEXTS[CANCEL], True)
    listener.stream.hear(pcm[:cut])
    await listener.until(TEXTS[TABLE].partition(" for")[0])
    assert engine.pid is not None
    os.kill(_child(engine.pid), signal.SIGKILL)
    listener.stream.hear(pcm[cut:])
    assert await listener.end() == (TEXTS[TABLE], True)
    assert listener.stream.reconnects >= 1
    assert listener.finals.empty()
    await listener.stream.close()


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


async def test_the_server_ends_with_the_engine():
    """It is found, started, well, known, and gone with the engine."""
    async with started(start="asr-server", model=MODEL.name, streams=1, threads=1) as engine:
        assert engine.kind is Kind.VOICE_AGENT
        assert engine.pid is not None
        pids = [engine.pid, _child(engine.pid)]
    await gone(pids)
