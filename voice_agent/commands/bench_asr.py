"""``voice-agent bench asr`` and ``bench wer``: their flags, and what they run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.commands import fail, sigterm_as_exit

if TYPE_CHECKING:
    from voice_agent.engines import Engine

_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def add_arguments(what: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the two to the parser of ``bench``."""
    asr = what.add_parser(
        "asr",
        parents=parents,
        help="how many live callers a Riva server keeps up with, and how late its finals are",
        description="Let callers speak to Riva servers in real time, twice as many at every step: "
        "how long forced finals take, and how far behind real time the words are.",
    )
    asr.add_argument("--server", action="append", default=[], metavar="HOST:PORT")
    asr.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NEMO|FOLDER",
        help="start `asr-server` with this model instead; repeatable",
    )
    asr.add_argument("--chunk-ms", type=int, default=160, metavar="MS", help="with a .nemo")
    asr.add_argument("--recordings", type=Path, metavar="FOLDER", help="what callers say: WAVs")
    asr.add_argument("--streams", type=int, default=64, metavar="N", help="at once, at most")
    asr.add_argument("--seconds", type=float, default=20.0, metavar="S", help="of each step")
    asr.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    wer = what.add_parser(
        "wer",
        parents=parents,
        help="word error rates of recognisers on the same recordings",
        description="Let recognisers hear a folder of WAVs whose texts are known: by index.json, "
        "by NAME.txt, or by their names.",
    )
    wer.add_argument("recordings", type=Path, metavar="FOLDER")
    wer.add_argument("--engine", action="append", default=[], metavar="NAME", help="repeatable")
    wer.add_argument("--server", action="append", default=[], metavar="HOST:PORT")
    wer.add_argument(
        "--model", action="append", default=[], metavar="NEMO|FOLDER", help="by `asr-server`"
    )
    wer.add_argument("--chunk-ms", type=int, default=160, metavar="MS", help="with a .nemo")
    wer.add_argument("--misheard", action="store_true", help="print what was heard otherwise")
    wer.add_argument("--json", type=Path, metavar="FILE", help="write everything there")


def run(arguments: argparse.Namespace) -> int:
    """Measure; 0 when all could be measured, 1 when one failed, 2 on bad input."""
    from voice_agent.config_errors import ConfigError
    from voice_agent.engines import EngineError
    from voice_agent.load.errors import WavError
    from voice_agent.process import new_event_loop

    if arguments.json is not None and not arguments.json.parent.is_dir():
        return fail(f"{arguments.json}: there is no such folder")
    work = _asr if arguments.what == "asr" else _wer
    try:
        engines = _engines(arguments)
        with sigterm_as_exit(), asyncio.Runner(loop_factory=new_event_loop) as runner:
            made = runner.run(work(engines, arguments))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(made, indent=2) + "\n")
    except (ConfigError, WavError, OSError) as error:
        return fail(error)
    except (EngineError, TimeoutError) as error:
        fail(str(error) or "a recogniser did not answer")
        return 1
    return 0


def _engines(arguments: argparse.Namespace) -> dict[str, Engine[Any]]:
    """Return the recognisers asked for, by what to call them; not started."""
    from voice_agent.config import load_pipeline
    from voice_agent.engines import EngineContext, engine_class

    chosen: dict[str, list[str]] = {}
    for name in getattr(arguments, "engine", []):
        # Nobody tells PocketSphinx when a voice begins here.
        own = ["asr.gate=energy", "asr.workers=1", "asr.silence_ms=5000"]
        chosen[name] = [f"asr.engine={name}", *(own if name == "pocketsphinx" else [])]
    for server in arguments.server:
        chosen[server] = ["asr.engine=riva", f'asr.server="{server}"']
    for model in arguments.model:
        path = Path(model).resolve() if Path(model).exists() else model
        chosen[Path(model).name] = [
            *("asr.engine=riva", "asr.start=asr-server", f'asr.model="{path}"'),
            f"asr.chunk_ms={arguments.chunk_ms}",
        ]
        if arguments.what == "asr":
            chosen[Path(model).name].append(f"asr.streams={arguments.streams}")
    if not chosen:
        chosen[arguments.pipeline] = []
    engines: dict[str, Engine[Any]] = {}
    for title, overrides in chosen.items():
        pipeline = load_pipeline(arguments.pipeline, [*overrides, *arguments.set], os.environ)
        context = EngineContext(pipeline.search_path)
        engines[title] = engine_class("asr", pipeline.asr.engine)(pipeline.asr.settings, context)
    return engines


async def _asr(engines: dict[str, Engine[Any]], arguments: argparse.Namespace) -> Any:
    from voice_agent.asr.riva import RivaASREngine
    from voice_agent.bench import asr
    from voice_agent.bench.recordings import recordings
    from voice_agent.engines import EngineError

    if arguments.recordings is not None:
        speech = [each.samples() for each in recordings(arguments.recordings)]
    else:
        speech = await _spoken()
    counts = [count for count in _STEPS if count <= arguments.streams]
    made: dict[str, Any] = {}
    for title, engine in engines.items():
        if not isinstance(engine, RivaASREngine):
            raise EngineError("`bench asr` is for Riva servers: give --server or --model")
        await engine.start()
        try:
            steps = await asr.measure(
                engine,
                speech,
                counts=counts,
                seconds=arguments.seconds,
                told=lambda line, title=title: _told(f"{title}: {line}"),  # type: ignore[misc]
            )
        finally:
            await engine.stop()
        made[title] = asr.figures(steps)
    for line in asr.lines(made):
        print(line)
    return made


async def _spoken() -> list[Any]:
    """Return what callers of the default agent say, in the embedded voice."""
    from voice_agent.bench.intelligibility import sentences
    from voice_agent.bench.voice import Voice, say, speaking

    voice = Voice(engine="espeak").make()
    await voice.start()
    try:
        async with speaking(voice, 16_000) as mouth:
            return [(await say(mouth, text)).audio for text in sentences(None, 8)]
    finally:
        await voice.stop()


async def _wer(engines: dict[str, Engine[Any]], arguments: argparse.Namespace) -> Any:
    from voice_agent.bench.intelligibility import misheard
    from voice_agent.bench.recordings import recordings
    from voice_agent.load.table import aligned

    found = recordings(arguments.recordings)
    sounds = [(each.text, each.samples()) for each in found]
    made: dict[str, Any] = {}
    for title, engine in engines.items():
        _told(f"{title}: {len(sounds)} recordings ...")
        await engine.start()
        try:
            errors, words, otherwise = await misheard(engine, sounds)
        finally:
            await engine.stop()
        made[title] = {
            "word_error_rate": round(errors / max(1, words), 4),
            "words": words,
            "recordings": len(sounds),
            "otherwise": otherwise,
        }
    rows = [("recogniser", "word error rate", "recordings heard right")]
    for title, figures in made.items():
        right = len(sounds) - len(figures["otherwise"])
        rows.append((title, f"{figures['word_error_rate']:.1%}", f"{right} of {len(sounds)}"))
    for line in aligned(rows):
        print(line)
    if arguments.misheard:
        for title, figures in made.items():
            for said, heard in figures["otherwise"]:
                print(f"{title}: {said!r} -> {heard!r}")
    return made


def _told(line: str) -> None:
    print(line, file=sys.stderr)
