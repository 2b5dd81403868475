"""``voice-agent bench trace``: what tracing costs, with and without it side by side.

Two servers, alike but for ``trace.enabled``, stand on the same core and are called at the same time
by twins who ask the same questions, so that whatever else the machine does meets both. Compared
pair by pair: the latency that twins measure, and the CPU time that the operating system counts for
each server in a block of calls. Two processes of one program differ by some per cent by chance
(where their memory lies), so the servers are started anew for every round.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voice_agent.load import utterances
from voice_agent.load.bench import BAD_INPUT, FAILED, OK, default_folder
from voice_agent.load.call import check_places
from voice_agent.load.caller import Caller
from voice_agent.load.cores import on_cores, other_cores
from voice_agent.load.errors import CallError, NoAnswer, WavError
from voice_agent.load.keeping_time import keeping_time
from voice_agent.load.measure import ask
from voice_agent.load.playlist import Item, choose, read_playlist
from voice_agent.load.served import Server, served
from voice_agent.process import cpu_ms

Print = Callable[[str], object]

AT_ONCE = 4
"""Twins."""
TURNS_A_CALL = 5
ROUNDS = 4
APART_S = 0.4
"""Twins call so long after the pair before."""
SHORT_ANSWER = "llm.answer=Yes, of course we do."
"""What matters is over when an answer begins."""
RESAMPLES = 4000
MOST_MS, MOST_CPU = 1.0, 0.03
"""What tracing may cost: ms of the median latency, share of a session's CPU time."""


@dataclass
class Side:
    """One server and what was measured on it."""

    v2v_ms: list[float | None] = field(default_factory=list)
    """Of every turn; None: not answered, or cut in."""
    cpu: list[float] = field(default_factory=list)
    """Cores that a session used, in each block of calls."""


