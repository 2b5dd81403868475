"""The trtllm engine in a process of our own: cancellation, tools, errors and deaths, over a FAKE of
what is documented of tensorrt_llm (``fake_tensorrt_llm``)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
)
from pipecat.services.llm_service import FunctionCallParams

from tests.llm.fake_tensorrt_llm import install
from voice_agent.bench.alone import Alone, alone
from voice_agent.engines import EngineContext, EngineError, SessionInfo
from voice_agent.frames import LLMFiguresFrame
from voice_agent.llm.tool_calls import ToolCallReader
from voice_agent.llm.trtllm import TrtLlmEngine, TrtLlmSettings


@asynccontextmanager
async def engine(folder: Path, **config: Any) -> AsyncIterator[TrtLlmEngine]:
    (folder / "trtllm.yaml").write_text(yaml.safe_dump({"answer": ["Good", " evening."], **config}))
    settings = TrtLlmSettings(mode="in-process", weights="fake/model", config="trtllm.yaml")
    made = TrtLlmEngine(settings, EngineContext([folder]))
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def conversing(folder: Path, **config: Any) -> AsyncIterator[Alone]:
    async with (
        engine(folder, **config) as made,
        alone(made.service(SessionInfo("s"))) as pipe,
    ):
        yield pipe


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(install(tmp_path)), *sys.path]))
    return tmp_path


async def test_an_answer_is_streamed_and_measured(library: Path) -> None:
    """Queue, prefill, decode and drafts are those the library tells."""
    async with conversing(library) as pipe:
        await pipe.ask("hello")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert pipe.down.text() == "Good evening."
        [figures] = pipe.down.of(LLMFiguresFrame)
    assert (figures.queue_ms, figures.prompt_ms, figures.tokens_ms) == (3.0, 20.0, 50.0)
    assert (figures.drafted_tokens, figures.accepted_tokens, figures.tokens) == (9, 6, 2)
    assert not figures.interrupted


async def test_a_barge_in_aborts_at_once(library: Path) -> None:
    """The library is told, and works on nothing any more when the next answer begins."""
    async with conversing(library, endless=True) as pipe:
        await pipe.ask("count")
        await pipe.down.until(LLMTextFrame, 5)
        await pipe.worker.queue_frame(InterruptionFrame())
        await pipe.down.until(InterruptionFrame)
        said = len(pipe.down.of(LLMTextFrame))
        await pipe.ask("running?")
        await pipe.down.until(LLMTextFrame, said + 1)
        assert pipe.down.of(LLMTextFrame)[said].text == "0"


async def test_tools_are_called(library: Path) -> None:
    """Calls are read out of the text, however it is cut, with the types of their schema."""
    written = (
        "One moment.<tool_call>\n<function=book>\n<parameter=name>\nAda\n</parameter>\n"
        "<parameter=party>\n4\n</parameter>\n</function>\n</tool_call>"
    )
    seen: list[dict[str, Any]] = []

    async def book(params: FunctionCallParams) -> None:
        seen.append(dict(params.arguments))
        await params.result_callback({"booked": True})

    types = {"name": {"type": "string"}, "party": {"type": "integer"}}
    schema = FunctionSchema("book", "Books.", types, ["name", "party"])
    async with conversing(library, answer=[written[n : n + 7] for n in range(0, 200, 7)]) as pipe:
        pipe.service.register_function("book", book)
        await pipe.ask("for four", tools=ToolsSchema(standard_tools=[schema]))
        await pipe.up.until(FunctionCallResultFrame)
        assert pipe.down.text() == "One moment."
    assert seen == [{"name": "Ada", "party": 4}]


def test_what_only_looks_like_a_call_is_text() -> None:
    """A tag that is never closed is no call, and half a tag is given back in the end."""
    reader = ToolCallReader()
    assert reader.feed("a < b <tool") == ("a < b ", [])
    assert reader.feed("box>") == ("<toolbox>", [])
    assert reader.feed("<tool_call><function=f><param") == ("", [])
    assert reader.finish() == ("", [])
    reader = ToolCallReader()
    assert reader.feed("ends in <tool_c") == ("ends in ", [])
    assert reader.finish() == ("<tool_c", [])


async def test_a_conversation_that_is_too_long_is_shortened(library: Path) -> None:
    """The library's refusal makes the oldest turns be forgotten, as with every local model."""
    long = "word " * 2000
    async with conversing(library) as pipe:
        await pipe.ask(long, {"role": "assistant", "content": "Yes?"}, "and now")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert not pipe.up.of(ErrorFrame)
        assert pipe.down.text() == "Good evening."


async def test_a_death_is_an_error_and_the_next_answer_comes(library: Path) -> None:
    """The worker is replaced; the answer under way fails in words."""
    async with engine(library, endless=True) as made, alone(made.service(SessionInfo("s"))) as pipe:
        await pipe.ask("count")
        await pipe.down.until(LLMTextFrame, 3)
        pid = made._engine._model.pid  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        [error] = await pipe.up.until(ErrorFrame)
        assert "died" in error.error
        await pipe.down.until(LLMFullResponseEndFrame)
        said = len(pipe.down.of(LLMTextFrame))
        await pipe.ask("running?")
        await pipe.down.until(LLMTextFrame, said + 1)


async def test_what_keeps_it_from_starting_is_said(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No library, no memory, settings that lack something: each says what to do."""
    with pytest.raises(EngineError, match=r"out of memory.*free_gpu_memory_fraction"):
        async with engine(library, crash=True):
            pass
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with pytest.raises(EngineError, match=r"tensorrt_llm is not installed.*llm\.python"):
        async with engine(tmp_path):
            pass
    with pytest.raises(ValueError, match="needs weights and config"):
        TrtLlmSettings(mode="in-process")


async def test_more_than_may_be_under_way_are_refused(library: Path) -> None:
    """In words, at once, instead of making everybody wait."""
    async with engine(library, endless=True) as made:
        model = made._engine._model  # type: ignore[attr-defined]
        model._at_once = 0
        with pytest.raises(EngineError, match="under way already"):
            async with model.asking("s", {"messages": []}):
                pass
