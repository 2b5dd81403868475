"""``voice-agent say``: hear a voice, or have it in a file, and what it took."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voice_agent.commands import fail

if TYPE_CHECKING:
    from voice_agent.bench.voice import Said, Voice


def add_voice(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the flags that choose a voice, or several."""
    more: dict[str, Any] = {"action": "append", "default": []} if several else {"default": ""}
    again = "; repeatable" if several else ""
    parser.add_argument(
        "--engine", metavar="NAME", help=f"instead of the pipeline's own{again}", **more
    )
    parser.add_argument(
        "--server", metavar="HOST:PORT", help=f"a Riva server instead of an engine{again}", **more
    )
    parser.add_argument("--voice", metavar="NAME", help=f"as the engine knows it{again}", **more)


def add_arguments(commands: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "say",
        parents=parents,
        help="say a text with any voice",
        description="Say a text as a reply of the agent: through its clauses, its normalisation "
        "and its loudness. Plays it, or writes a WAV; prints what it took and where the words are.",
    )
    parser.add_argument("text", help="- reads it from the standard input")
    add_voice(parser, several=False)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a WAV instead of playing")
    parser.add_argument("--words", action="store_true", help="print when each word is heard")


def run(arguments: argparse.Namespace) -> int:
    """Say it; 0 when it was said, 2 when it cannot be."""
    from voice_agent import logs

    logs.configure(arguments.verbose - 1)
    from voice_agent.bench.voice import Voice
    from voice_agent.config_errors import ConfigError
    from voice_agent.engines import EngineError
    from voice_agent.load.errors import WavError
    from voice_agent.process import new_event_loop
    from voice_agent.transports.microphone import NoSound

    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    voice = Voice(
        arguments.pipeline, arguments.engine, arguments.server, arguments.voice, arguments.set
    )
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            said = runner.run(_say(voice, text, play=arguments.out is None))
        _hand_over(said, arguments.out)
    except (ConfigError, EngineError, NoSound, WavError, TimeoutError) as error:
        return fail(str(error) or "the voice did not answer")
    print(
        f"first audio after {said.ttfb_ms:.0f} ms, {said.seconds:.2f} s of audio, "
        f"{said.rtf:.3f} of real time, longest gap {said.gap_ms:.0f} ms"
    )
    if arguments.words:
        for word, start, end in said.words:
            print(f"{start / said.hz:8.3f} {end / said.hz:8.3f}  {word}")
    return 0


async def _say(voice: Voice, text: str, *, play: bool) -> Said:
    from voice_agent.bench.alone import started
    from voice_agent.bench.voice import say, speaking
    from voice_agent.transports.microphone import load_sounddevice

    engine = voice.make()
    if play:
        load_sounddevice()  # before anybody waits for a voice that cannot be heard
    async with started(engine), speaking(engine) as pipe:
        return await say(pipe, text)


def _hand_over(said: Said, out: Path | None) -> None:
    if out is not None:
        from voice_agent.load.wav import write_wav

        write_wav(out, said.audio, said.hz)
        return
    from voice_agent.transports.microphone import load_sounddevice

    sounddevice = load_sounddevice()
    sounddevice.play(said.audio, said.hz)
    sounddevice.wait()
