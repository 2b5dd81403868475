"""Our small Nemotron behind ``transformers serve``: another real server, held to the contract."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_agent.llm_server.proof.client import Endpoint
from voice_agent.llm_server.proof.contract import check
from voice_agent.llm_server.proof.findings import Verdict
from voice_agent.paths import models_dir

FOLDER = models_dir() / "nemotron-tiny"
END = "<|im_end|>"

pytestmark = pytest.mark.train


def published(folder: Path) -> Path:
    """Write the shipped weights as transformers reads them: what a hub would hold."""
    from export import read, unstacked
    from model import Config
    from safetensors.torch import save_file

    config = Config.load(FOLDER / "config.json")
    state = unstacked(read(FOLDER / "nemotron-tiny.gguf", config))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.values))
    tokenizer = json.loads((FOLDER / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (end,) = (each["id"] for each in tokenizer["added_tokens"] if each["content"] == END)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    template = (FOLDER / "chat_template.jinja").read_text()
    kept = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END}
    (folder / "tokenizer_config.json").write_text(json.dumps({**kept, "chat_template": template}))
    return folder


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """The address of a ``transformers serve``, and its model's name."""
    if not importlib.util.find_spec("torch"):
        pytest.fail("these tests need the extra `train`")
    monkeypatch.syspath_prepend(str(FOLDER))
    folder = tmp_path / "nemotron-tiny"
    folder.mkdir()
    (tmp_path / "hub").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", str(published(folder)), "--device", "cpu"]
    command += ["--dtype", "float32", "--port", str(port)]
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    try:
        until = time.monotonic() + 120
        while True:
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, "not ready after 120 s"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        server.kill()
        server.wait()


async def test_transformers_serve_streams_and_is_told_what_it_lacks(
    served: tuple[str, str],
) -> None:
    """It streams, counts, thinks nothing and serves three at once; this version ends streams
    without [DONE] and has no parser for this family's tool calls, and the contract says both."""
    url, model = served
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    async with Endpoint(url, model=model, fields=off, timeout_s=120.0) as endpoint:
        found = {finding.check: finding for finding in await check(endpoint)}
    for name in ("whole answer", "usage", "thinking off", "side by side"):
        assert found[name].verdict is Verdict.OK, found[name]
    assert "ends without [DONE]" in found["streaming"].found
    assert found["streaming"].verdict is Verdict.LACKS
    assert "a call written as text" in found["tools"].found
    assert found["errors"].verdict is not Verdict.OK
