"""``voice-agent bench capacity``: how many calls one core holds, beside a stock Pipecat agent.

Both servers stand on the same core and their callers, on telephones, on the others. The two are
measured in turn, step by step, so that whatever else the machine does meets both. A load holds when
its answers are at most ``SLOWER_MS`` slower than those to a single call (p95), none is missing, and
the agent's voice does not stall. What is asked is what both agents answer at once when they are
alone: a question after which the stock turn strategy waits for its fallback says nothing of a core.
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

from voice_agent.load import utterances
from voice_agent.load.bench import BAD_INPUT, FAILED, OK, default_folder
from voice_agent.load.call import check_places
from voice_agent.load.capacity_table import lines, row
from voice_agent.load.cores import on_cores, other_cores
from voice_agent.load.errors import CallError, WavError
from voice_agent.load.fleet.profile import Step, steps
from voice_agent.load.fleet.records import CallRecord
from voice_agent.load.fleet.run import Held, Plan, hold, watched
from voice_agent.load.fleet.scenario import Scenario, ScenarioTurn, Success
from voice_agent.load.fleet.search import Tried, capacity, next_level
from voice_agent.load.fleet.slo import Slo
from voice_agent.load.fleet.watching import ProcessWatch, Watching
from voice_agent.load.playlist import Item, choose, read_playlist
from voice_agent.load.score import spread
from voice_agent.load.served import Server, served
from voice_agent.process import rss_mb

Print = Callable[[str], object]

SLOWER_MS = 250.0
AT_ONCE_MS = 1500.0
"""An answer later than this was not given at once."""
CANDIDATES = 14
TIMES = 2
"""Each is asked; the stock turn model changes its mind about some of them."""
TURN_S = 12.0
"""What a question and its answer take at most, with a fallback in between."""
QUESTIONS = 5
"""Asked in a call."""
CASTS = 12
PATIENCE_S = 1.7
"""Our server says when an answer is over, the stock one's callers wait for two seconds of silence
instead of 0.3: ours think so much longer, so that both ask equally often."""
THINK_S = (0.4, 1.2)
REST_S = 3.0


@dataclass
class Side:
    """One agent and what it held."""

    name: str
    server: Server
    instrument: bool
    alone_ms: dict[str, float | int] | None = None
    """v2v with a single call."""
    alone_mb: float = 0.0
    """Memory when it had had a single call."""
    left_mb: float = 0.0
    """What it holds more when all calls are over."""
    held: list[Held] = field(default_factory=list)

    @property
    def tried(self) -> list[Tried]:
        """What the search knows: that one call holds, and every step."""
        return [Tried(1, True), *(Tried(each.step.sessions, each.held) for each in self.held)]

    def think_s(self) -> tuple[float, float]:
        """How long this side's callers think, seconds."""
        more = PATIENCE_S if self.instrument else 0.0
        return THINK_S[0] + more, THINK_S[1] + more


async def bench_capacity(
    serve: Sequence[str],
    *,
    core: int = 0,
    most: int = 32,
    seconds: float = 45.0,
    json_path: Path | None = None,
    print: Print = print,
) -> int:
    """Run the bench.

    Args:
        serve: Arguments of ``voice-agent serve`` for our agent.
        core: The core both servers stand on.
        most: Calls at once at most.
        seconds: How long each load is held.
        json_path: Write everything there.
        print: Where the lines for a person go.

    Returns:
        0, 1 (an agent could not be called) or 2 (bad input).
    """
    folder = default_folder()
    try:
        others = other_cores(core)
        check_places(json_path)
        utterances.make(folder, print=print)
        items = choose(read_playlist(folder), ["complete"], CANDIDATES)
    except CallError as error:
        print(f"error: {error}")
        return BAD_INPUT
    try:
        async with AsyncExitStack() as running:
            running.enter_context(on_cores(others))
            kept = Path(running.enter_context(tempfile.TemporaryDirectory()))
            sides = [await _ours(running, serve, core, most, kept), await _stock(running, core)]
            asked = await _answered_at_once(sides, items, kept, print)
            print(f"{len(asked)} of {len(items)} questions are answered at once by both")
            await _search(sides, asked, kept, most, seconds, print)
            for side in sides:
                side.left_mb = round(rss_mb(side.server.pid) - side.alone_mb, 1)
    except CallError as error:
        print(f"error: {error}")
        return FAILED
    return _report(sides, json_path, print)


async def _ours(
    running: AsyncExitStack, serve: Sequence[str], core: int, most: int, kept: Path
) -> Side:
    command = ["-m", "voice_agent", "serve", "--quiet", "--host=127.0.0.1", "--port=0"]
    command += ["--insecure-dev", "--set=telephony.twilio={}", f"--set=trace.path={kept}/t.sqlite"]
    lines = 2 * most  # a call may begin before the last one's end was seen
    command += [f"--set=sessions.max={lines}", f"--set=sessions.max_per_address={lines}"]
    server = served([*command, *serve], "voice-agent serve", core=core)
    return Side("agent", await running.enter_async_context(server), instrument=True)


async def _stock(running: AsyncExitStack, core: int) -> Side:
    server = served(["-m", "voice_agent.load.baseline"], "the baseline", core=core)
    return Side("baseline", await running.enter_async_context(server), instrument=False)


