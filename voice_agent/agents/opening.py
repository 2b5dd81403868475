"""What every conversation of today begins with, as a language model is told it."""

from __future__ import annotations

from typing import Any, Literal

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import LLMContext

from voice_agent.agents.agent import Agent, AgentTools

__all__ = ["opening"]


def opening(
    agent: Agent, tools: AgentTools, persona: Literal["full", "brief"], *, greeting: bool
) -> LLMContext:
    """Return the system prompt, the greeting if it is said, and the tools.

    It is the same, byte for byte, for all conversations of a day, so that a model which has read it
    once need not read it again.
    """
    system = agent.system_prompt(agent.now(), brief=persona == "brief")
    messages: list[Any] = [{"role": "system", "content": system}]
    if greeting and agent.greeting:
        messages.append({"role": "assistant", "content": agent.greeting})
    return LLMContext(
        messages, ToolsSchema(standard_tools=[tool.schema() for tool in tools.tools()])
    )
