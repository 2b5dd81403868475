"""``voice-agent models``: the models there are, and how to make one again."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from voice_agent.paths import models_dir

RECIPE = "build.py"
"""A model's folder with this file can be built."""


def run(arguments: argparse.Namespace) -> int:
    """List the models, or build one; returns the exit status."""
    if arguments.what == "build":
        return _build(arguments.name, arguments.arguments)
    for folder in _folders():
        size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        print(f"{folder.name:<25} {size_mb:6.1f} MB  {_summary(folder / 'README.md')}")
    if not _folders():
        print("no models are shipped; engines bring their own")
    return 0


def _folders() -> list[Path]:
    return [folder for folder in sorted(models_dir().iterdir()) if folder.is_dir()]


def _build(name: str, arguments: list[str]) -> int:
    """Run the model's recipe with this Python; what it prints is what there is to see."""
    recipe = models_dir() / name / RECIPE
    if not recipe.is_file():
        can = [folder.name for folder in _folders() if (folder / RECIPE).is_file()]
        print(
            f"models/{name} has no {RECIPE}; there is one in: {', '.join(can) or 'none'}. "
            f"How others are made is in their README.md",
            file=sys.stderr,
        )
        return 2
    return subprocess.call([sys.executable, str(recipe), *arguments])


def _summary(card: Path) -> str:
    """Return the first sentence of the card, headings aside."""
    if not card.is_file():
        return "(no card yet)"
    paragraphs = card.read_text(encoding="utf-8").split("\n\n")
    text = next((p for p in paragraphs if p.strip() and not p.lstrip().startswith("#")), "")
    return " ".join(text.split()).partition(". ")[0].rstrip(".") + "."
