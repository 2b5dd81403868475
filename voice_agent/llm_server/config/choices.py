"""Values with their reasons, and YAML that says both. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "Table", "as_yaml", "plain"]

_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Choice:
    """A value and why it is this one."""

    value: bool | int | float | str | list[Any] | dict[Any, Any] | None
    why: str


Table = Mapping[str, "Choice | Table"]


def plain(table: Table) -> dict[str, Any]:
    """Return the values alone."""
    return {
        key: entry.value if isinstance(entry, Choice) else plain(entry)
        for key, entry in table.items()
    }


def as_yaml(table: Table, title: str) -> str:
    """Return YAML with each reason in a comment above its value; ``title`` heads the file."""
    return "".join([_comment(title, ""), "\n", *_lines(table, "")])


def _lines(table: Table, indent: str) -> list[str]:
    written = []
    for key, entry in table.items():
        if isinstance(entry, Choice):
            written.append(_comment(entry.why, indent))
            written.append(f"{indent}{key}: {_scalar(entry.value)}\n")
        else:
            written.append(f"{indent}{key}:\n")
            written += _lines(entry, indent + "  ")
    return written


def _comment(text: str, indent: str) -> str:
    mark = f"{indent}# "
    wrapped = textwrap.wrap(
        text, _WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False
    )
    return "".join(f"{line}\n" for line in wrapped)


def _scalar(value: object) -> str:
    """Return a value as YAML's flow style has it, which JSON is a part of."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_scalar(each)}" for key, each in value.items()) + "}"
    if (
        isinstance(value, str)
        and value.replace("_", "").replace("-", "").replace("/", "").isalnum()
    ):
        return json.dumps(value) if value.lower() in _RESERVED or value[0].isdigit() else value
    return json.dumps(value)


_BARE = re.compile(r"[A-Za-z][\w/-]*")
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"}