async def _answered_at_once(
    sides: Sequence[Side], items: Sequence[Item], kept: Path, print: Print
) -> list[Item]:
    """Ask everything in a call to each side; return what both answered at once and in time."""
    print(f"every question {TIMES} times, in one call to each ...")
    all_items = [*items] * TIMES
    folder = _spoken(kept / "all", [all_items])
    seconds = TURN_S * len(all_items)
    [step] = steps("steady", [1], seconds)
    calls = await asyncio.gather(
        *(
            _held(_plan(side, _scenario(side, all_items), folder, Slo(), seconds), step, side)
            for side in sides
        )
    )
    fair = {item.name: True for item in items}
    v2v: dict[str, dict[str, list[float]]] = {}
    for side, held in zip(sides, calls, strict=True):
        told = max((call.turns for call in held.calls), key=len, default=())
        known = v2v[side.name] = {item.name: [] for item in items}
        for item, turn in zip(all_items, told, strict=False):
            if turn.v2v_ms is not None and turn.v2v_ms <= AT_ONCE_MS and turn.cut_in_ms is None:
                known[item.name].append(turn.v2v_ms)
        for name, all_ms in known.items():
            fair[name] &= len(all_ms) == TIMES
    asked = [item for item in items if fair[item.name]]
    if len(asked) < QUESTIONS:
        raise WavError(f"only {len(asked)} questions are answered at once: too few to measure with")
    for side in sides:
        side.alone_ms = spread(ms for item in asked for ms in v2v[side.name][item.name])
        side.alone_mb = rss_mb(side.server.pid)
    return asked


async def _search(
    sides: Sequence[Side],
    asked: Sequence[Item],
    kept: Path,
    most: int,
    seconds: float,
    print: Print,
) -> None:
    rounds = [
        [asked[(start + number) % len(asked)] for number in range(QUESTIONS)]
        for start in range(CASTS)
    ]
    folder = _spoken(kept / "asked", rounds)
    levels = {side.name: next_level(side.tried, most) for side in sides}
    while any(levels.values()):
        for side in sides:
            level = levels[side.name]
            if level is None:
                continue
            await asyncio.sleep(REST_S)
            assert side.alone_ms is not None
            slo = Slo(v2v_p95_ms=side.alone_ms["p95"] + SLOWER_MS)
            scenario = _scenario(side, rounds[0])
            [step] = steps("steady", [level], seconds)
            held = await _held(_plan(side, scenario, folder, slo, seconds), step, side)
            side.held.append(held)
            print(_line(side, held))
            levels[side.name] = next_level(side.tried, most)


async def _held(plan: Plan, step: Step, side: Side) -> Held:
    watch = ProcessWatch(side.server.pid)
    before_mb = rss_mb(side.server.pid)
    async with watched(watch):
        held = await hold(plan, step, watch, _silently)
    if held.figures["server"]:
        held.figures["server"]["rss_mb"]["first"] = round(before_mb, 1)
    return held


def _silently(step: Step, calls: Sequence[CallRecord], watch: Watching) -> None:
    """Show nothing."""


def _plan(side: Side, scenario: Scenario, folder: Path, slo: Slo, seconds: float) -> Plan:
    return Plan(
        url=side.server.url,
        line="twilio",
        scenario=scenario,
        folder=folder,
        levels=(),
        seconds=seconds,
        slo=slo,
        instrument=side.instrument,
    )


def _scenario(side: Side, items: Sequence[Item]) -> Scenario:
    turns = tuple(ScenarioTurn(say=item.text, think_s=side.think_s()) for item in items)
    return Scenario(name="capacity", greeting=False, turn=turns, success=Success())


def _spoken(folder: Path, rounds: Sequence[Sequence[Item]]) -> Path:
    """Write what the callers say as a playlist, one round after the other."""
    folder.mkdir()
    spoken = default_folder()
    entries = [
        {
            "file": str(spoken / item.name),
            "text": item.text,
            "start_ms": item.speech.start_ms,
            "end_ms": item.speech.end_ms,
            "words": None if item.words is None else [dict(word) for word in item.words],
        }
        for items in rounds
        for item in items
    ]
    (folder / "index.json").write_text(json.dumps({"utterances": entries}))
    return folder


def _line(side: Side, held: Held) -> str:
    failed = [f"{c.name} {c.measured} > {c.limit:g}" for c in held.checks if not c.holds]
    why = f" ({', '.join(failed)})" if failed else ""
    return f"{side.name}: {held.step.sessions} calls: {'holds' if held.held else 'no'}{why}"


def figures(sides: Sequence[Side]) -> dict[str, Any]:
    """Return everything measured, as plain data."""
    made: dict[str, Any] = {}
    for side in sides:
        rows = [row(held) for held in side.held]
        # Memory that calls leave behind is used by the next ones: the step that grew most tells.
        grown = [each["mb_a_call"] for each in rows if each["mb_a_call"] is not None]
        made[side.name] = {
            "capacity": capacity(side.tried),
            "alone_v2v_ms": side.alone_ms,
            "alone_mb": side.alone_mb,
            "mb_a_call": max(grown, default=None),
            "left_mb": side.left_mb,
            "steps": rows,
        }
    ours, stock = (made[side.name]["capacity"] for side in sides)
    made["times"] = round(ours / stock, 2) if stock else None
    return made


def _report(sides: Sequence[Side], json_path: Path | None, print: Print) -> int:
    made = figures(sides)
    for line in lines(made):
        print(line)
    if json_path is not None:
        try:
            json_path.write_text(json.dumps(made, indent=1) + "\n")
        except OSError as error:
            print(f"error: {json_path}: cannot be written: {error}")
            return BAD_INPUT
    return OK
