"""Puts the chunks of OpenAI-compatible servers into the one form Pipecat's service reads.

Pipecat 1.14 looks at the first tool call of a chunk only, ignores text beside one, and counts
calls by their index. Servers differ: some send several calls in one chunk, some give every call
index 0, some leave the id out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from openai.types.chat import ChatCompletionChunk

__all__ = ["ChunkReader"]


class ChunkReader:
    """Reads the chunks of one answer in order."""

    def __init__(self) -> None:
        self._calls = 0
        self._last: tuple[int | None, str | None] = (None, None)

    def split(self, chunk: ChatCompletionChunk) -> Iterator[ChatCompletionChunk]:
        """Yield the chunk as one or more with at most one text or one tool call each."""
        choice = chunk.choices[0] if chunk.choices else None
        if choice is None or choice.delta is None:
            yield chunk
            return
        delta = choice.delta
        if not delta.tool_calls:
            yield chunk
            return
        if delta.content:
            yield _with(chunk, tool_calls=None)
        for call in delta.tool_calls:
            named = call.function is not None and bool(call.function.name)
            new_index = call.index != self._last[0]
            new_id = call.id is not None and call.id != self._last[1]
            if named and (self._calls == 0 or new_index or new_id):
                self._calls += 1
                self._last = (call.index, call.id)
                call = call.model_copy(update={"id": call.id or f"call_{uuid.uuid4().hex[:12]}"})
            index = max(self._calls - 1, 0)
            yield _with(chunk, content=None, tool_calls=[call.model_copy(update={"index": index})])


def _with(chunk: ChatCompletionChunk, **changes: object) -> ChatCompletionChunk:
    choice = chunk.choices[0]
    delta = choice.delta.model_copy(update=changes)
    changed = choice.model_copy(update={"delta": delta})
    # Usage is counted once: it stays on the chunk that carries no calls, the last one sent.
    return chunk.model_copy(update={"choices": [changed]})
