"""``voice-agent load``: many simulated callers at a server, a verdict by an SLO, and a report."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from voice_agent import logs
from voice_agent.commands import fail, sigterm_as_exit

if TYPE_CHECKING:
    from voice_agent.load.fleet.profile import Step
    from voice_agent.load.fleet.records import CallRecord, ServerSample
    from voice_agent.load.fleet.watching import Watching

BOOK = "bella-notte.sqlite"
"""What the default agent's book is called in its folder."""
HELD, NOT_HELD, BAD_INPUT = 0, 1, 2
BAR = 20
AHEAD_S = 4.0
"""The callers need so long to begin."""


def run(arguments: argparse.Namespace) -> int:
    """Measure; 0 when the SLO held, 1 when it did not or the server was lost, 2 on bad input."""
    from voice_agent.load.errors import CallError

    logs.configure(arguments.verbose)
    try:
        if arguments.compare is not None:
            return _compare(*arguments.compare)
        if arguments.url and (arguments.set or arguments.pipeline != "fixed-latency"):
            return fail("--pipeline and --set are for a server of this command's own")
        with sigterm_as_exit():
            return asyncio.run(_load(arguments))
    except CallError as error:
        return fail(error)


async def _load(arguments: argparse.Namespace) -> int:
    from voice_agent.load.bench import default_folder
    from voice_agent.load.call import check_places
    from voice_agent.load.errors import CallError
    from voice_agent.load.fleet.casts import make_casts
    from voice_agent.load.fleet.report import html
    from voice_agent.load.fleet.run import Plan
    from voice_agent.load.fleet.run import run as load
    from voice_agent.load.fleet.scenario import read_scenario
    from voice_agent.load.fleet.slo import read_slo
    from voice_agent.load.impairment import Network

    scenario, slo = read_scenario(arguments.scenario), read_slo(arguments.slo)
    check_places(arguments.report, arguments.json)
    try:
        network = Network.parse(arguments.network) if arguments.network else Network()
    except ValueError as error:
        return fail(error)
    if arguments.network and arguments.transport == "webrtc":
        return fail("--network is between a phone and its server; WebRTC's is the real one here")
    folder = make_casts(scenario, default_folder().parent / "casts")
    most = max(arguments.search or 0, *arguments.sessions)
    async with _target(arguments, most) as (url, book):
        plan = Plan(
            url=url,
            line=arguments.transport,
            scenario=scenario,
            folder=folder,
            levels=arguments.sessions,
            seconds=arguments.minutes * 60.0,
            shape=arguments.profile,
            search=arguments.search,
            slo=slo,
            network=network,
            token=arguments.token,
            seed=arguments.seed,
            book=book,
        )
        report = await load(plan, _progress(sys.stdout.isatty()))
    for line in summary(report):
        print(line)
    try:
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
        if arguments.report is not None:
            arguments.report.write_text(html(report), encoding="utf-8")
            print(f"report: {arguments.report}")
    except OSError as error:
        raise CallError(f"the report cannot be written: {error}") from error
    return HELD if report["held"] else NOT_HELD


