"""``voice-agent models``: those that are shipped, made again, downloaded, or checked."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.paths import models_dir, weights_dir

if TYPE_CHECKING:
    from voice_agent.weights.plan import Plan

RECIPE = "build.py"
"""A model's folder with this file can be built."""


def add_arguments(commands: Any) -> None:
    """Add the command to the parser."""
    models = commands.add_parser(
        "models", help="list the models there are, download or check their weights, or build one"
    )
    what = models.add_subparsers(dest="what", metavar="WHAT")
    build = what.add_parser(
        "build", help="make a model again from its recipe, models/NAME/build.py"
    )
    build.add_argument("name", metavar="NAME")
    build.add_argument("arguments", nargs=argparse.REMAINDER, help="passed to the recipe")
    pull = what.add_parser(
        "pull",
        help="download weights",
        description="Download weights from where they are published, show their licence, take up "
        "what broke off, and check what came. HF_TOKEN opens models behind a gate, HF_ENDPOINT "
        "names another hub.",
    )
    pull.add_argument(
        "names", nargs="+", metavar="NAME", help="as listed, or OWNER/NAME of the hub"
    )
    check = what.add_parser("check", help="whether downloaded weights are what they were")
    check.add_argument("names", nargs="*", metavar="NAME", help="all of them without one")


def run(arguments: argparse.Namespace) -> int:
    """List the models, or do something with them; returns the exit status."""
    if arguments.what == "build":
        return _build(arguments.name, arguments.arguments)
    if arguments.what == "pull":
        return asyncio.run(_pull(arguments.names))
    if arguments.what == "check":
        return _check(arguments.names)
    for folder in _folders():
        size_mb = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        print(f"{folder.name:<25} {size_mb:6.1f} MB  {_summary(folder / 'README.md')}")
    if not _folders():
        print("no models are shipped; engines bring their own")
    return _list_weights()


def _list_weights() -> int:
    from voice_agent.weights.plan import known

    print()
    for name, source in known().items():
        there = "here" if (weights_dir() / name).is_dir() else "pull"
        print(f"{name:<25} {there:>9}  {source.about}")
    return 0


async def _pull(names: list[str]) -> int:
    import aiohttp

    from voice_agent.weights.plan import WeightsError, plan, source
    from voice_agent.weights.pull import pull

    # No total timeout: gigabytes take what they take; a connection that is silent is given up.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as http:
            for wanted in [source(name) for name in names]:
                planned = await plan(http, wanted)
                _say_what(planned)
                await pull(http, planned, weights_dir() / planned.name, _Progress())
                print(f"{planned.name} is in {weights_dir() / planned.name}")
    except WeightsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {weights_dir()} cannot be written to: {error}", file=sys.stderr)
        return 1
    return 0


def _say_what(planned: Plan) -> None:
    size = f", {planned.size / 1e6:.0f} MB" if planned.size else ""
    print(f"{planned.name}: {planned.origin}, {len(planned.files)} files{size}")
    print(f"licence: {planned.licence or 'not said'} ({planned.page})")


class _Progress:
    """A line for every file; on a terminal it moves, elsewhere it is told by tenths."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty()
        self._told: dict[str, int] = {}

    def __call__(self, path: str, have: int, total: int | None) -> None:
        tenth = have * 10 // total if total else 0
        if not self._moves and self._told.get(path) == tenth:
            return
        self._told[path] = tenth
        of = f" of {total / 1e6:.1f} MB, {100 * have // total} %" if total else " MB"
        end = "\n" if not self._moves or have == total else ""
        print(f"\r  {path}: {have / 1e6:.1f}{of}", end=end, file=sys.stderr, flush=True)


def _check(names: list[str]) -> int:
    from voice_agent.weights.plan import WeightsError
    from voice_agent.weights.pull import check

    there = sorted(weights_dir().iterdir()) if weights_dir().is_dir() else []
    folders = [weights_dir() / name for name in names] or [each for each in there if each.is_dir()]
    if not folders:
        print("nothing was pulled yet")
    status = 0
    for folder in folders:
        try:
            wrong = check(folder)
        except WeightsError as error:
            wrong = [str(error)]
        print(f"{folder.name}: {'; '.join(wrong) or 'as it was downloaded'}")
        status |= bool(wrong)
    return status


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
