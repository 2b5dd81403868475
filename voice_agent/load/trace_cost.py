"""``voice-agent bench trace``: what tracing costs, with and without it side by side.

Two servers, alike but for ``trace.enabled``, are called at the same time and asked the same
questions, so that whatever else the machine does meets both. Compared turn by turn: the latency
the caller measures; and call by call: the CPU time each server says it has used.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from voice_agent.load import utterances
from voice_agent.load.bench import BAD_INPUT, FAILED, OK, default_folder
from voice_agent.load.call import check_places
from voice_agent.load.caller import Caller
from voice_agent.load.errors import CallError, NoAnswer, WavError
from voice_agent.load.keeping_time import keeping_time
from voice_agent.load.measure import ask
from voice_agent.load.playlist import Item, choose, read_playlist
from voice_agent.load.served import served

Print = Callable[[str], object]

TURNS_A_CALL = 10
SHORT_ANSWER = "llm.answer=Yes, of course we do."
"""What matters is over when an answer begins."""
RESAMPLES = 4000
MOST_MS, MOST_CPU = 1.0, 0.03
"""What tracing may cost: ms of the median latency, share of a session's CPU time."""


@dataclass
class Side:
    """One server and what was measured on it."""

    url: str
    v2v_ms: list[float | None] = field(default_factory=list)
    """Of every turn; None: not answered, or cut in."""
    cpu: list[float] = field(default_factory=list)
    """Cores used during each call."""


async def bench_trace(
    serve: Sequence[str], *, turns: int = 100, json_path: Path | None = None, print: Print = print
) -> int:
    """Run the bench.

    Args:
        serve: Arguments of ``voice-agent serve`` for both servers.
        turns: Turns of each.
        json_path: Write everything there.
        print: Where the lines for a person go.

    Returns:
        0 (within what it may cost, or not shown to be beyond), 1 (beyond, or an agent could not
        be called) or 2 (bad input).
    """
    folder = default_folder()
    try:
        check_places(json_path)
        utterances.make(folder, print=print)
        items = choose(read_playlist(folder), ["complete"], None)
    except WavError as error:
        print(f"error: {error}")
        return BAD_INPUT
    try:
        async with AsyncExitStack() as running:
            running.enter_context(keeping_time())
            kept = running.enter_context(tempfile.TemporaryDirectory())
            sides = {}
            for name, enabled in (("off", "false"), ("on", "true")):
                arguments = ["-m", "voice_agent", "serve", "--host=127.0.0.1", "--port=0", *serve]
                arguments += [f"--set={SHORT_ANSWER}"]
                arguments += [f"--set=trace.enabled={enabled}", f"--set=trace.path={kept}/t.db"]
                server = served(arguments, f"the server with tracing {name}")
                sides[name] = Side((await running.enter_async_context(server)).url)
            await _measure(sides, items, turns, print)
    except (CallError, NoAnswer) as error:
        print(f"error: {error}")
        return FAILED
    return report(sides["off"], sides["on"], json_path, print)


async def _measure(sides: dict[str, Side], items: Sequence[Item], turns: int, print: Print) -> None:
    done = 0
    while done < turns:
        count = min(TURNS_A_CALL, turns - done)
        asked = [items[(done + number) % len(items)] for number in range(count)]
        async with asyncio.TaskGroup() as calls:
            for side in sides.values():
                calls.create_task(_call(side, asked))
        done += count
        print(f"{done} of {turns} turns ...")


async def _call(side: Side, asked: Sequence[Item]) -> None:
    async with Caller(side.url) as caller:
        await caller.greeting(within_s=0.5)
        began_s, before_s = caller.now(), await _cpu_s(side.url)
        for item in asked:
            outcome = await ask(caller, item)
            side.v2v_ms.append(None if outcome.cut_in_ms is not None else outcome.v2v_ms)
        used_s = await _cpu_s(side.url) - before_s
        side.cpu.append(used_s / (caller.now() - began_s))


async def _cpu_s(url: str) -> float:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.get(f"{url}/metrics") as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise CallError(f"{url}/metrics cannot be read: {error}") from error
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "process_cpu_seconds_total":
                return float(sample.value)
    raise CallError(f"{url}/metrics does not tell CPU time: that needs Linux")


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
    drawn = pairs[random.integers(0, len(pairs), (RESAMPLES, len(pairs)))]
    medians = np.median(pairs, axis=0)
    more_ms = _interval(np.subtract(*np.median(drawn, axis=1).T[::-1]))
    cpu = np.array([off.cpu, on.cpu]).T
    cores = cpu.mean(axis=0)
    drawn = cpu[random.integers(0, len(cpu), (RESAMPLES, len(cpu)))].mean(axis=1)
    more_cpu = _interval(drawn[:, 1] / drawn[:, 0] - 1.0)
    figures: dict[str, Any] = {
        "turns": len(pairs),
        "v2v_ms": {
            "off": round(float(medians[0]), 1),
            "on": round(float(medians[1]), 1),
            "difference": round(float(medians[1] - medians[0]), 2),
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
