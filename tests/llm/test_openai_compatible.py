"""The openai-compatible engine against a real HTTP server with the habits of real ones."""

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
)
from pipecat.services.llm_service import FunctionCallParams

from tests.llm import faults
from tests.llm.model_server import ModelServer, call, delta, model_server
from voice_agent.bench.alone import Alone, alone
from voice_agent.engines import EngineContext, EngineError, SessionInfo
from voice_agent.llm.openai_compatible import OpenAICompatibleEngine, OpenAICompatibleSettings

NO_SERVER = "http://127.0.0.1:9/v1"  # the discard port: nobody listens


@asynccontextmanager
async def engine(base_url: str, **settings: Any) -> AsyncIterator[OpenAICompatibleEngine]:
    made = OpenAICompatibleEngine(
        OpenAICompatibleSettings(base_url=base_url, **settings), EngineContext([Path()])
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def asked(server: ModelServer, *messages: Any, **settings: Any) -> AsyncIterator[Alone]:
    """A conversation in which ``messages`` were just sent."""
    async with (
        engine(server.url, **settings) as made,
        alone(made.service(SessionInfo("s"))) as pipe,
    ):
        await pipe.ask(*(messages or ("hello",)))
        yield pipe


async def answer(server: ModelServer, **settings: Any) -> str:
    async with asked(server, **settings) as pipe:
        await pipe.down.until(LLMFullResponseEndFrame)
        assert not pipe.up.of(ErrorFrame)
        return pipe.down.text()


async def error(server: ModelServer, **settings: Any) -> str:
    async with asked(server, **settings) as pipe:
        [frame] = await pipe.up.until(ErrorFrame)
        await pipe.down.until(LLMFullResponseEndFrame)
        return frame.error


async def test_an_answer_is_streamed() -> None:
    """The server's chunks come out as text frames, in order."""
    async with model_server() as server:
        server.say("Good", " evening", ".")
        assert await answer(server) == "Good evening."


async def test_the_request_says_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model, temperature, limit, key, reasoning off, and more fields arrive at the server."""
    monkeypatch.setenv("SOME_KEY", "secret")
    async with model_server() as server:
        await answer(
            server,
            temperature=0.2,
            max_tokens=50,
            api_key_env="SOME_KEY",
            extra_body={"top_k": 5},
        )
        [request] = server.requests
        assert server.keys == ["Bearer secret"]
    assert request["model"] == "tiny"
    assert (request["temperature"], request["max_tokens"]) == (0.2, 50)
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    assert request["top_k"] == 5
    assert request["messages"] == [{"role": "user", "content": "hello"}]


async def test_reasoning_can_be_left_to_the_server() -> None:
    """Servers that refuse unknown fields get none."""
    async with model_server() as server:
        await answer(server, reasoning="server")
        assert "chat_template_kwargs" not in server.requests[0]


@pytest.mark.parametrize(
    "chunks",
    [
        ["<think>what a day</think>", "Good evening."],
        ["<th", "ink>what", " a day</thi", "nk>\n\n", "Good", " evening."],
        list("<think>what < a day</think>\n\nGood evening."),
    ],
)
async def test_thoughts_are_never_spoken(chunks: list[str]) -> None:
    """A think span is left out however its tags are split."""
    async with model_server() as server:
        server.say(*chunks)
        assert await answer(server) == "Good evening."


async def test_a_template_may_open_the_thoughts() -> None:
    """With starts_in_think everything before a lone closing tag is reasoning."""
    async with model_server() as server:
        server.say("what a day", "</think>", "Good evening.")
        assert await answer(server, starts_in_think=True) == "Good evening."


async def test_only_thoughts_are_an_error() -> None:
    """An answer without a word is an error frame, not silence."""
    async with model_server() as server:
        server.say("<think>so many options")
        assert "answered with nothing" in await error(server)


WEATHER = [
    delta(tool_calls=[call(0, id="a", name="weather")]),
    delta(tool_calls=[call(0, '{"ci')]),
    delta(tool_calls=[call(0, 'ty": "Rome"}')]),
]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (WEATHER, [("a", {"city": "Rome"})]),
        (
            [
                *WEATHER,
                delta(tool_calls=[call(1, id="b", name="weather")]),
                delta(tool_calls=[call(1, '{"city": "Bari"}')]),
            ],
            [("a", {"city": "Rome"}), ("b", {"city": "Bari"})],
        ),
        (
            [
                delta(
                    content="One moment. ",
                    tool_calls=[
                        call(0, '{"city": "Rome"}', id="a", name="weather"),
                        call(1, '{"city": "Bari"}', id="b", name="weather"),
                    ],
                )
            ],
            [("a", {"city": "Rome"}), ("b", {"city": "Bari"})],
        ),
        (
            [
                delta(tool_calls=[call(0, '{"city": "Rome"}', id="a", name="weather")]),
                delta(tool_calls=[call(0, '{"city": "Bari"}', id="b", name="weather")]),
            ],
            [("a", {"city": "Rome"}), ("b", {"city": "Bari"})],
        ),
    ],
    ids=["split arguments", "two calls", "two calls in one chunk", "every index 0"],
)
async def test_tools_are_called(
    chunks: list[dict[str, Any]], expected: list[tuple[str, dict[str, str]]]
) -> None:
    """Calls are put together from the pieces in which servers send them."""
    seen: list[tuple[str, dict[str, Any]]] = []

    async def weather(params: FunctionCallParams) -> None:
        seen.append((params.tool_call_id, dict(params.arguments)))
        await params.result_callback({"sky": "blue"})

    schema = FunctionSchema("weather", "The weather.", {"city": {"type": "string"}}, ["city"])
    async with model_server() as server:
        server.send(*chunks)
        async with (
            engine(server.url) as made,
            alone(made.service(SessionInfo("s"))) as pipe,
        ):
            pipe.service.register_function("weather", weather)
            await pipe.ask("weather?", tools=ToolsSchema(standard_tools=[schema]))
            await pipe.up.until(FunctionCallResultFrame, len(expected))
            spoken = pipe.down.text()
        assert server.requests[0]["tools"][0]["function"]["name"] == "weather"
    assert sorted(seen) == expected
    assert spoken == (chunks[0]["choices"][0]["delta"].get("content") or "")


async def test_a_malformed_tool_call_is_an_error() -> None:
    """Arguments that are not JSON do not end in silence."""
    async with model_server() as server:
        server.send(delta(tool_calls=[call(0, '{"city": ', id="a", name="weather")]))
        assert "not JSON" in await error(server)


async def test_an_interruption_closes_the_stream() -> None:
    """The server sees the connection close while it is still writing."""
    async with model_server() as server:

        async def endless(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            yield delta(content="Well")
            await asyncio.Event().wait()

        server.answer = endless
        async with asked(server) as pipe:
            await pipe.down.until(LLMTextFrame)
            await pipe.worker.queue_frame(InterruptionFrame())
            async with asyncio.timeout(5):
                await server.disconnected.wait()
            server.say("Yes?")
            await pipe.ask("and again")
            await pipe.down.until(LLMTextFrame, 2)
            assert pipe.down.text() == "WellYes?"


async def test_a_slow_first_token_is_an_error() -> None:
    """A server that accepts and then only names the role is given up on, and hung up on."""
    async with model_server() as server:

        async def stuck(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            yield delta(role="assistant", content="")
            await asyncio.Event().wait()

        server.answer = stuck
        message = await error(server, first_token_timeout_s=0.2)
        assert f"{server.url} did not begin to answer within 0.2 s" in message
        async with asyncio.timeout(5):
            await server.disconnected.wait()


async def test_an_endless_answer_is_cut() -> None:
    """The whole answer has a deadline of its own; what was said until then stays said."""
    async with model_server() as server:

        async def stuck(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            yield delta(content="Well")
            await asyncio.Event().wait()

        server.answer = stuck
        assert "was not done after 0.4 s" in await error(server, total_timeout_s=0.4)


async def test_a_server_that_went_away_is_an_error_at_once() -> None:
    """In the middle of a conversation: an error frame that names the URL, then a new try works."""
    async with model_server() as server:
        port = int(server.url.split(":")[2].split("/")[0])
        made = OpenAICompatibleEngine(
            OpenAICompatibleSettings(base_url=server.url), EngineContext([Path()])
        )
        await made.start()
    async with alone(made.service(SessionInfo("s"))) as pipe:
        await pipe.ask("hello")
        [frame] = await pipe.up.until(ErrorFrame)
        assert f"127.0.0.1:{port}/v1 cannot be reached" in frame.error
        async with model_server(port):
            await pipe.ask("hello")
            await pipe.down.until(LLMTextFrame, 2)
            assert pipe.down.text() == "Hello there."
    await made.stop()


async def test_one_failed_connection_is_retried() -> None:
    """A connection the server drops before it answers costs nobody their turn."""
    async with model_server() as server:
        tries = 0

        async def answer_second(request: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries == 1:
                request.transport.abort()
            return await completions(request)

        completions = server.completions
        server.completions = answer_second  # type: ignore[method-assign]
        assert await answer(server) == "Hello there."
        assert tries == 2


async def test_conversations_share_connections() -> None:
    """Two conversations, one after the other, use one connection."""
    async with model_server() as server, engine(server.url) as made:
        for session in "ab":
            async with alone(made.service(SessionInfo(session))) as pipe:
                await pipe.ask("hello")
                await pipe.down.until(LLMFullResponseEndFrame)
        assert len(server.requests) == 2
        assert len(server.connections) == 1


async def test_the_start_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, another model, no key: each says what to do."""
    with pytest.raises(EngineError, match=rf"answers at {NO_SERVER} .*set llm\.base_url"):
        async with engine(NO_SERVER):
            pass
    async with model_server() as server:
        with pytest.raises(EngineError, match=r"does not serve 'huge'; .* one of: tiny"):
            async with engine(server.url, model="huge"):
                pass
        with pytest.raises(EngineError, match=r"answered GET /models with 404; .*ends in /v1"):
            async with engine(server.url.removesuffix("/v1")):
                pass
        monkeypatch.delenv("NO_SUCH_KEY", raising=False)
        with pytest.raises(EngineError, match="NO_SUCH_KEY is not set"):
            async with engine(server.url, api_key_env="NO_SUCH_KEY"):
                pass


async def test_the_warm_up_asks_for_one_token() -> None:
    """With warm_up the first caller does not pay for the first request."""
    async with model_server() as server, engine(server.url, warm_up=True):
        [request] = server.requests
        assert request["max_tokens"] == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.refuses(429), "refused: HTTP 429, no room"),
        (faults.refuses(500), "refused: HTTP 500, no room"),
        (faults.says_no_header, "did not begin to answer within 0.3 s"),
        (faults.cuts, "broke off"),
        (faults.writes_nonsense, "what is no JSON"),
        (faults.fails_in_stream, "CUDA out of memory"),
    ],
    ids=["429", "500", "slow headers", "cut", "no JSON", "error in stream"],
)
async def test_a_broken_server_is_an_error_and_the_next_answer_comes(
    fault: faults.Fault, said: str
) -> None:
    """Whatever the server does: one error in words, no silence, and no harm to the next turn."""
    async with model_server() as server, engine(server.url, first_token_timeout_s=0.3) as made:
        whole = server.completions
        faults.inflict(server, fault)
        async with alone(made.service(SessionInfo("s"))) as pipe:
            await pipe.ask("hello")
            [frame] = await pipe.up.until(ErrorFrame)
            assert said in frame.error
            assert server.url in frame.error
            await pipe.down.until(LLMFullResponseEndFrame)
            faults.inflict(server, whole)
            await pipe.ask("hello")
            await pipe.down.until(LLMFullResponseEndFrame, 2)
            assert pipe.down.text().endswith("Hello there.")