async def bench_trace(
    serve: Sequence[str],
    *,
    turns: int = 240,
    core: int = 0,
    json_path: Path | None = None,
    print: Print = print,
) -> int:
    """Run the bench.

    Args:
        serve: Arguments of ``voice-agent serve`` for both servers.
        turns: Turns of each, at least.
        core: The core both servers stand on.
        json_path: Write everything there.
        print: Where the lines for a person go.

    Returns:
        0 (within what it may cost, or not shown to be beyond), 1 (beyond, or an agent could not
        be called) or 2 (bad input).
    """
    folder = default_folder()
    try:
        others = other_cores(core)
        check_places(json_path)
        utterances.make(folder, print=print)
        items = choose(read_playlist(folder), ["complete"], None)
    except WavError as error:
        print(f"error: {error}")
        return BAD_INPUT
    sides = {"off": Side(), "on": Side()}
    blocks = max(1, -(-turns // (ROUNDS * AT_ONCE * TURNS_A_CALL)))
    try:
        with on_cores(others), keeping_time():
            for number in range(ROUNDS):
                await _round(sides, items, serve, core, blocks, first=number)
                print(f"{number + 1} of {ROUNDS} rounds ...")
    except (CallError, NoAnswer) as error:
        print(f"error: {error}")
        return FAILED
    return report(sides["off"], sides["on"], json_path, print)


async def _round(
    sides: dict[str, Side],
    items: Sequence[Item],
    serve: Sequence[str],
    core: int,
    blocks: int,
    *,
    first: int,
) -> None:
    """Start both servers, in another order every time, and hold some blocks of calls."""
    async with AsyncExitStack() as running:
        kept = running.enter_context(tempfile.TemporaryDirectory())
        servers: dict[str, Server] = {}
        for name in ("off", "on") if first % 2 else ("on", "off"):
            arguments = ["-m", "voice_agent", "serve", "--quiet", "--host=127.0.0.1", "--port=0"]
            arguments += [*serve, f"--set={SHORT_ANSWER}", f"--set=trace.path={kept}/t.db"]
            arguments += [f"--set=sessions.max={2 * AT_ONCE}"]
            arguments += [f"--set=trace.enabled={'true' if name == 'on' else 'false'}"]
            starting = served(arguments, f"the server with tracing {name}", core=core)
            servers[name] = await running.enter_async_context(starting)
        for server in servers.values():  # what is made at first use is made
            await _call(server, Side(), items[:1], 0.0)
        for number in range(first * blocks, (first + 1) * blocks):
            start = number * TURNS_A_CALL
            asked = [items[(start + turn) % len(items)] for turn in range(TURNS_A_CALL)]
            await _block(sides, servers, asked)
            gc.collect()


async def _block(sides: dict[str, Side], servers: dict[str, Server], asked: Sequence[Item]) -> None:
    """Hold calls of twins at both servers; append what each server and each turn took."""
    twins = {name: [Side() for _ in range(AT_ONCE)] for name in sides}
    before = {name: cpu_ms(server.pid) or 0.0 for name, server in servers.items()}
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as calls:
        for number in range(AT_ONCE):
            for name, server in servers.items():
                calls.create_task(_call(server, twins[name][number], asked, number * APART_S))
    lasted_s = time.monotonic() - began_s
    for name, side in sides.items():
        used_s = ((cpu_ms(servers[name].pid) or 0.0) - before[name]) / 1000.0
        side.cpu.append(used_s / lasted_s / AT_ONCE)
        side.v2v_ms += [ms for twin in twins[name] for ms in twin.v2v_ms]


async def _call(server: Server, side: Side, asked: Sequence[Item], after_s: float) -> None:
    await asyncio.sleep(after_s)
    async with Caller(server.url) as caller:
        await caller.greeting(within_s=0.5)
        for item in asked:
            outcome = await ask(caller, item)
            side.v2v_ms.append(None if outcome.cut_in_ms is not None else outcome.v2v_ms)


def report(off: Side, on: Side, json_path: Path | None, print: Print) -> int:
    """Print both sides and their differences with how certain they are; return the exit code."""
    pairs = np.array(
        [
            (a, b)
            for a, b in zip(off.v2v_ms, on.v2v_ms, strict=True)
            if a is not None and b is not None
        ]
    ).reshape(-1, 2)
    if not pairs.size:
        print("error: no question was answered on both sides")
        return FAILED
    random = np.random.default_rng(0)
    medians = np.median(pairs, axis=0)
    more = pairs[:, 1] - pairs[:, 0]
    drawn = more[random.integers(0, len(more), (RESAMPLES, len(more)))]
    more_ms = _interval(np.median(drawn, axis=1))
    cpu = np.array([off.cpu, on.cpu]).T
    cores = cpu.mean(axis=0)
    drawn = cpu[random.integers(0, len(cpu), (RESAMPLES, len(cpu)))].sum(axis=1)
    more_cpu = _interval(drawn[:, 1] / drawn[:, 0] - 1.0)
    figures: dict[str, Any] = {
        "turns": len(pairs),
        "v2v_ms": {
            "off": round(float(medians[0]), 1),
            "on": round(float(medians[1]), 1),
            "difference": round(float(np.median(more)), 2),
            "ci95": [round(each, 2) for each in more_ms],
        },
        "cores_a_session": {
            "off": round(float(cores[0]), 4),
            "on": round(float(cores[1]), 4),
            "difference": round(float(cores[1] / cores[0] - 1.0), 4),
            "ci95": [round(each, 4) for each in more_cpu],
        },
    }
    for line in _lines(figures):
        print(line)
    if json_path is not None:
        try:
            json_path.write_text(json.dumps(figures, indent=2) + "\n")
        except OSError as error:
            print(f"error: {json_path}: cannot be written: {error}")
            return BAD_INPUT
    # Only what is certainly beyond is a failure: a noisy machine proves nothing.
    return FAILED if more_ms[0] > MOST_MS or more_cpu[0] > MOST_CPU else OK


def _interval(values: Any) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _lines(figures: dict[str, Any]) -> list[str]:
    v2v, cpu = figures["v2v_ms"], figures["cores_a_session"]
    low, high = cpu["ci95"]
    return [
        f"{figures['turns']} turns on either side",
        f"{'tracing':<26}{'off':>9}{'on':>9}   difference (95 % certain)",
        f"{'voice to voice p50, ms':<26}{v2v['off']:>9.1f}{v2v['on']:>9.1f}   "
        f"{v2v['difference']:+.2f} ms ({v2v['ci95'][0]:+.2f} to {v2v['ci95'][1]:+.2f})",
        f"{'cores a session':<26}{cpu['off']:>9.4f}{cpu['on']:>9.4f}   "
        f"{cpu['difference']:+.1%} ({low:+.1%} to {high:+.1%})",
    ]
