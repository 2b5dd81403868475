"""``voice-agent bench tts`` and ``bench intelligibility``: their flags, and what they run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.commands import fail, sigterm_as_exit
from voice_agent.commands.say import add_voice

if TYPE_CHECKING:
    from voice_agent.bench.voice import Voice
    from voice_agent.engines import Engine


def add_arguments(what: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the two to the parser of ``bench``."""
    tts = what.add_parser(
        "tts",
        parents=parents,
        help="how soon a voice speaks, whether it keeps up, and to how many at once",
        description="Let voices say the same replies side by side: first audio, share of real "
        "time, gaps, loudness, and how many streams at once nobody hears a gap in.",
    )
    add_voice(tts, several=True)
    tts.add_argument("--rounds", type=int, default=3, metavar="N", help="of five replies")
    tts.add_argument("--streams", type=int, default=32, metavar="N", help="at once, at most")
    tts.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    ears = what.add_parser(
        "intelligibility",
        parents=parents,
        help="what a recogniser understands of voices",
        description="Let voices say sentences to a recogniser; print its word error rate for each.",
    )
    add_voice(ears, several=True)
    ears.add_argument("--asr", default="pocketsphinx", metavar="NAME", help="the engine that hears")
    ears.add_argument("--asr-server", default="", metavar="HOST:PORT", help="a Riva server instead")
    ears.add_argument("--sentences", type=Path, metavar="FILE", help="one a line")
    ears.add_argument("--count", type=int, default=50, metavar="N", help="sentences, at most")
    ears.add_argument("--misheard", action="store_true", help="print what was heard otherwise")
    ears.add_argument("--json", type=Path, metavar="FILE", help="write everything there")


def run(arguments: argparse.Namespace) -> int:
    """Measure; 0 when every voice spoke, 1 when one failed, 2 on bad input."""
    from voice_agent.config_errors import ConfigError
    from voice_agent.engines import EngineError
    from voice_agent.process import new_event_loop

    if arguments.json is not None and not arguments.json.parent.is_dir():
        return fail(f"{arguments.json}: there is no such folder")
    work = _tts if arguments.what == "tts" else _intelligibility
    try:
        voices = [(voice.title, voice.make()) for voice in _voices(arguments)]
        with sigterm_as_exit(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            made = runner.run(work(voices, arguments))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(made, indent=2) + "\n")
    except (ConfigError, OSError) as error:
        return fail(error)
    except (EngineError, TimeoutError) as error:
        fail(str(error) or "a voice did not answer")
        return 1
    return 0


def _voices(arguments: argparse.Namespace) -> list[Voice]:
    """Return every voice that is asked for: names go with every engine and server."""
    from voice_agent.bench.voice import Voice

    names = arguments.voice or [""]
    engines = arguments.engine or ([] if arguments.server else [""])
    chosen = [(engine, "") for engine in engines] + [("", server) for server in arguments.server]
    return [
        Voice(arguments.pipeline, engine, server, name, arguments.set)
        for engine, server in chosen
        for name in names
    ]


async def _started(engine: Engine[Any], work: Callable[[], Awaitable[Any]]) -> Any:
    await engine.start()
    try:
        return await work()
    finally:
        await engine.stop()


async def _tts(voices: list[tuple[str, Engine[Any]]], arguments: argparse.Namespace) -> Any:
    from voice_agent.bench import tts

    made = {}
    for title, engine in voices:
        measured = await _started(
            engine,
            lambda engine=engine, title=title: tts.measure(  # type: ignore[misc]
                engine, arguments.rounds, arguments.streams, lambda line: _told(f"{title}: {line}")
            ),
        )
        made[title] = tts.figures(measured)
    for line in tts.lines(made):
        print(line)
    return made


async def _intelligibility(
    voices: list[tuple[str, Engine[Any]]], arguments: argparse.Namespace
) -> Any:
    from voice_agent.bench.intelligibility import heard_errors, sentences
    from voice_agent.load.table import aligned

    texts = sentences(arguments.sentences, arguments.count)
    ears = _ears(arguments)
    made: dict[str, Any] = {}

    async def all_voices() -> None:
        for title, engine in voices:
            errors, words, otherwise = await _started(
                engine,
                lambda engine=engine, title=title: heard_errors(  # type: ignore[misc]
                    engine, ears, texts, lambda line: _told(f"{title}: {line}")
                ),
            )
            made[title] = {
                "word_error_rate": round(errors / max(1, words), 4),
                "words": words,
                "sentences": len(texts),
                "otherwise": otherwise,
            }

    await _started(ears, all_voices)
    rows = [("voice", "word error rate", "sentences heard right")]
    for title, figures in made.items():
        right = len(texts) - len(figures["otherwise"])
        rows.append((title, f"{figures['word_error_rate']:.1%}", f"{right} of {len(texts)}"))
    for line in aligned(rows):
        print(line)
    if arguments.misheard:
        for title, figures in made.items():
            for said, heard in figures["otherwise"]:
                print(f"{title}: {said!r} -> {heard!r}")
    return made


def _ears(arguments: argparse.Namespace) -> Engine[Any]:
    from voice_agent.config import load_pipeline
    from voice_agent.engines import EngineContext, engine_class

    overrides = [f"asr.engine={arguments.asr}"]
    if arguments.asr_server:
        overrides = ["asr.engine=riva", f'asr.server="{arguments.asr_server}"']
    elif arguments.asr == "pocketsphinx":
        # Nobody tells it when a voice begins here.
        overrides += ["asr.gate=energy", "asr.workers=1", "asr.silence_ms=5000"]
    pipeline = load_pipeline(arguments.pipeline, overrides, os.environ)
    choice = pipeline.asr
    return engine_class("asr", choice.engine)(choice.settings, EngineContext(pipeline.search_path))


def _told(line: str) -> None:
    print(line, file=sys.stderr)
