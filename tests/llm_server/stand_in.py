"""A STAND-IN for ``trtllm-serve``: its command line and YAML, and behind it llama.cpp's real HTTP
server with our small Nemotron. What is tested is how a server is kept, not TensorRT-LLM.

``STAND_IN`` in the environment says what is wrong with it: "oom" (dies while it loads), "counts
layers" (drafts one token whatever is asked).
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.llm.llama_server import TINY, load


def install(folder: Path) -> None:
    """Put it into ``folder`` as an executable called ``trtllm-serve``."""
    program = folder / "trtllm-serve"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m {__name__} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int)
    parser.add_argument("--extra_llm_api_options", type=Path)
    asked, _ = parser.parse_known_args()
    options: dict[str, Any] = yaml.safe_load(asked.extra_llm_api_options.read_text())
    draft = options.get("speculative_config", {}).get("max_draft_len", 0)
    wrong = os.environ.get("STAND_IN", "")
    print("Loading weights of", asked.model, flush=True)
    if wrong == "oom":
        print("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 22 GiB", flush=True)
        sys.exit(1)
    if wrong == "counts layers":
        draft = min(draft, 1)
    print("Capturing CUDA graphs", flush=True)
    server = load(str(TINY), asked.port, draft, options["max_batch_size"])
    print("serving at", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
