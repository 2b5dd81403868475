"""What every speech server of ours has around its service."""

import asyncio
import urllib.request

import pytest

from voice_agent.engines import EngineError
from voice_agent.ports import PortError
from voice_agent.riva.channel import open_channel, serving, wait_serving
from voice_agent.riva.server import SpeechServer


async def test_ready_only_when_warm():
    """Health says no while the models load, yes afterwards, and the end is polite."""
    server = SpeechServer("127.0.0.1", 0)
    warm, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(server.serve(warm.wait, ready.set))
    async with open_channel(server.address) as channel:
        assert not await serving(channel, 5)
        with pytest.raises(EngineError, match="that is ready"):
            await wait_serving(channel, server.address, 0.3)
        warm.set()
        await ready.wait()
        await wait_serving(channel, server.address, 5)
    server.stop()
    await task


async def test_the_port_is_taken():
    """A busy port is said before anything is loaded, with what to do."""
    server = SpeechServer("127.0.0.1", 0)
    ready = asyncio.Event()
    task = asyncio.create_task(server.serve(_nothing, ready.set))
    await ready.wait()
    with pytest.raises(PortError, match="in use by another program"):
        SpeechServer("127.0.0.1", server.port)
    server.stop()
    await task


async def test_nobody_answers():
    """An address without a server: the message says where, and what to do."""
    async with open_channel("127.0.0.1:9") as channel:
        with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
            await wait_serving(channel, "127.0.0.1:9", 0.5)


async def test_figures_for_prometheus():
    """Streams open, admitted at most and refused are told over HTTP."""
    probe = SpeechServer("127.0.0.1", 0)
    server = SpeechServer("127.0.0.1", 0, metrics_port=probe.port)
    admission = server.admission(1, "asr")
    ready = asyncio.Event()
    task = asyncio.create_task(server.serve(_nothing, ready.set))
    await ready.wait()
    assert admission.refusal() is None
    with admission.admitted():
        assert admission.refusal() is not None
        text = await asyncio.to_thread(_get, f"http://127.0.0.1:{probe.port}/metrics")
    assert "asr_streams 1.0" in text
    assert "asr_streams_limit 1.0" in text
    assert admission.refusal() is None
    server.stop()
    assert admission.refusal() is not None
    await task


async def _nothing() -> None:
    pass


def _get(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()
