"""A client that looks closely: every piece of an answer as it came, and every breach of the form.

The engine's own client (OpenAI's SDK) forgives what a check has to see: pieces that are no JSON, a
stream without an end, a connection left open. Times are ms.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

__all__ = ["Answer", "Call", "Endpoint", "Malformed", "Refused", "ServerFault", "Unreachable"]

Message = dict[str, Any]


class ServerFault(RuntimeError):
    """The server did not do what was asked; the message says what it did instead."""


class Unreachable(ServerFault):
    """No connection, or nothing came in time."""


class Malformed(ServerFault):
    """What came is not what the protocol says."""


class Refused(ServerFault):
    """The server answered with an error."""

    def __init__(self, status: int, body: str, retry_after: str | None = None) -> None:
        super().__init__(f"HTTP {status}: {_shortened(body)}")
        self.status, self.body, self.retry_after = status, body, retry_after

    @property
    def explained(self) -> bool:
        """Whether the body says in JSON what is wrong."""
        try:
            return bool(json.loads(self.body))
        except ValueError:
            return False


@dataclass(slots=True)
class Call:
    """A tool call, its pieces put together."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Answer:
    """An answer and how it came."""

    text: str = ""
    thought: str = ""
    """Reasoning the server keeps apart from the text."""
    calls: list[Call] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    """llama.cpp's own figures of the request."""
    speculative: dict[str, Any] = field(default_factory=dict)
    """TensorRT-LLM's figures of the choice, in versions that send them."""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    first_ms: float | None = None
    """From the request to the first piece of text, thought or call."""
    last_ms: float | None = None
    pieces: int = 0
    """Chunks with text, thought or a call in them."""
    done: bool = False
    """The stream ended as OpenAI's do, with [DONE]."""

    @property
    def tokens(self) -> int | None:
        """Tokens written, where the server tells."""
        told = self.usage.get("completion_tokens") or self.timings.get("predicted_n")
        return int(told) if told else None

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt the server still knew, where it tells."""
        details = self.usage.get("prompt_tokens_details") or {}
        told = details.get("cached_tokens", self.timings.get("cache_n"))
        return None if told is None else int(told)

    def message(self) -> Message:
        """Return the answer as a message of the conversation."""
        made: Message = {"role": "assistant", "content": self.text or None}
        if self.calls:
            made["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.calls
            ]
        return made

    def take(self, chunk: Mapping[str, Any], at_ms: float) -> bool:
        """Add a chunk of a stream; return whether anything of the answer was in it."""
        self.usage = chunk.get("usage") or self.usage
        self.timings = chunk.get("timings") or self.timings
        choices = chunk.get("choices") or []
        if not choices:
            return False
        choice = choices[0]
        self.finish = choice.get("finish_reason") or self.finish
        self.speculative = choice.get("speculative_decoding") or self.speculative
        self.logprobs += (choice.get("logprobs") or {}).get("content") or []
        return self._said(choice.get("delta") or choice.get("message") or {}, at_ms)

    def _said(self, delta: Mapping[str, Any], at_ms: float) -> bool:
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        text = delta.get("content") or ""
        self.text += text
        self.thought += thought
        for piece in delta.get("tool_calls") or []:
            index = piece.get("index", len(self.calls))
            if not isinstance(index, int) or index > len(self.calls):
                raise Malformed(f"a tool call has the index {index!r}, out of order")
            if index == len(self.calls):
                self.calls.append(Call())
            call, function = self.calls[index], piece.get("function") or {}
            call.id = call.id or piece.get("id") or ""
            call.name += function.get("name") or ""
            call.arguments += function.get("arguments") or ""
        if not (text or thought or delta.get("tool_calls")):
            return False
        self.pieces += 1
        self.first_ms = at_ms if self.first_ms is None else self.first_ms
        self.last_ms = at_ms
        return True


class Endpoint:
    """A server by its address; use as an async context manager.

    Args:
        base_url: Up to and including ``/v1``.
        key: Sent as a bearer token; empty sends none.
        model: Empty takes the first one served.
        fields: Of every request, beside the model and the messages.
        timeout_s: For each answer as a whole.
    """

    def __init__(
        self,
        base_url: str,
        key: str = "",
        model: str = "",
        fields: Mapping[str, Any] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.root = self.base_url.removesuffix("/v1")
        """Where servers keep what OpenAI has no name for: health, metrics."""
        self.model = model
        self.fields = dict(fields or {})
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A connection is closed after its request, so that hanging up is never put off by a pool.
        self._http = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=5.0),
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
        )

    async def __aenter__(self) -> Endpoint:
        try:
            served = await self.models()
            self.model = self.model or served[0]
        except Unreachable:
            await self._http.close()
            raise
        except ServerFault:
            if not self.model:  # otherwise a check will say that it lists nothing
                await self._http.close()
                raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def models(self) -> list[str]:
        """Return the names of the models served; at least one.

        Raises:
            ServerFault: None, or the list cannot be had.
        """
        body = await self.get(f"{self.base_url}/models")
        served = body.get("data") if isinstance(body, dict) else None
        names = [each.get("id") for each in served or [] if isinstance(each, dict)]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise Malformed("GET /models lists no model")
        return [str(name) for name in names]

    async def get(self, url: str) -> Any:
        """Return what ``url`` answers, as JSON.

        Raises:
            ServerFault: An error, or no JSON.
        """
        text = await self.get_text(url)
        try:
            return json.loads(text)
        except ValueError:
            raise Malformed(f"GET {url} answered no JSON: {_shortened(text)}") from None

    async def get_text(self, url: str) -> str:
        """Return what ``url`` answers.

        Raises:
            ServerFault: An error.
        """
        async with self._asking("GET", url) as response:
            return await response.text()

    async def post(self, body: Any) -> Any:
        """Send a chat completion as it is; return the answer's JSON.

        Raises:
            ServerFault: An error, or no JSON.
        """
        async with self._asking("POST", f"{self.base_url}/chat/completions", json=body) as response:
            text = await response.text()
        try:
            return json.loads(text)
        except ValueError:
            raise Malformed(f"the answer is no JSON: {_shortened(text)}") from None

    async def ask(self, messages: Sequence[Message] | str, **fields: Any) -> Answer:
        """Return a whole answer, not streamed.

        Raises:
            ServerFault: There is none.
        """
        began = time.monotonic()
        body = await self.post(self._body(messages, fields))
        answer = Answer()
        answer.take(body, (time.monotonic() - began) * 1000.0)
        return answer

    async def stream(self, messages: Sequence[Message] | str, **fields: Any) -> Answer:
        """Return a streamed answer when it is complete.

        Raises:
            ServerFault: There is none, or it does not end as it should.
        """
        async with self.streaming(messages, **fields) as (answer, pieces):
            async for _ in pieces:
                pass
        return answer

    @asynccontextmanager
    async def streaming(
        self, messages: Sequence[Message] | str, **fields: Any
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[Answer]]]:
        """Yield an answer in the making, and its growth; leaving the block hangs up.

        Raises:
            ServerFault: There is none, or it does not end as it should.
        """
        options = {"stream": True, "stream_options": {"include_usage": True}}
        body = {**self._body(messages, fields), **options}
        began = time.monotonic()
        answer = Answer()
        url = f"{self.base_url}/chat/completions"
        async with self._asking("POST", url, json=body) as response:
            kind = response.headers.get("Content-Type", "")
            if not kind.startswith("text/event-stream"):
                raise Malformed(f"a stream was asked for, and {kind or 'nothing said'} came")
            yield answer, self._grow(answer, response, began)

    async def _grow(
        self, answer: Answer, response: aiohttp.ClientResponse, began: float
    ) -> AsyncIterator[Answer]:
        async for line in _lines(response):
            if not line.startswith("data:"):
                continue  # comments, event names, and the empty line between events
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                answer.done = True
                break
            try:
                chunk = json.loads(data)
            except ValueError:
                raise Malformed(f"a piece of the stream is no JSON: {_shortened(data)}") from None
            if not isinstance(chunk, dict):
                raise Malformed(f"a piece of the stream is no object: {_shortened(data)}")
            if chunk.get("error"):
                raise Refused(response.status, json.dumps(chunk["error"]))
            if answer.take(chunk, (time.monotonic() - began) * 1000.0):
                yield answer
        if answer.finish is None:
            ended = "ended" if answer.done else "broke off"
            raise Malformed(f"the stream {ended} without a finish_reason")

    def _body(self, messages: Sequence[Message] | str, fields: Mapping[str, Any]) -> dict[str, Any]:
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return {"model": self.model, "messages": list(said), **self.fields, **fields}

    @asynccontextmanager
    async def _asking(
        self, method: str, url: str, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._http.request(method, url, **more) as response:
                if response.status >= 400:
                    again = response.headers.get("Retry-After")
                    raise Refused(response.status, await response.text(), again)
                yield response
        except TimeoutError:
            raise Unreachable(f"{url} was not done in time") from None
        except aiohttp.ClientPayloadError as error:
            raise Malformed(f"the connection was cut in mid-answer ({error})") from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            raise Unreachable(f"{url}: {error or type(error).__name__}") from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield the body line by line; lines may be of any length."""
    rest = b""
    async for block in response.content.iter_any():
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _shortened(text: str, most: int = 200) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[:most] + " …"
