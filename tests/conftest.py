"""What tests of whole calls share: one real server, started once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Server


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookings and traces of a test's own, never those of this machine's user."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default pipeline, as a fresh clone runs it; bookings from other tests may be in it."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; skips where there is none."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: install Debian's `chromium`, or set CHROMIUM=/path/to/it")
    return found
