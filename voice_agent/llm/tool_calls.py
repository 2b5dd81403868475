"""Reads tool calls out of a stream of text, as Nemotron-3 (and Qwen3-Coder) write them.

``<tool_call>``, ``<function=name>``, ``<parameter=key>`` with its value on lines of its own, and
the closing tags. Servers have parsers for it (``qwen3_coder``); in a process of our own this is it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ToolCallReader", "WrittenCall"]

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_FUNCTION = re.compile(r"<function=([^>\s]+)\s*>(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)\s*>\n?(.*?)\n?</parameter>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call that was written to its end."""

    name: str
    arguments: str
    """JSON."""


class ToolCallReader:
    """Splits what a model writes into text and calls, however it is cut into pieces.

    Args:
        tools: OpenAI-style; they say which arguments are no strings.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        self._types = {
            tool["function"]["name"]: {
                name: schema.get("type")
                for name, schema in tool["function"]
                .get("parameters", {})
                .get("properties", {})
                .items()
            }
            for tool in tools
        }
        self._held = ""
        self._inside = False

    def feed(self, piece: str) -> tuple[str, list[WrittenCall]]:
        """Take the next piece; return the text in it and the calls that are complete by now."""
        held = self._held + piece
        text, calls = "", []
        while True:
            tag = CLOSE if self._inside else OPEN
            at = held.find(tag)
            if at < 0:
                break
            if self._inside:
                calls += self._calls(held[:at])
            else:
                text += held[:at]
            self._inside = not self._inside
            held = held[at + len(tag) :]
        if self._inside:
            self._held = held
            return text, calls
        keep = next((n for n in range(len(OPEN) - 1, 0, -1) if held.endswith(OPEN[:n])), 0)
        self._held = held[len(held) - keep :]
        return text + held[: len(held) - keep], calls

    def finish(self) -> tuple[str, list[WrittenCall]]:
        """Return what was held back when the stream ends; a call without its end is none."""
        held, self._held = self._held, ""
        return ("", self._calls(held)) if self._inside else (held, [])

    def _calls(self, written: str) -> list[WrittenCall]:
        made = []
        for name, inside in _FUNCTION.findall(written):
            types = self._types.get(name, {})
            arguments = {
                key: _value(value, types.get(key)) for key, value in _PARAMETER.findall(inside)
            }
            made.append(WrittenCall(name, json.dumps(arguments, ensure_ascii=False)))
        return made


def _value(text: str, kind: str | None) -> Any:
    if kind in (None, "string"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
