"""The ``voice-agent`` command line: arguments only; each command is a module of its own.

Nothing heavy is imported before a command is chosen, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from voice_agent import __version__

USAGE_ERROR = 2
"""Exit code when the command line, the pipeline or the machine cannot do what was asked."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    command = import_module(f"voice_agent.commands.{arguments.command}")
    try:
        code: int = command.run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `voice-agent pipelines | head -1`
        sys.stderr.close()
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voice-agent", description="A self-hosted voice agent you can interrupt."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    pipeline = _pipeline_flags()
    verbose = _verbose_flag()

    serve = commands.add_parser(
        "serve", parents=[pipeline, verbose], help="serve the page and take calls"
    )
    serve.add_argument("--host", help="address to listen on (0.0.0.0: the whole network)")
    serve.add_argument("--port", type=_port, help="port to listen on; 0 takes any free one")
    serve.add_argument(
        "--tls",
        action="store_true",
        help="serve https with a certificate of its own: browsers on other machines need it to "
        "allow the microphone",
    )

    call = commands.add_parser(
        "call",
        parents=[pipeline, verbose],
        help="call an agent with WAV files instead of a microphone",
        description="Play WAV files at an agent over WebRTC, in real time, each after the answer "
        "to the one before; print both sides' words and the latency of every turn.",
    )
    call.add_argument(
        "--wav", type=Path, action="append", required=True, metavar="FILE", help="repeatable"
    )
    call.add_argument("--url", help="an agent's address; without it, a server is started and ended")
    call.add_argument("--out", type=Path, metavar="FILE", help="write the agent's audio there")
    call.add_argument("--json", type=Path, metavar="FILE", help="write the turns there")
    call.add_argument(
        "--timeout", type=float, default=20.0, metavar="S", help="for connecting and each answer"
    )

    commands.add_parser(
        "talk", parents=[pipeline, verbose], help="talk on this machine's microphone and speaker"
    )
    doctor = commands.add_parser(
        "doctor", parents=[pipeline], help="say what works on this machine, and what to do"
    )
    doctor.add_argument("--json", action="store_true", help="print the checks as JSON")
    commands.add_parser("pipelines", help="list the pipelines that are shipped")
    commands.add_parser("models", help="list the models that are shipped")
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a number from 0 to 65535, not {text!r}")


def _pipeline_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "--pipeline",
        default="embedded",
        metavar="NAME|FILE",
        help="a shipped pipeline or a TOML file (default: %(default)s)",
    )
    flags.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the pipeline, as in llm.temperature=0.2; repeatable",
    )
    return flags


def _verbose_flag() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="log more; twice: Pipecat's debugging, which contains what people say",
    )
    return flags
