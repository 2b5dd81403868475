"""What a client is told that cannot be done: the API's error codes, in one place. Pure.

Codes and sentences are those the API itself uses where it has any for the case, because clients
look at them: many treat some codes as harmless races.
"""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A client event that cannot be carried out; becomes the API's ``error`` event.

    Args:
        code: The API's machine-readable code.
        message: A sentence; quotes nothing the client said but names and numbers.
        param: Path of the field at fault, such as ``session.audio.output.voice``.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def missing(param: str) -> Refused:
    """A required field is not there."""
    return Refused("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def unknown(param: str) -> Refused:
    """There is no such field."""
    return Refused("unknown_parameter", f"Unknown parameter: '{param}'.", param)


def invalid(param: str, why: str) -> Refused:
    """The field's value cannot be used."""
    return Refused("invalid_value", f"Invalid '{param}': {why}", param)


def not_one_of(param: str, value: Any, allowed: list[str]) -> Refused:
    """The field's value is not among those there are."""
    shown = str(value)[:64]
    listed = ", ".join(f"'{each}'" for each in allowed)
    message = f"Invalid value: '{shown}'. Supported values are: {listed}."
    return Refused("invalid_value", message, param)


def unsupported(param: str, what: str) -> Refused:
    """The API has it and this server does not."""
    return Refused("unsupported_parameter", f"{what} not supported by this server.", param)


def no_item(action: str, item_id: str) -> Refused:
    """No item of the conversation has this id; ``action`` is "delete", "retrieve", ..."""
    code = f"item_{action}_invalid_item_id"
    doing = {"delete": "deleting", "retrieve": "retrieving", "truncate": "truncating"}[action]
    shown = item_id[:64]
    message = f"Error {doing} item: the item with id '{shown}' does not exist."
    return Refused(code, message, "item_id")


def error_body(kind: str, code: str | None, message: str, param: str | None = None) -> Any:
    """Return the body of an HTTP error as the API writes it."""
    return {"error": {"type": kind, "code": code, "message": message, "param": param}}
