"""The scripted engine: exact time, immediate silence, and Pipecat's own way of calling tools."""

import asyncio
from pathlib import Path

import pytest
from pipecat.frames.frames import (
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.services.llm_service import FunctionCallParams
from pydantic import ValidationError

from tests.llm.virtual_time import run_virtual
from voice_agent.bench.alone import alone
from voice_agent.engines import EngineContext, EngineError, SessionInfo
from voice_agent.llm.scripted import ScriptedEngine, ScriptedService, ScriptedSettings, paced

SCRIPT = """
[slots.size]
match = ['\\b(two|four) people']
[[intents]]
name = "book"
match = ['book']
tool = "book"
needs = ["size"]
ask = { size = "For how many?" }
"""


async def engine(**settings: object) -> ScriptedEngine:
    made = ScriptedEngine(ScriptedSettings(**settings), EngineContext(search_path=[Path()]))
    await made.start()
    return made


async def service(**settings: object) -> ScriptedService:
    return (await engine(**settings)).service(SessionInfo("s"))


def test_tokens_leave_at_absolute_deadlines() -> None:
    """The first token leaves after the TTFT, every later one at its multiple of the rate."""

    async def main() -> tuple[list[float], float]:
        async with alone(await service(answer="one two three", ttft_ms=120)) as pipe:
            asked_at = asyncio.get_running_loop().time()
            await pipe.ask("hello")
            await pipe.down.until(LLMFullResponseEndFrame)
            return pipe.down.token_times(), asked_at

    times, asked_at = run_virtual(main())
    assert [at - asked_at for at in times] == pytest.approx([0.120, 0.130, 0.140], abs=1e-6)


def test_a_late_token_does_not_delay_the_next() -> None:
    """A consumer that is late once gets the missed tokens at once and is on time again."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        start, times = loop.time(), []
        async for token in paced("abcdefg", start, tokens_per_s=10):
            times.append(round(loop.time() - start, 6))
            if token == "b":
                await asyncio.sleep(0.25)
        return times

    assert run_virtual(main()) == [0.0, 0.1, 0.35, 0.35, 0.4, 0.5, 0.6]


def test_a_tool_is_called_when_its_json_would_have_been_written(tmp_path: Path) -> None:
    """The call costs the first token and one token for every word of its JSON."""

    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)

    async def answer(params: FunctionCallParams) -> None:
        await params.result_callback({"say": "done"})

    async def main() -> float:
        async with alone(await service(script=str(script), ttft_ms=100)) as pipe:
            pipe.service.register_function("book", answer)
            asked_at = asyncio.get_running_loop().time()
            await pipe.ask("book for four people")
            await pipe.down.until(FunctionCallInProgressFrame)
            at = next(t for t, f in pipe.down.frames if isinstance(f, FunctionCallInProgressFrame))
            return at - asked_at

    # book {"size": "four"}: three tokens, the last leaves 20 ms after the first
    assert run_virtual(main()) == pytest.approx(0.120, abs=1e-6)


async def test_an_answer_is_streamed_between_start_and_end() -> None:
    """Start, one text frame a word with its space, end: as any Pipecat LLM service."""
    async with alone(await service(answer="Good evening to you.", ttft_ms=0)) as pipe:
        await pipe.ask("hello")
        await pipe.down.until(LLMFullResponseEndFrame)
        kinds = [type(frame) for _, frame in pipe.down.frames if "LLM" in type(frame).__name__]
        assert kinds[-6:] == [
            LLMFullResponseStartFrame,
            *[LLMTextFrame] * 4,
            LLMFullResponseEndFrame,
        ]
        assert [f.text for f in pipe.down.of(LLMTextFrame)] == ["Good", " evening", " to", " you."]


async def test_an_interruption_silences_it_at_once() -> None:
    """After an interruption no token of the old answer comes, and the next context is answered."""
    async with alone(await service(answer="word " * 500, ttft_ms=0)) as pipe:
        await pipe.ask("hello")
        await pipe.down.until(LLMTextFrame, 3)
        await pipe.worker.queue_frame(InterruptionFrame())
        await pipe.down.until(InterruptionFrame)
        await pipe.ask("hello again")
        await pipe.down.until(LLMFullResponseStartFrame, 2)
        kinds = [type(frame) for _, frame in pipe.down.frames]
        after = kinds[kinds.index(InterruptionFrame) :]
        assert LLMTextFrame not in after[: after.index(LLMFullResponseStartFrame)]
        await pipe.down.until(LLMTextFrame, kinds.count(LLMTextFrame) + 1)


async def test_a_tool_call_takes_pipecats_own_path(tmp_path: Path) -> None:
    """A registered handler runs, and its result is broadcast up and down for the context."""
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    seen: list[object] = []

    async def book(params: FunctionCallParams) -> None:
        seen.append(dict(params.arguments))
        await params.result_callback({"say": "Booked."})

    async with alone(await service(script=str(script), ttft_ms=0)) as pipe:
        pipe.service.register_function("book", book)
        await pipe.ask("please book for two people")
        [result] = await pipe.up.until(FunctionCallResultFrame)
        await pipe.down.until(FunctionCallResultFrame)
        assert seen == [{"size": "two"}]
        assert result.result == {"say": "Booked."}
        assert not pipe.down.of(LLMTextFrame)


async def test_it_works_without_a_script() -> None:
    """With no settings at all it says three sentences to anything."""
    made = await service(ttft_ms=0, tokens_per_s=1e6)
    async with alone(made) as pipe:
        await pipe.ask("anything")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert pipe.down.text().count(".") == 3


async def test_mistakes_name_the_file_and_the_key(tmp_path: Path) -> None:
    """A missing script, a bad pattern and an unknown key are errors at the start."""
    with pytest.raises(EngineError, match=r"file not found: nowhere\.toml"):
        await engine(script="nowhere.toml")
    script = tmp_path / "script.toml"
    script.write_text("[slots.x]\nmatch = ['(']")
    with pytest.raises(EngineError, match=r"script\.toml: '\(' is no regular expression"):
        await engine(script=str(script))
    script.write_text("[[intents]]\nname = 'x'\nmatch = ['x']\nanswer = 'y'")
    with pytest.raises(EngineError, match=r"script\.toml: intents\.0\.answer: unknown key"):
        await engine(script=str(script))
    script.write_text("[[intents]]\nname = 'x'\nmatch = ['x']\ntool = 't'\nneeds = ['day']")
    with pytest.raises(EngineError, match="intent 'x' names slot 'day'; there is none"):
        await engine(script=str(script))
    with pytest.raises(ValidationError, match="exclude each other"):
        ScriptedSettings(script="a.toml", answer="b")
