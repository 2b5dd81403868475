"""Models made once for all tests of the llamacpp engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.llm.tiny_gguf import random_model, speaking_model

HELLO = "Good evening, what can I do for you?"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: hello.gguf says HELLO, endless.gguf counts forever, random.gguf writes noise,
    tools.gguf says a word and calls ``weather`` twice."""
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
