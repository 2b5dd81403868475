"""``voice-agent bench asr`` and ``bench wer``: their flags, and what they run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.commands.measuring import (
    by_name,
    by_server,
    measure,
    print_word_errors,
    recogniser,
    told,
    word_errors_of,
)

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
    work = _asr if arguments.what == "asr" else _wer
    return measure(arguments, _engines, work, silent="a recogniser did not answer")


def _engines(arguments: argparse.Namespace) -> dict[str, Engine[Any]]:
    """Return the recognisers asked for, by what to call them; not started."""
    chosen: dict[str, list[str]] = {}
    for name in getattr(arguments, "engine", []):
        chosen[name] = by_name(name)
    for server in arguments.server:
        chosen[server] = by_server(server)
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
    return {
        title: recogniser(arguments.pipeline, [*overrides, *arguments.set])
        for title, overrides in chosen.items()
    }


async def _asr(engines: dict[str, Engine[Any]], arguments: argparse.Namespace) -> Any:
    from voice_agent.asr.riva import RivaASREngine
    from voice_agent.bench import asr
    from voice_agent.bench.alone import started
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
        async with started(engine):
            steps = await asr.measure(
                engine,
                speech,
                counts=counts,
                seconds=arguments.seconds,
                told=lambda line, title=title: told(f"{title}: {line}"),  # type: ignore[misc]
            )
        made[title] = asr.figures(steps)
    for line in asr.lines(made):
        print(line)
    return made


async def _spoken() -> list[Any]:
    """Return what callers of the default agent say, in the embedded voice."""
    from voice_agent.bench.alone import started
    from voice_agent.bench.intelligibility import sentences
    from voice_agent.bench.voice import Voice, say, speaking

    voice = Voice(engine="espeak").make()
    async with started(voice), speaking(voice, 16_000) as mouth:
        return [(await say(mouth, text)).audio for text in sentences(None, 8)]


async def _wer(engines: dict[str, Engine[Any]], arguments: argparse.Namespace) -> Any:
    from voice_agent.bench.alone import started
    from voice_agent.bench.intelligibility import misheard
    from voice_agent.bench.recordings import recordings

    found = recordings(arguments.recordings)
    sounds = [(each.text, each.samples()) for each in found]
    made: dict[str, Any] = {}
    for title, engine in engines.items():
        told(f"{title}: {len(sounds)} recordings ...")
        async with started(engine):
            heard = await misheard(engine, sounds)
        made[title] = word_errors_of(heard, "recordings", len(sounds))
    print_word_errors(made, "recogniser", "recordings", misheard=arguments.misheard)
    return made
