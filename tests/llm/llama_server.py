"""llama.cpp's own HTTP server with a model, in a process of its own: a real server to point at.

``python -m tests.llm.llama_server MODEL [--port N] [--draft N] [--slots N]`` prints its address.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TINY = Path(__file__).parents[2] / "models" / "nemotron-tiny" / "nemotron-tiny.gguf"


def load(model: str, port: int, draft: int, slots: int) -> Any:
    """Serve the model until the process ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {Path(model).stem}
    params.port = port
    params.n_parallel, params.n_ctx = slots, 4096 * slots
    params.fit_params = params.warmup = params.ui = False
    params.verbosity = 0
    params.endpoint_slots = params.endpoint_metrics = True
    cpus = [params.cpuparams, params.cpuparams_batch]
    if draft:
        kind = xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_MTP
        params.speculative.types = [kind]
        params.speculative.draft.n_max = draft
        cpus += [params.speculative.draft.cpuparams, params.speculative.draft.cpuparams_batch]
    for cpu in cpus:
        cpu.n_threads = 1
    return xllamacpp.Server(params)


@contextmanager
def llama_server(model: Path = TINY, *, draft: int = 0, slots: int = 2) -> Iterator[str]:
    """Yield the address (up to ``/v1``) of a server that ends with the block."""
    command = [sys.executable, "-m", "tests.llm.llama_server", str(model)]
    command += ["--draft", str(draft), "--slots", str(slots)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--draft", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    asked = parser.parse_args()
    server = load(asked.model, asked.port, asked.draft, asked.slots)
    print(f"{server.listening_address}/v1", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
