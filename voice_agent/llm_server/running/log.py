"""What a server's log tells: how far its start is, and why it died. Pure.

The lines are those of TensorRT-LLM, vLLM and SGLang, matched by the words that have stayed the
same over versions; what is not recognised changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["cause_of_death", "phase_of"]

_PHASES = (
    ("downloading the weights", r"download|fetching \d+ files"),
    ("loading the weights", r"loading (model )?(weights|checkpoint|safetensors)|load_weights"),
    (
        "compiling kernels: minutes, the first time",
        r"compil|autotun|jit|torch\.compile|building .*kernel|ninja",
    ),
    ("recording CUDA graphs", r"cuda ?graphs?.*(captur|warm)|captur\w* .*cuda ?graph"),
    ("making room for conversations", r"kv.?cache.*(alloc|estimat|blocks|memory)|available kv"),
    ("opening its port", r"application startup complete|uvicorn running|started server process"),
)
_PATTERNS = [(phase, re.compile(pattern, re.IGNORECASE)) for phase, pattern in _PHASES]

_CAUSES = (
    (
        r"out of memory|outofmemory|cudaErrorMemoryAllocation|no available memory for the cache",
        "the GPU's memory is not enough",
        "close what else uses the GPU (nvidia-smi), or ask for less: --calls, --context, "
        "--reserve, a smaller --model",
    ),
    (
        r"address already in use|failed to bind socket|errno 98",
        "its port is taken",
        "choose another with --port",
    ),
    (
        r"401 client error|403 client error|gated repo|access to model .* is restricted",
        "the weights may not be downloaded",
        "accept the model's licence on its page and set HF_TOKEN, or give --weights",
    ),
    (
        r"repositorynotfound|404 client error|is not a local folder and is not a valid model",
        "the weights cannot be found",
        "see the spelling, or give a folder with --weights",
    ),
    (
        r"maxretryerror|name resolution|offline mode|connection ?error.*huggingface",
        "the weights cannot be downloaded",
        "this machine does not reach the model's page: give a folder with --weights",
    ),
    (
        r"no cuda gpus|no gpu devices found|cuda driver version is insufficient|libcuda\.so",
        "no GPU can be used",
        "see `nvidia-smi`; in a container, start it with --gpus all, and a driver that fits",
    ),
    (
        r"no kernel image is available|unsupported gpu|sm_?\d+ is not supported",
        "this version has no kernels for this GPU",
        "take a later version, or --precision bf16",
    ),
    (
        r"extra inputs are not permitted|no such option|unrecognized arguments|extra_forbidden",
        "this version does not know an option",
        "name the version that runs with --runtime-version: options follow it",
    ),
    (
        r"no space left on device",
        "the disk is full",
        "kernels and weights are kept: HF_HOME, TRITON_CACHE_DIR name where",
    ),
)
_CAUSE_PATTERNS = [
    (re.compile(pattern, re.IGNORECASE), what, todo) for pattern, what, todo in _CAUSES
]
_LOUD = re.compile(r"error|exception|fatal|failed|abort", re.IGNORECASE)


def phase_of(line: str) -> str | None:
    """Return what the server begins to do with this line; None where it says nothing of that."""
    return next((phase for phase, pattern in _PATTERNS if pattern.search(line)), None)


def cause_of_death(lines: Iterable[str], status: int) -> str:
    """Return why a server ended, and what to do about it.

    Args:
        lines: The last of its log.
        status: Its exit status; negative for a signal.
    """
    kept = [line.strip() for line in lines if line.strip()]
    for pattern, what, todo in _CAUSE_PATTERNS:
        for line in kept:
            if pattern.search(line):
                return f"{what} ({_shortened(line)}); {todo}"
    if status == -9:
        return "it was killed, most likely because the machine's memory ran out (see dmesg)"
    ended = f"signal {-status}" if status < 0 else f"status {status}"
    said = next((line for line in reversed(kept) if _LOUD.search(line)), "")
    said = said or (kept[-1] if kept else "it said nothing")
    return f"{ended}; the last it said of it: {_shortened(said)}"


def _shortened(line: str, most: int = 240) -> str:
    return line if len(line) <= most else line[:most] + " …"
