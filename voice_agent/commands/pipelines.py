"""``voice-agent pipelines``: the pipelines there are."""

from __future__ import annotations

import argparse
import tomllib

from voice_agent.config import shipped_pipelines


def run(_arguments: argparse.Namespace) -> int:
    """Print each shipped pipeline's name, engines and description."""
    for name, file in shipped_pipelines().items():
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        engines = " -> ".join(str(tables[stage]["engine"]) for stage in ("asr", "llm", "tts"))
        print(f"{name:<14} {engines}\n{'':<14} {tables.get('description', '')}")
    return 0
