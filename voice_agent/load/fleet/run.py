"""A whole run: steps of load held one after the other, watched from both sides.

Callers are dealt out to processes, and a step is over when all its calls are. A server that dies in
between ends the run early, and the report says so.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voice_agent.load.errors import CallError
from voice_agent.load.fleet.book import booked, judged
from voice_agent.load.fleet.profile import Place, Shape, Step, shares, steps
from voice_agent.load.fleet.records import CALL, CallRecord, ServerSample
from voice_agent.load.fleet.results import figures
from voice_agent.load.fleet.scenario import Scenario
from voice_agent.load.fleet.search import Tried, capacity, next_level
from voice_agent.load.fleet.slo import Check, Slo, checks, guilty_stage
from voice_agent.load.fleet.soak import left, left_checks
from voice_agent.load.fleet.squad import ORDERS, Orders
from voice_agent.load.fleet.watching import Watch, Watching
from voice_agent.load.impairment import Network

PER_PROCESS = 8
"""Callers of one process: about a third of a core over WebRTC."""
AHEAD_S = 4.0
"""Processes are started so long before the first call; importing takes them a while."""
GRACE_S = 60.0
"""A call that is not over this long after its step is given up."""
WARM_S = 10.0
IDLE_S = 30
SETTLED = 4
"""A server is idle when so many samples in a row show no call."""
REST_S = 2.0
"""Between two steps."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run."""

    url: str
    line: str
    scenario: Scenario
    folder: Path
    """The callers' voices."""
    levels: Sequence[int]
    """Calls at once; ignored when ``search`` is given."""
    seconds: float
    """How long each is held."""
    shape: Shape = "steady"
    search: int | None = None
    """Look for the largest number that holds the SLO, up to this."""
    slo: Slo = field(default_factory=Slo)
    network: Network = field(default_factory=Network)
    token: str = ""
    seed: int = 0
    book: Path | None = None
    """The server's bookings, where they can be read: what a scenario's ``booked`` asks."""
    instrument: bool = True
    """See :class:`voice_agent.load.fleet.squad.Orders`."""


@dataclass(slots=True)
class Held:
    """One step and what came of it."""

    step: Step
    shape: Shape
    began_at: float
    calls: list[CallRecord] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    guilty: str | None = None
    server_lost: bool = False
    left: dict[str, Any] | None = None
    """What a soak left behind in the server."""

    @property
    def held(self) -> bool:
        """Whether the SLO held, and could be measured."""
        return not self.server_lost and all(check.holds for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "sessions": self.step.sessions,
            "seconds": self.step.seconds,
            "shape": self.shape,
            "began_at": self.began_at,
            "held": self.held,
            "valid": self.figures.get("valid", False),
            "server_lost": self.server_lost,
            "guilty": self.guilty,
            "checks": [
                {"name": c.name, "limit": c.limit, "measured": c.measured, "holds": c.holds,
                 "at_least": c.at_least}
                for c in self.checks
            ],
            "figures": self.figures,
            "left": self.left,
            "calls": [call.to_dict() for call in self.calls],
        }  # fmt: skip


Progress = Callable[[Step, Sequence[CallRecord], Watching], object]


