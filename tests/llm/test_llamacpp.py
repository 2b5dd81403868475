"""The llamacpp engine: the real wheel in a real worker process, with models made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams

from tests.conftest import HELLO
from tests.llm.loading import engine
from voice_agent.bench.alone import Alone, alone
from voice_agent.engines import SessionInfo
from voice_agent.frames import LLMFiguresFrame, ReplyStartFrame
from voice_agent.llm.llamacpp import LlamaCppEngine

PERSONA = "You are the host of a restaurant by the sea, and it is a fine evening."
GREETING = "Good evening, Bella Notte."
WEATHER = FunctionSchema("weather", "The weather.", {"city": {"type": "string"}}, ["city"])


def opening() -> LLMContext:
    return LLMContext(
        [{"role": "system", "content": PERSONA}, {"role": "assistant", "content": GREETING}]
    )


@asynccontextmanager
async def talking(model: Path, **settings: Any) -> AsyncIterator[Alone]:
    async with engine(model, **settings) as made, alone(made.service(SessionInfo("s"))) as pipe:
        yield pipe


async def test_an_answer_is_streamed(models: Path) -> None:
    """What the model writes comes out as it is written, and with the figures of the request."""
    async with talking(models / "hello.gguf") as pipe:
        await pipe.worker.queue_frame(ReplyStartFrame(turn=3, revision=2))
        await pipe.ask("hello")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert pipe.down.text() == HELLO
        assert len(pipe.down.of(LLMTextFrame)) > 1
        (figures,) = pipe.down.of(LLMFiguresFrame)
        assert (figures.turn, figures.revision) == (3, 2)
        assert figures.tokens == 11  # the end is a token too
        assert figures.tokens_per_s > 0
        assert figures.prompt_tokens > 0
        assert figures.prompt_ms > 0
        assert (figures.acceptance, figures.tokens_per_step) == (None, 1.0)
        assert not figures.interrupted


async def test_usage_is_told_as_by_other_services(models: Path) -> None:
    """Pipecat's own metrics say what was read, what was known already, and what was written."""
    async with talking(models / "hello.gguf") as pipe:
        await pipe.ask("hello")
        await pipe.down.until(LLMFullResponseEndFrame)
        data = [
            d for f in pipe.down.of(MetricsFrame) if isinstance(f, MetricsFrame) for d in f.data
        ]
        (usage,) = [d.value for d in data if isinstance(d, LLMUsageMetricsData)]
        assert usage.completion_tokens == 11
        assert usage.total_tokens == usage.prompt_tokens + 11


async def test_drafted_tokens_are_counted(models: Path) -> None:
    """With speculative decoding the same answer takes fewer steps, and the figures say how many."""
    async with talking(models / "hello.gguf", speculative={"type": "mtp", "draft": 2}) as pipe:
        await pipe.ask("hello")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert pipe.down.text() == HELLO
        (figures,) = pipe.down.of(LLMFiguresFrame)
        # This model's next word depends on the last one only; what is lost is behind the end.
        assert (figures.drafted_tokens, figures.accepted_tokens) == (8, 6)
        assert figures.acceptance == 0.75
        assert figures.tokens_per_step == 11 / 5


async def test_a_barge_in_ends_the_answer_and_frees_the_slot(models: Path) -> None:
    """After an interruption not a token follows, and the model is free for the next question."""
    async with (
        engine(models / "endless.gguf", slots=1, max_tokens=4000) as made,
        alone(made.service(SessionInfo("s"))) as pipe,
    ):
        await pipe.ask("count")
        await pipe.down.until(LLMTextFrame, 10)
        await pipe.worker.queue_frame(InterruptionFrame())
        await pipe.down.until(InterruptionFrame)
        said = pipe.down.text()
        await made.model.slots.idle()
        assert pipe.down.text() == said
        (figures,) = await pipe.down.until(LLMFiguresFrame)
        assert figures.interrupted
        assert figures.tokens >= 10
        await pipe.ask("count again")
        await pipe.down.until(LLMTextFrame, 20 + len(pipe.down.of(LLMTextFrame)))


async def test_a_prompt_is_given_up_between_two_pieces(models: Path) -> None:
    """A cancelled request need not read its prompt to the end."""
    long = {"messages": [{"role": "user", "content": "a word or two " * 80}]}
    async with engine(models / "random.gguf", slots=1, batch=32) as made:
        async with made.model.asking("a", long) as request:
            pass
        await request.ended
        async with made.model.asking("a", {**long, "max_tokens": 1}) as request:
            chunks = [chunk async for chunk in request]
    known = chunks[-1]["timings"]["cache_n"]
    assert known < 500, "it had read all of it"


async def test_the_next_turn_reads_only_what_is_new(models: Path) -> None:
    """What a conversation has said and heard before is not read again."""
    async with talking(models / "hello.gguf") as pipe:
        said: list[Any] = [{"role": "system", "content": PERSONA}, "what is there to eat today"]
        await pipe.ask(*said)
        await pipe.down.until(LLMFullResponseEndFrame)
        await pipe.ask(*said, {"role": "assistant", "content": HELLO}, "and to drink")
        await pipe.down.until(LLMFullResponseEndFrame, 2)
        first, second = pipe.down.of(LLMFiguresFrame)
        assert first.cached_tokens == 0
        assert second.cached_tokens > len(PERSONA)
        assert second.prompt_tokens < 70


