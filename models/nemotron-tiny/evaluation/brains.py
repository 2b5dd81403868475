"""What answers in an evaluation: a GGUF through llama.cpp, or the pattern script for comparison."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from voice_agent.engines import EngineError
from voice_agent.llm.llamacpp_process import LlamaCppProcess
from voice_agent.llm.llamacpp_wire import Load
from voice_agent.llm.script import Say, Script

Message = dict[str, Any]


class Brain(Protocol):
    """Answers a context with an assistant's message: words, or one tool call."""

    async def reply(self, messages: Sequence[Message]) -> Message: ...

    async def close(self) -> None: ...


class Gguf:
    """A model file in the engine's own process, greedy."""

    def __init__(self, path: Path, tools: list[dict[str, Any]], threads: int = 1) -> None:
        self._process = LlamaCppProcess(Load(str(path), threads=threads))
        self._tools = tools
        self._started = False

    async def reply(self, messages: Sequence[Message]) -> Message:
        if not self._started:
            await self._process.start()
            self._started = True
        body = {
            "messages": list(messages),
            "tools": self._tools,
            "temperature": 0,
            "max_tokens": 160,
            "cache_prompt": True,
            "parallel_tool_calls": True,
        }
        text, calls = "", dict[int, dict[str, str]]()
        try:
            async for chunk in await self._process.ask("chat", body):
                text += chunk.get("text", "")
                for piece in chunk.get("calls", ()):
                    function = piece.get("function", {})
                    call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                    call["id"] += piece.get("id") or ""
                    call["name"] += function.get("name") or ""
                    call["arguments"] += function.get("arguments") or ""
        except EngineError as error:
            return {"role": "assistant", "content": f"({error})"}
        if not calls:
            return {"role": "assistant", "content": text.strip()}
        first = calls[min(calls)]
        try:
            json.loads(first["arguments"] or "{}")
        except ValueError:  # the engine drops such a call too
            return {"role": "assistant", "content": text.strip()}
        function = {"name": first["name"], "arguments": first["arguments"] or "{}"}
        call = {"id": first["id"], "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    async def close(self) -> None:
        await self._process.stop()


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
