"""An agent: who answers, what it knows, and which tools it has, read from one TOML file.

Keys: ``name``, ``language``, ``timezone``, ``persona`` (the system prompt; may use {name}, {today},
{spoken_today}, {hours} and {menu}), ``brief`` (the same for a small model), ``greeting``,
``vocabulary``, ``[hours]``, ``[[menu]]``, and ``tools``, the names of tool sets; each tool set's
settings are a table of its own name.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voice_agent.agents.hours import OpeningHours
from voice_agent.agents.spoken import WEEKDAYS, say_day
from voice_agent.agents.tools import Clock, Tool, ToolSet, tool_set_class

__all__ = ["Agent", "AgentError", "AgentTools", "Dish", "load_agent"]

ModelT = TypeVar("ModelT", bound=BaseModel)
PLACEHOLDERS = ("name", "today", "spoken_today", "hours", "menu")


class AgentError(ValueError):
    """An agent's file cannot be used; the message names the file, the key and what is allowed."""


class Dish(BaseModel):
    """One line of the menu."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    price: float = Field(ge=0)
    """In the currency the persona speaks of."""
    course: str = ""
    vegetarian: bool = False
    about: str = ""
    """What is in it, in a few words."""


class Agent(BaseModel):
    """Who answers; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1)
    language: str = "en"
    timezone: str = ""
    """IANA name, e.g. "Europe/Berlin"; empty is the machine's own."""
    persona: str = Field(min_length=1)
    brief: str = ""
    """A system prompt for a model that knows its task and reads every word slowly."""
    greeting: str = ""
    vocabulary: tuple[str, ...] = ()
    """Words and names that callers say and recognition should expect."""
    hours: OpeningHours = OpeningHours()
    menu: tuple[Dish, ...] = ()
    tools: tuple[str, ...] = ()
    tool_settings: dict[str, Any] = Field(default_factory=dict)
    """Validated settings by tool set; in the file they are tables of their own."""

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError(
                    f"{value!r} is no time zone known here; e.g. 'Europe/Rome'"
                ) from None
        return value

    @field_validator("persona", "brief")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        try:
            used = {
                field for _, field, _, _ in string.Formatter().parse(value) if field is not None
            }
        except ValueError as error:
            raise ValueError(
                f"{error} (a plain brace is written twice; allowed: {allowed})"
            ) from None
        if unknown := used - set(PLACEHOLDERS):
            raise ValueError(f"unknown placeholder {{{sorted(unknown)[0]}}}; allowed: {allowed}")
        return value

    def now(self) -> datetime:
        """Return the agent's local time, without a time zone attached."""
        return datetime.now(ZoneInfo(self.timezone) if self.timezone else None).replace(tzinfo=None)

    def system_prompt(self, now: datetime, *, brief: bool = False) -> str:
        """Return the persona with its placeholders filled for ``now`` (the agent's local time).

        Only the date goes in, not the minute, so that a server's prompt cache holds all day.

        Args:
            brief: Use ``brief`` instead, where the agent has one.
        """
        persona = self.brief if brief and self.brief else self.persona
        return persona.format(
            name=self.name,
            today=f"{WEEKDAYS[now.weekday()].title()}, {now:%d %B %Y} ({now:%Y-%m-%d})",
            spoken_today=say_day(now.date()),
            hours=self.hours.describe(),
            menu=self._describe_menu(),
        ).strip()

    def phrases(self) -> list[str]:
        """Return the words and phrases recognition should expect, without repeats."""
        dishes = [dish.name for dish in self.menu]
        return list(dict.fromkeys([self.name, *dishes, *self.vocabulary]))

    def tool_set(self, now: Clock | None = None) -> AgentTools:
        """Make the agent's tools; call once per process, then ``start()``.

        Args:
            now: The agent's local time without a time zone; default: the clock of ``timezone``.
        """
        clock = now or self.now
        made = [tool_set_class(name)(self.tool_settings[name], self, clock) for name in self.tools]
        return AgentTools(made)

    def _describe_menu(self) -> str:
        lines = []
        for course in dict.fromkeys(dish.course for dish in self.menu):
            lines.append(f"{course}:" if course else "Menu:")
            for dish in self.menu:
                if dish.course == course:
                    notes = [dish.about] if dish.about else []
                    notes += ["vegetarian"] if dish.vegetarian else []
                    note = f" ({', '.join(notes)})" if notes else ""
                    lines.append(f"- {dish.name}: {dish.price:g}{note}")
        return "\n".join(lines)


class AgentTools:
    """All tool sets of an agent, started and stopped together."""

    def __init__(self, sets: list[ToolSet]) -> None:
        self._sets = sets

    async def start(self) -> None:
        """Start every set; where one fails, those already started are stopped again."""
        started: list[Callable[[], Any]] = []
        try:
            for tools in self._sets:
                await tools.start()
                started.append(tools.stop)
        except BaseException:
            for stop in reversed(started):
                await stop()
            raise

    def tools(self, conversation: str = "") -> list[Tool]:
        """Return the tools of one conversation; its id tells unnamed callers apart."""
        return [tool for tools in self._sets for tool in tools.tools(conversation)]

    async def stop(self) -> None:
        """Stop every set, last started first."""
        for tools in reversed(self._sets):
            await tools.stop()


def load_agent(path: Path) -> Agent:
    """Read an agent from its TOML file.

    Raises:
        AgentError: Not there, not TOML, or something in it is wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AgentError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AgentError(f"{path}: not valid TOML: {error}") from error
    if "tool_settings" in document:
        raise AgentError(
            f"{path}: tool_settings: unknown key; use a table named after the tool set"
        )
    names = document.get("tools", [])
    settings: dict[str, Any] = {}
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str):  # what is not is reported by the validation below
            try:
                model = tool_set_class(name).Settings
            except LookupError as error:
                raise AgentError(f"{path}: tools: {error}") from error
            settings[name] = _validated(path, model, document.pop(name, {}), f"{name}.")
    return _validated(path, Agent, {**document, "tool_settings": settings}, "")


def _validated(path: Path, model: type[ModelT], values: Any, prefix: str) -> ModelT:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling says more.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = prefix + ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            allowed = [name for name in _fields(model, first["loc"]) if name != "tool_settings"]
            what = f"unknown key; allowed: {', '.join(allowed)}"
            if model is Agent and len(first["loc"]) == 1:
                what += ", and a table named after each of `tools`"
        raise AgentError(f"{path}: {key}: {what}") from error


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys allowed beside the one at ``loc``: follows nested tables and lists of tables."""
    for part in loc[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            for kind in (annotation, *get_args(annotation)):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    model = kind
    return list(model.model_fields)