async def test_every_callers_first_turn_finds_the_opening_read(models: Path) -> None:
    """Persona and greeting were read before the call, in every slot, also after another call."""
    async with engine(models / "hello.gguf", opening=opening) as made:
        for call in range(4):
            async with alone(made.service(SessionInfo(f"call {call}"))) as pipe:
                await pipe.ask(*opening().get_messages(), "a table please")
                await pipe.down.until(LLMFullResponseEndFrame)
                (figures,) = pipe.down.of(LLMFiguresFrame)
                assert figures.cached_tokens > len(PERSONA)
                assert figures.prompt_tokens < 70
            await made.model.slots.idle()


async def test_conversations_at_once_do_not_mix(models: Path) -> None:
    """Noise written side by side is the noise written alone."""

    async def noise(made: LlamaCppEngine, name: str) -> str:
        body = {"prompt": f"The {name} said", "n_predict": 60}
        async with made.model.asking(name, body, "completion") as request:
            return "".join([chunk.get("text", "") async for chunk in request])

    names = ["one", "two", "three", "four"]
    async with engine(models / "random.gguf", slots=4) as made:
        together = await asyncio.gather(*(noise(made, name) for name in names))
        alone = [await noise(made, name) for name in names]
    assert together == alone
    assert len(set(alone)) == 4


async def test_more_requests_than_can_wait_are_refused(models: Path) -> None:
    """One is answered, one waits for its turn, and the third hears at once that all is busy."""
    async with (
        engine(models / "endless.gguf", slots=1, queue=1, max_tokens=4000) as made,
        alone(made.service(SessionInfo("first"))) as first,
        alone(made.service(SessionInfo("second"))) as second,
        alone(made.service(SessionInfo("third"))) as third,
    ):
        await first.ask("count")
        await first.down.until(LLMTextFrame)
        await second.ask("count")
        async with asyncio.timeout(20):
            while not made.model.slots.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        await third.ask("count")
        (error,) = await third.up.until(ErrorFrame)
        assert "busy" in error.error
        assert "llm.slots" in error.error
        await first.worker.queue_frame(InterruptionFrame())
        await second.down.until(LLMTextFrame)


async def test_tools_are_called(models: Path) -> None:
    """Two calls in the model's own syntax become two function calls, after the words before."""
    seen: list[dict[str, Any]] = []

    async def weather(params: FunctionCallParams) -> None:
        seen.append(dict(params.arguments))
        await params.result_callback({"sky": "blue"})

    async with talking(models / "tools.gguf") as pipe:
        pipe.service.register_function("weather", weather)
        await pipe.ask("weather?", tools=ToolsSchema(standard_tools=[WEATHER]))
        await pipe.up.until(FunctionCallResultFrame, 2)
        assert pipe.down.text() == "Wait."
        assert not pipe.up.of(ErrorFrame)
    assert seen == [{"city": "Rome"}, {"city": "Bari"}]


async def test_a_conversation_longer_than_the_context_goes_on(models: Path) -> None:
    """What was said first is forgotten; the persona and the last words are not."""
    turns: list[Any] = [{"role": "system", "content": PERSONA}]
    for n in range(20):
        turns += [f"question number {n}", {"role": "assistant", "content": "Here it is."}]
    async with talking(models / "hello.gguf", context=512) as pipe:
        await pipe.ask(*turns, "and now")
        await pipe.down.until(LLMFullResponseEndFrame)
        assert pipe.down.text() == HELLO
        assert not pipe.up.of(ErrorFrame)


async def test_one_message_longer_than_the_context_is_an_error(models: Path) -> None:
    """Where nothing can be forgotten, the caller is told."""
    async with talking(models / "hello.gguf", context=512) as pipe:
        await pipe.ask("word " * 600)
        (error,) = await pipe.up.until(ErrorFrame)
        assert "context size" in error.error


@pytest.mark.parametrize("draft", [1, 2, 3])
async def test_speculation_changes_no_token(models: Path, draft: int) -> None:
    """Forty answers with drafting are, token for token, those without it, also when many ask."""

    async def written(**settings: Any) -> list[str]:
        async with engine(models / "random.gguf", slots=4, queue=40, **settings) as made:

            async def noise(n: int) -> str:
                asked = [{"role": "user", "content": f"Number {n} of {draft}"}]
                body = {"messages": asked, "max_tokens": 40, "ignore_eos": True}
                async with made.model.asking(f"{n % 4}", body) as request:
                    return "".join([chunk.get("text", "") async for chunk in request])

            return await asyncio.gather(*(noise(n) for n in range(40)))

    plain = await written()
    assert len(set(plain)) > 20
    assert await written(speculative={"draft": draft}) == plain


async def test_what_is_remembered_changes_no_token(models: Path) -> None:
    """Answers to questions that grow, are repeated and taken back are those of a fresh reading."""
    said = [{"role": "system", "content": PERSONA}, {"role": "assistant", "content": GREETING}]
    asked = ["a table", "a table for", "a table for two", "are you open", "a table for two", "yes"]

    async def written(cached: bool) -> list[str]:
        answers: list[str] = []
        async with engine(models / "random.gguf", opening=opening) as made:
            messages = list(said)
            for question in asked:
                messages = [*said, {"role": "user", "content": question}]
                body = {"messages": messages, "max_tokens": 30, "cache_prompt": cached}
                async with made.model.asking("s", body) as request:
                    answers.append("".join([c.get("text", "") async for c in request]))
                if question == "are you open":
                    said[:] = [*messages, {"role": "assistant", "content": answers[-1][:9] + " —"}]
        del said[2:]
        return answers

    assert await written(True) == await written(False)
