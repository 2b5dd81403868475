"""The Riva engine with servers that are not ours, and what it says when something is wrong."""

from __future__ import annotations

import pytest

from tests.asr.hearing import silence
from tests.asr.riva_listening import Listener, started
from tests.asr.riva_server import numbers_server, word
from voice_agent.asr.riva_kind import Kind, kind_of
from voice_agent.engines import EngineError

MODEL = "nemotron-tiny"
"""Something that is there."""


async def test_a_server_that_resets_and_may_say_nothing():
    """NeMo-Speech.cpp: the words behind the last partial come with the final; an utterance of
    silence is answered at once, since its empty response says that nothing more will come."""
    async with (
        numbers_server(Kind.NEMO_SPEECH) as (_, address),
        started(server=address, final_timeout_ms=20_000) as engine,
    ):
        assert engine.kind is Kind.NEMO_SPEECH
        listener = Listener(engine)
        listener.stream.hear(word(1) + word(2) + word(3))
        assert await listener.end() == ("w1 w2 w3", True)
        listener.stream.hear(silence(200))
        assert await listener.end() == ("", True)
        listener.stream.hear(word(4))
        assert await listener.end() == ("w4", True)
        await listener.stream.close()


async def test_a_message_that_may_not_come_is_not_waited_for():
    """Riva and NIM: when no final comes in time the partial is it; nothing is told twice when the
    real one comes later."""
    async with (
        numbers_server(Kind.RIVA) as (_, address),
        started(server=address, final_timeout_ms=100) as engine,
    ):
        assert engine.kind is Kind.RIVA
        listener = Listener(engine)
        listener.stream.hear(silence(100))
        assert await listener.end() == ("", True)
        listener.stream.hear(word(1) + word(2))
        assert await listener.end() == ("w1 w2", True)
        await listener.stream.close()


async def test_a_server_that_cannot_be_forced():
    """The partial is the final; words that the server comes to later are the next utterance's."""
    async with (
        numbers_server(Kind.UNFORCED) as (_, address),
        started(server=address, kind="unforced") as engine,
    ):
        listener = Listener(engine)
        listener.stream.hear(word(1) + word(2) + word(3))
        await listener.until("w1 w2")
        assert await listener.end() == ("w1 w2", True)
        listener.stream.hear(word(4) + word(5))
        await listener.until("w3 w4")
        assert await listener.end() == ("w3 w4", True)
        await listener.stream.close()


def test_servers_are_told_apart():
    """By what they say of their model."""
    assert kind_of({"server": "voice-agent"}) is Kind.VOICE_AGENT
    nemo = dict.fromkeys(("language_code", "sample_rate_hertz", "streaming", "type"), "x")
    assert kind_of(nemo) is Kind.NEMO_SPEECH
    assert kind_of({**nemo, "vad": "silero"}) is Kind.RIVA
    assert kind_of({}) is Kind.RIVA


# ----- what is wrong is said -----


async def test_no_server():
    """The message says where it was looked for, and what to do."""
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9.*start"):
        async with started(server="127.0.0.1:9", connect_timeout_s=0.3):
            pass


async def test_no_model_of_that_name():
    """A server that has not the model asked for: the message lists what it has."""
    async with numbers_server(Kind.RIVA) as (_, address):
        with pytest.raises(EngineError, match="it has: numbers"):
            async with started(server=address, model="parakeet"):
                pass


async def test_nothing_to_start(monkeypatch, tmp_path):
    """NeMo-Speech.cpp not installed: what exactly to install. No model: which key is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EngineError, match=r"riva_server.*not installed"):
        async with started(start="nemo-speech", model=MODEL):
            pass
    with pytest.raises(EngineError, match=r"asr\.model is missing"):
        async with started(start="asr-server"):
            pass
    with pytest.raises(EngineError, match="file not found"):
        async with started(start="asr-server", model="nowhere"):
            pass
