"""``voice-agent bench tts`` and ``bench intelligibility``: their flags, and what they run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
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
    work = _tts if arguments.what == "tts" else _intelligibility
    return measure(arguments, _made, work, silent="a voice did not answer")


def _made(arguments: argparse.Namespace) -> list[tuple[str, Engine[Any]]]:
    return [(voice.title, voice.make()) for voice in _voices(arguments)]


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


async def _tts(voices: list[tuple[str, Engine[Any]]], arguments: argparse.Namespace) -> Any:
    from voice_agent.bench import tts
    from voice_agent.bench.alone import started

    made = {}
    for title, engine in voices:
        tell = _teller(title)
        async with started(engine):
            measured = await tts.measure(engine, arguments.rounds, arguments.streams, tell)
        made[title] = tts.figures(measured)
    for line in tts.lines(made):
        print(line)
    return made


async def _intelligibility(
    voices: list[tuple[str, Engine[Any]]], arguments: argparse.Namespace
) -> Any:
    from voice_agent.bench.alone import started
    from voice_agent.bench.intelligibility import heard_errors, sentences

    texts = sentences(arguments.sentences, arguments.count)
    server = arguments.asr_server
    chosen = by_server(server) if server else by_name(arguments.asr)
    made: dict[str, Any] = {}
    ears = recogniser(arguments.pipeline, chosen)
    async with started(ears):
        for title, engine in voices:
            async with started(engine):
                heard = await heard_errors(engine, ears, texts, _teller(title))
            made[title] = word_errors_of(heard, "sentences", len(texts))
    print_word_errors(made, "voice", "sentences", misheard=arguments.misheard)
    return made


def _teller(title: str) -> Callable[[str], None]:
    return lambda line: told(f"{title}: {line}")
