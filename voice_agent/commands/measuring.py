"""What the benches of single engines share: how one is run, and the table of word errors."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from voice_agent.commands import fail, sigterm_as_exit

if TYPE_CHECKING:
    from voice_agent.engines import Engine

EnginesT = TypeVar("EnginesT")


def measure(
    arguments: argparse.Namespace,
    engines: Callable[[argparse.Namespace], EnginesT],
    work: Callable[[EnginesT, argparse.Namespace], Coroutine[Any, Any, Any]],
    *,
    silent: str,
) -> int:
    """Run ``work`` on what ``engines`` makes; write what it returns where ``--json`` says.

    Args:
        silent: The error when one of them did not answer in time.

    Returns:
        0 when all could be measured, 1 when one failed, 2 on bad input.
    """
    from voice_agent.config_errors import ConfigError
    from voice_agent.engines import EngineError
    from voice_agent.load.errors import WavError
    from voice_agent.process import new_event_loop

    if arguments.json is not None and not arguments.json.parent.is_dir():
        return fail(f"{arguments.json}: there is no such folder")
    try:
        made = engines(arguments)
        with sigterm_as_exit(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            figures = runner.run(work(made, arguments))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    except (EngineError, TimeoutError) as error:
        fail(str(error) or silent)
        return 1
    except (ConfigError, WavError, OSError) as error:
        return fail(error)
    return 0


def recogniser(pipeline: str, overrides: Sequence[str]) -> Engine[Any]:
    """Return the recogniser of a pipeline with ``overrides``, not started.

    Raises:
        ConfigError: There is no such engine, or it has no such settings.
    """
    from voice_agent.config import load_pipeline
    from voice_agent.engines import EngineContext, engine_class

    loaded = load_pipeline(pipeline, overrides, os.environ)
    return engine_class("asr", loaded.asr.engine)(
        loaded.asr.settings, EngineContext(loaded.search_path)
    )


def by_name(engine: str) -> list[str]:
    """Return the overrides that choose a recogniser that is only given recordings."""
    chosen = [f"asr.engine={engine}"]
    if engine == "pocketsphinx":
        # Nobody tells it when a voice begins here.
        chosen += ["asr.gate=energy", "asr.workers=1", "asr.silence_ms=5000"]
    return chosen


def by_server(server: str) -> list[str]:
    """Return the overrides that choose a Riva server's recogniser."""
    return ["asr.engine=riva", f'asr.server="{server}"']


def word_errors_of(
    heard: tuple[int, int, list[tuple[str, str]]], unit: str, count: int
) -> dict[str, Any]:
    """Return the figures of what ``misheard`` returned for ``count`` of ``unit``."""
    errors, words, otherwise = heard
    return {
        "word_error_rate": round(errors / max(1, words), 4),
        "words": words,
        unit: count,
        "otherwise": otherwise,
    }


def print_word_errors(
    made: Mapping[str, Mapping[str, Any]], who: str, unit: str, *, misheard: bool
) -> None:
    """Print the figures of each, and with ``misheard`` what was heard otherwise."""
    from voice_agent.load.table import aligned

    rows = [(who, "word error rate", f"{unit} heard right")]
    for title, figures in made.items():
        right = figures[unit] - len(figures["otherwise"])
        rows.append((title, f"{figures['word_error_rate']:.1%}", f"{right} of {figures[unit]}"))
    for line in aligned(rows):
        print(line)
    if misheard:
        for title, figures in made.items():
            for said, heard in figures["otherwise"]:
                print(f"{title}: {said!r} -> {heard!r}")


def told(line: str) -> None:
    """Print how far it is."""
    print(line, file=sys.stderr)
