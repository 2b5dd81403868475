"""Tickets and secrets on a shelf: in one process, and in several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voice_agent.shelf import Memory, Shared, Shelf


@pytest.fixture(params=["memory", "shared"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Shelf]:
    """Return what makes the shelf as another process would see it."""
    memory = Memory(3)
    if request.param == "memory":
        return lambda: memory
    return lambda: Shared(tmp_path / "shelf.sqlite", "tickets", 3)


def test_what_is_taken_is_gone_for_all(shelf: Callable[[], Shelf]) -> None:
    """A ticket is good once, whoever asks."""
    shelf().put(b"a", ("a call", 7), 0.0, 10.0)
    assert shelf().get(b"a", 1.0) == ("a call", 7)
    assert shelf().take(b"a", 1.0) == ("a call", 7)
    assert shelf().take(b"a", 1.0) is None
    assert shelf().get(b"a", 1.0) is None


def test_what_is_too_old_is_not_there(shelf: Callable[[], Shelf]) -> None:
    """From that moment on."""
    shelf().put(b"a", "one", 0.0, 10.0)
    assert shelf().get(b"a", 9.9) == "one"
    assert shelf().get(b"a", 10.0) is None
    assert shelf().take(b"a", 10.0) is None


def test_the_oldest_make_room(shelf: Callable[[], Shelf]) -> None:
    """A stranger cannot fill the memory."""
    for number in range(5):
        shelf().put(bytes([number]), number, 0.0, 10.0)
    assert [shelf().get(bytes([number]), 0.0) for number in range(5)] == [None, None, 2, 3, 4]


def test_shelves_of_one_file_do_not_mix(tmp_path: Path) -> None:
    """A client secret is no ticket."""
    path = tmp_path / "shelf.sqlite"
    Shared(path, "secrets", 3).put(b"a", "one", 0.0, 10.0)
    assert Shared(path, "tickets", 3).take(b"a", 0.0) is None