@asynccontextmanager
async def _target(
    arguments: argparse.Namespace, sessions: int
) -> AsyncIterator[tuple[str, Path | None]]:
    """Yield where to call, and its book: the address given, or a server of our own with lines for
    all."""
    from voice_agent.load.dialling import serving
    from voice_agent.load.served import served

    if arguments.url:
        yield arguments.url.rstrip("/"), arguments.bookings
        return
    command = ["-m", "voice_agent", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--pipeline", arguments.pipeline, f"--set=sessions.max={sessions + 2}"]
    command += [f"--set=sessions.max_per_address={sessions + 2}"]
    command += serving([arguments.transport])
    command += [f"--set={override}" for override in arguments.set]
    with TemporaryDirectory(prefix="voice-agent-load-") as kept:
        data = Path(kept)
        async with served(command, "voice-agent serve", data=data) as server:
            book = data / BOOK
            yield server.url, book if book.is_file() else None


def _progress(live: bool) -> Callable[[Step, Sequence[CallRecord], Watching], object]:
    begun: dict[int, float] = {}

    def show(step: Step, calls: Sequence[CallRecord], watch: Watching) -> None:
        if live:
            since_s = time.monotonic() - begun.setdefault(id(step), time.monotonic())
            text = progress(step, since_s, calls, watch.samples[-2:])
            print(f"\r\x1b[K{text}", end="", flush=True)

    return show


def progress(
    step: Step, since_s: float, calls: Sequence[CallRecord], samples: Sequence[ServerSample]
) -> str:
    """Return one line on a step that is ``since_s`` old."""
    done = min(1.0, since_s / (AHEAD_S + step.seconds))
    bar = ("#" * round(done * BAR)).ljust(BAR, ".")
    v2v = sorted(t.v2v_ms for c in calls for t in c.turns if t.v2v_ms is not None)
    middle = f"{v2v[len(v2v) // 2]:.0f}" if v2v else "-"
    worst = f"{v2v[-1]:.0f}" if v2v else "-"
    failed = sum(call.error is not None for call in calls)
    server = "no answer"
    if samples:
        last = samples[-1]
        gap_s = last.at_s - samples[0].at_s
        cores = f", {(last.cpu_s - samples[0].cpu_s) / gap_s:.2f} cores" if gap_s > 0 else ""
        server = f"{last.sessions} calls, {last.rss_mb:.0f} MB{cores}, lag {last.lag_p99_ms:.0f} ms"
    return (
        f"{step.sessions} at once [{bar}] {len(calls)} over, {len(v2v)} answers, v2v {middle} "
        f"(worst {worst}) ms, {failed} failed; server: {server}"
    )


def summary(report: dict[str, Any]) -> list[str]:
    """Return what a person wants to read first."""
    made = ["", "calls  SLO    turns  v2v p50/p95/p99 ms      errors  missed  cores   MB"]
    for step in report["steps"]:
        client, server = step["figures"]["client"], step["figures"].get("server") or {}
        v2v = client["v2v_ms"]
        spread = "-" if v2v is None else f"{v2v['p50']:.0f} / {v2v['p95']:.0f} / {v2v['p99']:.0f}"
        cores = server.get("cores")
        memory = (server.get("rss_mb") or {}).get("max")
        made.append(
            f"{step['sessions']:5}  {'holds' if step['held'] else 'no':6} {client['turns']:5}  "
            f"{spread:22}  {client['errors_share']:6.1%}  {client['missed_share']:6.1%}  "
            f"{'-' if cores is None else f'{cores:.2f}':>5}  "
            f"{'-' if memory is None else f'{memory:.0f}':>4}"
        )
        for check in step["checks"]:
            if not check["holds"]:
                found = "nothing" if check["measured"] is None else f"{check['measured']:g}"
                made.append(f"       {check['name']}: {found}, wanted {check['limit']:g}")
        if step["left"] is not None:
            told = (f"{n} {v['before']} -> {v['after']}" for n, v in step["left"].items())
            made.append(f"       left behind: {', '.join(told)}")
        if not step["held"] and step["guilty"]:
            made.append(f"       the stage to look at: {step['guilty']}")
        if step["server_lost"]:
            made.append("       the server stopped answering")
        if not step["valid"]:
            made.append("       not valid: the callers lagged more than 20 ms themselves")
    made.append(f"capacity: {report['capacity']} calls at once hold the SLO")
    return made


def _compare(before: Path, after: Path) -> int:
    from voice_agent.load.errors import ScenarioError
    from voice_agent.load.fleet.compare import lines

    reports = []
    for path in (before, after):
        try:
            reports.append(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise ScenarioError(f"{path}: cannot be read: {error}") from error
        if not isinstance(reports[-1], dict) or "steps" not in reports[-1]:
            raise ScenarioError(f"{path}: no report; make one with `voice-agent load --json`")
    for line in lines(*reports):
        print(line)
    return HELD
