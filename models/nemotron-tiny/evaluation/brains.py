"""What answers in an evaluation: a GGUF through llama.cpp, or the pattern script for comparison."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from voice_agent.llm.script import Say, Script

Message = dict[str, Any]


class Brain(Protocol):
    """Answers a context with an assistant's message: words, or one tool call."""

    async def reply(self, messages: Sequence[Message]) -> Message: ...

    async def close(self) -> None: ...


class Gguf:
    """A model file in llama.cpp, greedy, as the engine asks it."""

    def __init__(self, path: Path, tools: list[dict[str, Any]], threads: int = 1) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = 4096, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers, params.fit_params, params.verbosity = 0, False, 0
        self._server, self._tools = xllamacpp.Server(params), tools

    async def reply(self, messages: Sequence[Message]) -> Message:
        body = {
            "messages": list(messages),
            "tools": self._tools,
            "temperature": 0,
            "max_tokens": 160,
            "cache_prompt": True,
            "parallel_tool_calls": True,
        }
        answer = await asyncio.to_thread(self._complete, body)
        if "error" in answer:
            return {"role": "assistant", "content": f"({answer['error'].get('message')})"}
        message = answer["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        if calls:
            return {"role": "assistant", "content": None, "tool_calls": calls[:1]}
        return {"role": "assistant", "content": (message.get("content") or "").strip()}

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        found: list[Any] = []

        def take(chunk: Any) -> bool:
            found.append(json.loads(chunk) if isinstance(chunk, str | bytes) else chunk)
            return False

        returned = self._server.handle_chat_completions(body, take)
        answer: dict[str, Any] = found[-1] if found else returned
        return answer

    async def close(self) -> None:
        """The server ends with the process."""


class Patterns:
    """The script that answered before there was a model."""

    def __init__(self, path: Path) -> None:
        self._script = Script.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    async def reply(self, messages: Sequence[Message]) -> Message:
        reply = self._script.reply(messages)
        if isinstance(reply, Say):
            return {"role": "assistant", "content": reply.text}
        function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
        call = {"id": f"c{len(messages)}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    async def close(self) -> None:
        """Nothing to end."""
