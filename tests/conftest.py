"""What tests share: one real server, started once, and language models made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import PATTERNS, Server


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookings and traces of a test's own, never those of this machine's user."""
    monkeypatch.setenv("VOICE_AGENT_DATA", str(tmp_path))


HELLO = "Good evening, what can I do for you?"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The default pipeline, as a fresh clone runs it; bookings from other tests may be in it."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same with patterns for a language model: tests that need to know what is said."""
    overrides = [argument for override in PATTERNS for argument in ("--set", override)]
    with Server(tmp_path_factory.mktemp("patterns"), *overrides) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; skips where there is none."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: install Debian's `chromium`, or set CHROMIUM=/path/to/it")
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: hello.gguf says HELLO, endless.gguf counts forever, random.gguf writes noise,
    tools.gguf says a word and calls ``weather`` twice."""
    # Only here: most tests need no models, and making them takes NumPy and the gguf package.
    from tests.llm.tiny_gguf import random_model, speaking_model

    folder = tmp_path_factory.mktemp("models")
    speaking_model(folder / "hello.gguf", HELLO)
    speaking_model(folder / "endless.gguf", "One two three four five six seven eight", forever=True)
    random_model(folder / "random.gguf")
    call = "<function=weather>\n<parameter=city>\n{}\n</parameter>\n</function>\n</tool_call>"
    speaking_model(
        folder / "tools.gguf",
        [
            "Wait.",
            "<tool_call>",
            "\n" + call.format("Rome"),
            "\n<tool_call>\n" + call.format("Bari"),
        ],
    )
    return folder
