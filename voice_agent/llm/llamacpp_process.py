"""llama.cpp's worker process, and what it says when it dies."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from voice_agent.llm.llamacpp_wire import Load
from voice_agent.llm.model_process import BACK_OFF_S, ModelProcess
from voice_agent.workers.process import WorkerProcess

__all__ = ["LlamaCppProcess"]

_LOG_LINE = re.compile(r"^[\d.]+ E +")


class LlamaCppProcess(ModelProcess):
    """One worker process with one model in llama.cpp.

    Args:
        load: What is loaded, and how.
        back_off_s: Before each attempt to replace a dead worker.
    """

    def __init__(self, load: Load, back_off_s: Sequence[float] = BACK_OFF_S) -> None:
        worker = "voice_agent.llm.llamacpp_worker"
        name = f"llama.cpp with {load.model}"
        super().__init__(worker, load.to_json(), name, back_off_s)

    def _complaint(self, worker: WorkerProcess, status: int) -> str:
        """Return the first thing that went wrong."""
        for line in worker.complaints:
            if "GGML_ASSERT" in line:
                return f"{line[line.index('GGML_ASSERT') :]}: the file is broken or of a new kind"
            if _LOG_LINE.match(line):
                return _LOG_LINE.sub("", line).rpartition("error loading model: ")[2]
        if any("No module named 'xllamacpp'" in line for line in worker.complaints):
            return f"the package xllamacpp is not installed for {sys.executable}"
        last = next((line for line in reversed(worker.complaints) if line), "")
        return f"exit status {status}{f', {last}' if last else ''}"
