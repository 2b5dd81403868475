"""The ``voice-agent`` command line: arguments only; each command is a module of its own.

Nothing heavy is imported before a command is chosen, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent import __version__
from voice_agent.commands import (
    bench_asr,
    bench_tts,
    llm_check,
    llm_server,
    models,
    say,
    trace,
    tts_server,
)

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]


LINES = (
    "webrtc", "realtime", "twilio", "telnyx", "plivo", "vonage", "exotel", "genesys", "bridge",
    "asterisk", "jambonz", "freeswitch",
)  # fmt: skip
"""What ``load.dialling`` dials; told here so that help loads nothing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    command = import_module(f"voice_agent.commands.{arguments.command.replace('-', '_')}")
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
    pipeline = _pipeline_flags("embedded")
    verbose = _verbose_flag()

    serve = commands.add_parser(
        "serve", parents=[pipeline, verbose], help="serve the page and take calls"
    )
    serve.add_argument("--host", help="address to listen on (0.0.0.0: the whole network)")
    serve.add_argument("--port", type=_port, help="port to listen on; 0 takes any free one")
    serve.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes that share the calls (default: 1); sessions.max is for all of them",
    )
    serve.add_argument("-q", "--quiet", action="store_true", help="log only what is wrong")
    serve.add_argument(
        "--tls",
        action="store_true",
        help="serve https with a certificate of its own: browsers on other machines need it to "
        "allow the microphone",
    )

    serve.add_argument(
        "--insecure-dev",
        action="store_true",
        help="believe every telephony request, signed or not; on loopback addresses only",
    )

    _add_dial(commands, pipeline, verbose)

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
    _add_line_flags(call, several=False)
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
    _add_bench(commands, verbose)
    trace.add_arguments(commands)
    llm_check.add_arguments(commands)
    llm_server.add_arguments(commands)
    tts_server.add_arguments(commands)
    say.add_arguments(commands, [pipeline, verbose])
    _add_load(commands, verbose)
    commands.add_parser("pipelines", help="list the pipelines that are shipped")
    models.add_arguments(commands)
    _add_asr_server(commands, verbose)
    return parser


def _add_asr_server(commands: _Commands, verbose: argparse.ArgumentParser) -> None:
    server = commands.add_parser(
        "asr-server",
        parents=[verbose],
        help="streaming speech recognition for many callers, behind Riva gRPC",
        description="Serve a streaming (cache-aware) transducer to any Riva client: a .nemo in "
        "NeMo, on a GPU if there is one, or a folder of sherpa-onnx on CPUs.",
    )
    server.add_argument("--model", type=Path, required=True, metavar="NEMO|FOLDER")
    server.add_argument(
        "--backend", choices=["nemo", "sherpa"], help="(default: by what --model is)"
    )
    server.add_argument("--host", default="127.0.0.1", help="address to listen on")
    server.add_argument("--port", type=_port, default=50051, help="0 takes any free one")
    server.add_argument(
        "--metrics-port", type=_port, metavar="PORT", help="answer Prometheus there"
    )
    server.add_argument(
        "--chunk-ms",
        type=_count,
        default=160,
        metavar="MS",
        help="audio per step, with --backend nemo: 80, 160, 560 or 1120 (default: 160)",
    )
    server.add_argument(
        "--streams", type=_count, metavar="N", help="admitted at once (default: measured)"
    )
    server.add_argument("--max-batch", type=_count, default=64, metavar="N")
    server.add_argument("--threads", type=int, default=0, metavar="N", help="0: one a core")
    server.add_argument("--device", default="", help="of --backend nemo: cuda, cuda:1, cpu")


def _add_bench(commands: _Commands, verbose: argparse.ArgumentParser) -> None:
    bench = commands.add_parser("bench", help="measure an agent from outside, or its engines")
    what = bench.add_subparsers(dest="what", required=True, metavar="WHAT")
    turns = what.add_parser(
        "turns",
        parents=[_pipeline_flags("fixed-latency"), verbose],
        help="how fast it answers, and whether it cuts in, misses, yields and resumes",
        description="Play complete and hesitant utterances, digits, one-word answers, and sounds "
        "and voices over the agent's own, at an agent over WebRTC; print how it took turns.",
    )
    turns.add_argument("--url", help="an agent's address; without it, a server is started")
    turns.add_argument(
        "--wav-dir",
        type=Path,
        metavar="DIR",
        help="play these WAVs, with an index.json of where their voices truly end, instead of "
        "utterances made here with flite, Festival and eSpeak NG",
    )
    turns.add_argument(
        "--kinds",
        type=_words,
        default=[],
        metavar="KIND,...",
        help="only these: complete, pause, digits, one-word, backchannel, noise, barge-in",
    )
    turns.add_argument("--limit", type=_count, metavar="N", help="at most so many of each kind")
    turns.add_argument(
        "--baseline",
        action="store_true",
        help="measure a stock Pipecat agent in the same run too, and print the ratios to it",
    )
    _add_line_flags(turns, several=True)
    turns.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    capacity = what.add_parser(
        "capacity",
        parents=[_pipeline_flags("fixed-latency"), verbose],
        help="how many telephone calls one core holds, beside a stock Pipecat agent",
        description="Keep our agent and a stock Pipecat agent on one core, call both from the "
        "other cores, and find how many calls at once each of them holds. Takes about 15 minutes.",
    )
    capacity.add_argument("--core", type=int, default=0, metavar="N", help="the servers' core")
    capacity.add_argument(
        "--most", type=_count, default=32, metavar="N", help="calls at once at most"
    )
    capacity.add_argument(
        "--seconds", type=float, default=45.0, metavar="S", help="how long each load is held"
    )
    capacity.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    trace = what.add_parser(
        "trace",
        parents=[_pipeline_flags("fixed-latency"), verbose],
        help="what tracing costs: latency and CPU with and without it, side by side",
    )
    trace.add_argument("--turns", type=_count, default=240, metavar="N", help="on either side")
    trace.add_argument("--core", type=int, default=0, metavar="N", help="the servers' core")
    trace.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    llm = what.add_parser(
        "llm",
        parents=[_pipeline_flags("laptop"), verbose],
        help="how fast a language model answers, without and with speculative decoding",
        description="Have conversations with a GGUF, without and with its drafting head side by "
        "side, or with servers; print first token cold and warm, first clause, tokens/s, "
        "acceptance, and how soon it is free after an interruption.",
    )
    llm.add_argument("--model", metavar="GGUF", help="short for --set llm.model=GGUF")
    llm.add_argument(
        "--url",
        action="append",
        default=[],
        help="an OpenAI-compatible server, up to and including /v1, instead; repeatable",
    )
    llm.add_argument(
        "--draft", type=int, default=2, metavar="N", help="tokens drafted a step; 0: no second side"
    )
    llm.add_argument(
        "--sweep",
        type=_counts,
        default=[],
        metavar="N,...",
        help="ask the servers (one for each draft length) by so many callers at once",
    )
    llm.add_argument("--conversations", type=_count, default=3, metavar="N")
    llm.add_argument("--turns", type=_count, default=10, metavar="N", help="of each conversation")
    llm.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    bench_tts.add_arguments(what, [_pipeline_flags("embedded"), verbose])
    bench_asr.add_arguments(what, [_pipeline_flags("embedded"), verbose])


