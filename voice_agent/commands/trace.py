"""``voice-agent trace``: the turns that were traced, in a terminal."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent.commands import fail

if TYPE_CHECKING:
    from voice_agent.trace.store.queries import Filter, Traces

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def run(arguments: argparse.Namespace) -> int:
    """Show what was asked for; 2 when there is no such thing."""
    from voice_agent.trace.errors import TraceError
    from voice_agent.trace.settings import TraceSettings
    from voice_agent.trace.store.queries import Traces

    traces = Traces(arguments.file or TraceSettings().file)
    actions = {"ls": _ls, "show": _show, "export": _export, "compare": _compare}
    try:
        lines = actions[arguments.what](traces, arguments)
        for line in lines:
            print(line)
    except (TraceError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return fail(error)
    return 0


def _ls(traces: Traces, arguments: argparse.Namespace) -> Iterable[str]:
    from voice_agent.trace import listing

    if arguments.runs:
        return listing.runs(traces.runs())
    page = traces.turns(_filter(arguments), sort=arguments.sort, limit=arguments.limit)
    lines = listing.turns(page.rows, _width())
    if page.total and page.total > len(page.rows):
        lines.append(f"({page.total - len(page.rows)} more; see --limit)")
    return lines if page.rows else ["no such turns"]


def _show(traces: Traces, arguments: argparse.Namespace) -> Iterable[str]:
    from voice_agent.trace.model import Turn
    from voice_agent.trace.waterfall import ASCII, UNICODE, draw

    turn = traces.turn(traces.find(arguments.turn))
    if arguments.json:
        return [json.dumps(turn, indent=2, ensure_ascii=False)]
    ink = UNICODE if (sys.stdout.encoding or "").lower().startswith("utf") else ASCII
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        from dataclasses import replace

        ink = replace(ink, colour=True)
    return draw(Turn.from_json(json.dumps(turn)), arguments.width or _width(), ink)


def _export(traces: Traces, arguments: argparse.Namespace) -> Iterable[str]:
    from voice_agent.trace.store.export import as_csv, as_json

    where = _filter(arguments)
    pieces = as_csv(traces.rows(where)) if arguments.format == "csv" else None
    pieces = pieces or as_json(traces.documents(where))
    if arguments.out is None:
        sys.stdout.writelines(pieces)
        return []
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    return []


def _compare(traces: Traces, arguments: argparse.Namespace) -> Iterable[str]:
    from voice_agent.trace.errors import NotTraced
    from voice_agent.trace.listing import comparison
    from voice_agent.trace.store.statistics import compare_runs

    named = [name for name in (arguments.a, arguments.b) if name]
    if not named:
        named = [run["id"] for run in traces.runs() if run["turns"]][:2][::-1]
    if len(named) != 2:
        raise NotTraced("name two runs that have turns; `voice-agent trace ls --runs` lists them")
    made = compare_runs(traces, named[0], named[1], _filter(arguments), 60)
    return [json.dumps(made, indent=2)] if arguments.json else comparison(made)


def _filter(arguments: argparse.Namespace) -> Filter:
    from voice_agent.trace.store.queries import Filter

    since = arguments.since
    return Filter(
        pipeline=arguments.of_pipeline,
        transport=arguments.transport,
        verdict=arguments.verdict,
        kind=arguments.kind,
        session=arguments.session,
        run=getattr(arguments, "run", None),
        since=None if since is None else time.time() - since,
    )


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    trace = commands.add_parser("trace", help="what was traced: where each turn's time went")
    what = trace.add_subparsers(dest="what", required=True, metavar="WHAT")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="the traces' file (default: traces.db in $VOICE_AGENT_DATA or the user's data folder)",
    )
    which = _filter_flags()
    ls = what.add_parser("ls", parents=[file, which], help="list turns, the latest first")
    ls.add_argument("--sort", choices=("recent", "slowest"), default="recent")
    ls.add_argument("--limit", type=int, default=20, metavar="N")
    ls.add_argument("--runs", action="store_true", help="list the lives of processes instead")
    show = what.add_parser("show", parents=[file], help="draw one turn as a waterfall")
    show.add_argument(
        "turn", nargs="?", default="last", help='id, or the beginning of one; "last" by default'
    )
    show.add_argument("--width", type=int, metavar="COLUMNS", help="instead of the terminal's")
    show.add_argument("--json", action="store_true", help="print it as JSON")
    export = what.add_parser("export", parents=[file, which], help="write turns as JSON or CSV")
    export.add_argument("--format", choices=("json", "csv"), default="json")
    export.add_argument("--out", type=Path, metavar="FILE", help="instead of standard output")
    compare = what.add_parser(
        "compare", parents=[file, which], help="two runs side by side (the last two by default)"
    )
    compare.add_argument("a", nargs="?", metavar="RUN")
    compare.add_argument("b", nargs="?", metavar="RUN")
    compare.add_argument("--json", action="store_true", help="print everything as JSON")


def _filter_flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--kind", help="answered, interrupted, failed, greeting, typed, open")
    flags.add_argument("--verdict", help="ok, missed, none")
    flags.add_argument("--transport", help="webrtc, twilio, ...")
    flags.add_argument("--session", metavar="ID")
    flags.add_argument("--of-pipeline", metavar="NAME", help="turns of this pipeline only")
    flags.add_argument(
        "--since", type=_ago, metavar="AGO", help="turns of the last 90s, 15m, 2h, 7d only"
    )
    return flags


def _ago(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"should be like 15m or 2h, not {text!r}")
    return float(found[1]) * _UNITS_S[found[2]]
