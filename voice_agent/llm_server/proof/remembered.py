"""Which servers have passed their self-test: by model, version, GPU and configuration."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_data_path

from voice_agent.llm_server.proof.findings import Finding, as_json, passed

__all__ = ["has_passed", "remember"]


def has_passed(configuration: str) -> bool:
    """Whether a server with exactly this configuration has passed.

    Args:
        configuration: Everything the server is started with, as text, the version included.
    """
    try:
        kept = json.loads(_file(configuration).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(kept.get("passed"))


def remember(configuration: str, findings: Sequence[Finding]) -> Path:
    """Keep what was found, whether it passed or not; return the file."""
    file = _file(configuration)
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "passed": passed(findings),
        "findings": as_json(findings),
        "configuration": configuration,
    }
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    return file


def _file(configuration: str) -> Path:
    folder = os.environ.get("VOICE_AGENT_DATA")
    base = Path(folder) if folder else user_data_path("voice-agent", appauthor=False)
    return base / "self-tests" / f"{hashlib.sha256(configuration.encode()).hexdigest()[:16]}.json"