def _add_load(commands: _Commands, verbose: argparse.ArgumentParser) -> None:
    load = commands.add_parser(
        "load",
        parents=[_pipeline_flags("fixed-latency"), verbose],
        help="many simulated callers at once: how many calls hold, and what breaks first",
        description="Hold a number of calls at once for a while, in real time, and say how long "
        "answers took at the caller, what failed, what it cost the server, and whether an SLO "
        "held. Exits with 0 when it did, 1 when it did not, 2 on bad input.",
    )
    load.add_argument("--url", help="a server's address; without it, one is started and ended")
    load.add_argument(
        "--sessions",
        type=_counts,
        default=[1, 2, 4],
        metavar="N,...",
        help="calls at once, one step after the other (default: 1,2,4)",
    )
    load.add_argument(
        "--search", type=_count, metavar="MOST", help="find the largest number that holds instead"
    )
    load.add_argument(
        "--minutes", type=float, default=1.0, metavar="M", help="how long each is held"
    )
    load.add_argument(
        "--profile",
        choices=["steady", "ramp", "spike", "soak"],
        default="steady",
        help="how each step's calls begin",
    )
    load.add_argument(
        "--transport",
        choices=LINES,
        default="webrtc",
        metavar="LINE",
        help="call on this line: webrtc (the default), " + ", ".join(LINES[1:]),
    )
    load.add_argument(
        "--scenario", default="talk", metavar="NAME|FILE", help="what callers do (default: talk)"
    )
    load.add_argument("--slo", type=Path, metavar="FILE", help="a TOML file of objectives")
    load.add_argument(
        "--network",
        metavar="KEY=VALUE,...",
        help="between a phone and the server: delay=30,jitter=20,loss=0.01,reorder=0.01",
    )
    load.add_argument(
        "--bookings", type=Path, metavar="FILE", help="the server's book, for scenarios that book"
    )
    load.add_argument("--token", default="", help="for the server's metrics and traces")
    load.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    load.add_argument("--report", type=Path, metavar="FILE", help="write an HTML report there")
    load.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    load.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("BEFORE", "AFTER"),
        help="compare two --json files instead of measuring",
    )


def _add_dial(
    commands: _Commands, pipeline: argparse.ArgumentParser, verbose: argparse.ArgumentParser
) -> None:
    dial = commands.add_parser(
        "dial",
        parents=[pipeline, verbose],
        help="let a carrier call a number, and the agent talk to who answers",
        description="Ask a carrier to call a number. Who answers is connected to the server at "
        "telephony.public_url, which must be running; see docs/telephony.md.",
    )
    dial.add_argument("number", help="as in +15550100")
    dial.add_argument("--carrier", required=True, help="twilio, telnyx, plivo, vonage or exotel")
    dial.add_argument(
        "--no-detect",
        dest="detect",
        action="store_false",
        help="do not ask the carrier whether a machine answers",
    )


def _add_line_flags(command: argparse.ArgumentParser, *, several: bool) -> None:
    lines = "webrtc (the default), " + ", ".join(LINES[1:])
    if several:
        command.add_argument(
            "--transport",
            type=_words,
            metavar="LINE,...",
            help=f"call on these lines, each in turn: {lines}",
        )
    else:
        command.add_argument(
            "--transport", default="webrtc", metavar="LINE", help=f"call on this line: {lines}"
        )
    command.add_argument(
        "--network",
        type=_network,
        metavar="delay=MS,jitter=MS,loss=SHARE,reorder=SHARE",
        help="impair the network between a telephone line and the agent",
    )


def _network(text: str) -> object:
    from voice_agent.load.impairment import Network

    try:
        return Network.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a number from 1 up, not {text!r}")


def _counts(text: str) -> list[int]:
    return [_count(each.strip()) for each in text.split(",")]


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a number from 0 to 65535, not {text!r}")


def _pipeline_flags(default: str) -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument(
        "--pipeline",
        default=default,
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
