"""What this machine has: its GPU, and which runtime is installed. Looks, changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from voice_agent.llm_server.config.wish import Gpu, PlanError, Runtime, Version

__all__ = ["PACKAGES", "PROGRAMS", "gpu_found", "parse_gpu", "python_of", "version_found"]

PACKAGES: dict[Runtime, str] = {"trtllm": "tensorrt_llm", "vllm": "vllm", "sglang": "sglang"}
PROGRAMS: dict[Runtime, str] = {"trtllm": "trtllm-serve", "vllm": "vllm", "sglang": "sglang"}
_QUERY = ("--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")


def gpu_found() -> Gpu:
    """Return the first GPU that ``nvidia-smi`` lists.

    Raises:
        PlanError: There is none; the message says how to plan for another machine.
    """
    hint = "to plan for another machine, add --gpu NAME:GIB:CAPABILITY, as in H100:80:9.0"
    if shutil.which("nvidia-smi") is None:
        raise PlanError(f"no NVIDIA GPU here (nvidia-smi is not installed); {hint}")
    asked = subprocess.run(
        ("nvidia-smi", *_QUERY), capture_output=True, text=True, timeout=20, check=False
    )
    lines = asked.stdout.strip().splitlines()
    if asked.returncode or not lines:
        said = (asked.stderr or asked.stdout).strip() or "it lists none"
        raise PlanError(f"no NVIDIA GPU can be used: {said}; {hint}")
    name, mib, capability = (part.strip() for part in lines[0].split(","))
    return parse_gpu(f"{name}:{float(mib) / 1024:.1f}:{capability}")


def parse_gpu(text: str) -> Gpu:
    """Read ``NAME:GIB:CAPABILITY``.

    Raises:
        PlanError: It is something else.
    """
    try:
        name, gib, capability = text.rsplit(":", 2)
        major, minor = capability.split(".")
        return Gpu(name, float(gib), (int(major), int(minor)))
    except ValueError:
        raise PlanError(f"{text!r} is no GPU; like H100:80:9.0 or 'RTX 6000 Ada:48:8.9'") from None


def python_of(runtime: Runtime) -> str:
    """Return the Python that runs a runtime's program: in its container it is not ours."""
    program = shutil.which(PROGRAMS[runtime])
    if program is None:
        return sys.executable
    with open(program, "rb") as file:
        first = file.readline(512).decode(errors="replace").strip()
    words = first.removeprefix("#!").split()
    is_python = first.startswith("#!") and words and "python" in Path(words[0]).name
    return words[0] if is_python else sys.executable


def version_found(runtime: Runtime) -> Version:
    """Return the installed version of a runtime.

    Raises:
        PlanError: It is not installed here; the message says how to get it, or plan without.
    """
    package = PACKAGES[runtime]
    try:
        return Version.parse(version(package))
    except PackageNotFoundError:
        asking = f"import importlib.metadata as m; print(m.version({package!r}))"
        command = (python_of(runtime), "-c", asking)
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if asked.returncode == 0:
            return Version.parse(asked.stdout)
        raise PlanError(
            f"{package} is not installed here; run it in its container "
            "(docs/nemotron.md), install it, or name the version to plan for with "
            "--runtime-version"
        ) from None
