"""What an agent can do: tools a language model may call, and the sets they come in.

A tool set is found by its name in the agent's file through the entry-point group
``voice_agent.tools``; it is made once per process and shared by every conversation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

    from voice_agent.agents.agent import Agent

__all__ = ["Clock", "Tool", "ToolSet", "tool", "tool_set_class", "tool_set_names"]

Clock = Callable[[], datetime]
"""The agent's local time; injected, so that "tomorrow" can be tested."""
Run = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing a language model may do."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments: ``{"type": "object", "properties": ..., "required": ...}``."""
    read_only: bool
    """Changes nothing, so it may run on a guess, before the user's turn is decided."""
    run: Run
    """Arguments as the model gave them -> a JSON-able result. What cannot be done is a result,
    ``{"error": "<a sentence to say>", "field": "<the argument at fault>"}``, never an exception."""

    def schema(self) -> FunctionSchema:
        """Return the tool as Pipecat's ``LLMContext`` wants it, without a handler."""
        from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

        return FunctionSchema(
            name=self.name,
            description=self.description,
            properties=self.parameters["properties"],
            required=self.parameters["required"],
        )


class ToolSet(Protocol):
    """Tools that share a store; one per process, used by many conversations at once."""

    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any, agent: Agent, now: Clock) -> None: ...

    async def start(self) -> None:
        """Open what the tools need, off the event loop."""

    def tools(self, conversation: str = "") -> list[Tool]:
        """Return the tools of one conversation; its id tells unnamed callers apart."""

    async def stop(self) -> None:
        """Close it again; no tool runs any more."""


def tool(
    name: str,
    description: str,
    arguments: type[ArgumentsT],
    run: Callable[[ArgumentsT], Awaitable[dict[str, Any]]],
    *,
    read_only: bool = False,
) -> Tool:
    """Make a tool from a pydantic model of its arguments and a coroutine that takes one."""

    async def validated(given: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            return {"error": "That was not understood.", "field": ""}
        # Models fill what they do not know with null; that is the same as leaving it out.
        known = {key: value for key, value in given.items() if value is not None}
        try:
            parsed = arguments.model_validate(known)
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0]) if first["loc"] else ""
            spoken = field.replace("_", " ")
            what = "is missing" if first["type"] == "missing" else "was not understood"
            return {"error": f"The {spoken} {what}.", "field": field}
        return await run(parsed)

    return Tool(name, description, _parameters(arguments), read_only, validated)


def tool_set_names() -> list[str]:
    """Return the names of the installed tool sets, sorted."""
    return sorted({entry.name for entry in entry_points(group="voice_agent.tools")})


@cache
def tool_set_class(name: str) -> type[ToolSet]:
    """Import the tool set called ``name``.

    Raises:
        LookupError: No such tool set, or its module cannot be imported.
    """
    for entry in entry_points(group="voice_agent.tools"):
        if entry.name == name:
            try:
                found: type[ToolSet] = entry.load()
            except ImportError as error:
                raise LookupError(f"tool set {name!r} cannot be imported: {error}") from error
            return found
    raise LookupError(f"no tool set is called {name!r}; there are: {', '.join(tool_set_names())}")


@cache
def _parameters(arguments: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema without the titles and defaults that only cost a prompt tokens."""
    schema = arguments.model_json_schema()
    properties = {
        name: {key: value for key, value in field.items() if key not in {"title", "default"}}
        for name, field in schema["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
    }
