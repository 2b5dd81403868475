"""Tools as a conversation runs them: what changes something waits until its turn is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pipecat.services.llm_service import FunctionCallParams

from voice_agent.agents.tools import Tool
from voice_agent.trace.observer import TraceObserver
from voice_agent.turns.answers import ReplyContext
from voice_agent.turns.events import Tag
from voice_agent.turns.taking import TurnTaking

__all__ = ["tool_handler"]


def tool_handler(
    tool: Tool, taking: TurnTaking, trace: TraceObserver
) -> Callable[[FunctionCallParams], Awaitable[None]]:
    """Return what an LLM service is given to run ``tool`` for one conversation."""

    async def handle(params: FunctionCallParams) -> None:
        tag = params.context.tag if isinstance(params.context, ReplyContext) else None
        if tag is None:
            await params.result_callback(await _run(tool, taking, None, params))
            return
        call = params.tool_call_id
        trace.tool_began(tag, call, tool.name, read_only=tool.read_only)
        if not tool.read_only:
            await taking.decided(tag)
        trace.tool_ran(tag, call)
        failed = True
        try:
            result = await _run(tool, taking, tag, params)
            failed = isinstance(result, dict) and "error" in result
        finally:
            trace.tool_ended(tag, call, failed=failed)
        await params.result_callback(result)

    return handle


async def _run(tool: Tool, taking: TurnTaking, tag: Tag | None, params: FunctionCallParams) -> Any:
    """Run a tool to its end even if its answer is interrupted: what it did, it did."""
    running = asyncio.ensure_future(tool.run(params.arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        result = await running
        if tag is not None and not tool.read_only:
            taking.answers.late_result(tag, params.tool_call_id, result)
        raise
