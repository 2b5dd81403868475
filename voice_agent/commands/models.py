"""``voice-agent models``: the models there are."""

from __future__ import annotations

import argparse
from pathlib import Path

from voice_agent.paths import models_dir


def run(_arguments: argparse.Namespace) -> int:
    """Print each model's name, size and the first line of its card."""
    folders = [folder for folder in sorted(models_dir().iterdir()) if folder.is_dir()]
    for folder in folders:
        size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        print(f"{folder.name:<25} {size_mb:6.1f} MB  {_summary(folder / 'README.md')}")
    if not folders:
        print("no models are shipped; engines bring their own")
    return 0


def _summary(card: Path) -> str:
    """Return the first sentence of the card, headings aside."""
    if not card.is_file():
        return "(no card yet)"
    paragraphs = card.read_text(encoding="utf-8").split("\n\n")
    text = next((p for p in paragraphs if p.strip() and not p.lstrip().startswith("#")), "")
    return " ".join(text.split()).partition(". ")[0].rstrip(".") + "."