async def run(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Run the plan; return the report's data.

    Raises:
        CallError: The server cannot be called at all.
    """
    watch = Watch(plan.url, plan.token)
    done: list[Held] = []
    async with watched(watch):
        if plan.shape == "soak":
            await _warm(plan, watch, progress)
        for step in _steps(plan, done):
            before = await _idle(watch) if plan.shape == "soak" else None
            held = await hold(plan, step, watch, progress)
            if before is not None and (after := await _idle(watch)) is not None:
                held.left = left(before, after)
                held.checks += left_checks(before, after, plan.slo)
            done.append(held)
            if held.server_lost or (not done[0].calls and not held.calls):
                break
            await asyncio.sleep(REST_S)
    if not any(held.calls for held in done):
        raise CallError(f"{plan.url}: not one call could be made")
    tried = [Tried(held.step.sessions, held.held) for held in done]
    return {
        "url": plan.url,
        "line": plan.line,
        "scenario": plan.scenario.model_dump(mode="json"),
        "slo": plan.slo.model_dump(mode="json"),
        "machine": machine(),
        "finished_at": round(time.time(), 3),
        "steps": [held.to_dict() for held in done],
        "samples": [each.to_dict() for each in watch.samples],
        "capacity": capacity(tried),
        "held": all(held.held for held in done) if plan.search is None else capacity(tried) > 0,
    }


async def _warm(plan: Plan, watch: Watching, progress: Progress) -> None:
    """Let calls load what is loaded at first use, so that a soak does not count it."""
    [step] = steps("steady", [max(plan.levels)], WARM_S)
    await hold(plan, step, watch, progress)


async def _idle(watch: Watching) -> ServerSample | None:
    """Return the server as it is when its calls are over; None when that does not come about."""
    since = len(watch.samples)
    for _ in range(IDLE_S):
        await asyncio.sleep(1.0)
        seen = watch.samples[since:]
        if len(seen) >= SETTLED and all(each.sessions == 0 for each in seen[-SETTLED:]):
            return seen[-1]
    return None


def _steps(plan: Plan, done: Sequence[Held]) -> Iterator[Step]:
    """Yield what is held next, by what came of what was ``done``."""
    if plan.search is None:
        yield from steps(plan.shape, plan.levels, plan.seconds)
        return
    while True:
        tried = [Tried(held.step.sessions, held.held) for held in done]
        level = next_level(tried, plan.search)
        if level is None:
            return
        yield from steps(plan.shape, [level], plan.seconds)


@asynccontextmanager
async def watched(watch: Watching) -> AsyncIterator[None]:
    """Sample a server for as long as the block lasts."""
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def hold(plan: Plan, step: Step, watch: Watching, progress: Progress) -> Held:
    """Hold one step and return what came of it; ``watch`` runs (see :func:`watched`)."""
    held = Held(step, plan.shape, round(time.time() + AHEAD_S, 3))
    dealt = shares(step, max(1, -(-len(step.places) // PER_PROCESS)))
    async with asyncio.TaskGroup() as squads:
        running = [
            squads.create_task(_squad(_orders(plan, step, places, held.began_at), held.calls))
            for places in dealt
        ]
        while not all(task.done() for task in running):
            progress(step, held.calls, watch)
            await asyncio.wait(running, timeout=1.0)
    progress(step, held.calls, watch)
    until = time.time()
    samples = [each for each in watch.samples if held.began_at <= each.at_s <= until]
    stats = await watch.stats(held.began_at, until)
    if plan.book is not None and plan.scenario.success.booked:
        held.calls[:] = judged(held.calls, await asyncio.to_thread(booked, plan.book))
    held.server_lost = watch.lost_at_s is not None
    held.figures = figures(held.calls, samples, stats["stages"] if stats else None)
    held.checks = checks(plan.slo, held.figures)
    if not all(check.holds for check in held.checks):
        held.guilty = guilty_stage(held.figures, plan.slo)
    return held


def _orders(plan: Plan, step: Step, places: Sequence[Place], begin_at: float) -> Orders:
    return Orders(
        plan.url,
        plan.line,
        plan.scenario,
        plan.folder,
        tuple(places),
        step.sessions,
        begin_at,
        plan.seed,
        plan.network,
        plan.instrument,
    )


async def _squad(orders: Orders, into: list[CallRecord]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "voice_agent.load.fleet.squad",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    last_s = max(place.end_s for place in orders.places)
    try:
        process.stdin.write(ORDERS.dump_json(orders))
        await process.stdin.drain()
        process.stdin.close()
        async with asyncio.timeout(orders.begin_at - time.time() + last_s + GRACE_S):
            async for line in process.stdout:
                into.append(CALL.validate_json(line))
            await process.wait()
    except TimeoutError:
        pass  # what it has told so far counts
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def machine() -> dict[str, Any]:
    """Return what ran the callers, for the report."""
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }
