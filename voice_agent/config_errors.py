"""Mistakes in a pipeline's configuration, in words: where, which key, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    place: str
    """The file, the environment variable or the flag that holds it."""
    key: str
    """Dotted, as in ``llm.temperature``; empty when the whole file is meant."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


class ConfigError(ValueError):
    """A pipeline that cannot be used; ``problems`` holds every mistake found, at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word closest to ``word``, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    section: tuple[str, ...],
    place_of: Callable[[tuple[str, ...]], str],
) -> list[Problem]:
    """Return pydantic's errors about ``model``, the table called ``section``, as problems."""
    problems = []
    for detail in error.errors(include_url=False):
        keys = section + tuple(str(part) for part in detail["loc"])
        problems.append(Problem(place_of(keys), ".".join(keys), _message(detail, model)))
    return problems


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    loc = [str(part) for part in detail["loc"]]
    match detail["type"]:
        case "extra_forbidden":
            allowed = _keys_beside(loc, model)
            listed = ", ".join(sorted(allowed)) or "no keys at all"
            return f"no such key{did_you_mean(loc[-1], allowed)}; allowed here: {listed}"
        case "missing":
            return "missing; it has to be set"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case _:
            said = detail["msg"].replace("Input should", "should", 1)
            given = repr(detail["input"])
            return f"{said}, not {given if len(given) <= 60 else given[:57] + '...'}"


def _keys_beside(loc: Sequence[str], model: type[BaseModel]) -> list[str]:
    """Return the keys allowed in the table that holds the key at ``loc``."""
    for part in loc[:-1]:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        candidates = [annotation, *get_args(annotation)]
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]
