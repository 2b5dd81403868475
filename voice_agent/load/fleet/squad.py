"""A process full of callers: its orders on stdin as JSON, a record of every call on stdout.

``python -m voice_agent.load.fleet.squad``. One line of JSON for each call that has ended. SIGTERM
hangs everything up.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from voice_agent.load.dialling import dialled
from voice_agent.load.fleet.casts import Cast, read_casts
from voice_agent.load.fleet.conversing import Part, converse
from voice_agent.load.fleet.profile import Place
from voice_agent.load.fleet.records import CALL, CallRecord
from voice_agent.load.fleet.scenario import Scenario
from voice_agent.load.impairment import Network
from voice_agent.load.keeping_time import keeping_time
from voice_agent.load.speaking import Speaking
from voice_agent.process import new_event_loop

REDIAL_S = 0.5
"""From the end of a call to the next on the same line."""
REFUSED_S = 2.0
"""The same after a call that was refused or could not be made: nobody redials in a busy loop."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What one process of callers does."""

    url: str
    line: str
    """One of :data:`voice_agent.load.dialling.TRANSPORTS`."""
    scenario: Scenario
    folder: Path
    """What the callers say, spoken; see :mod:`voice_agent.load.fleet.casts`."""
    places: tuple[Place, ...]
    sessions: int
    """Calls at once in the whole run, for the records."""
    begin_at: float
    """Wall clock of the step's beginning, seconds since 1970."""
    seed: int
    network: Network
    instrument: bool = True
    """On a telephone: speak RTVI beside the audio, which a stock agent's line does not."""


ORDERS: TypeAdapter[Orders] = TypeAdapter(Orders)


def main() -> int:
    """Carry out the orders."""
    orders = ORDERS.validate_json(sys.stdin.buffer.read())
    # Collecting garbage after a call must not walk through all modules, while others are on the
    # line: that took 100 ms.
    gc.collect()
    gc.freeze()
    with keeping_time(), asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(orders))
    return 0


async def _run(orders: Orders) -> None:
    casts = read_casts(orders.folder, orders.scenario)
    async with asyncio.TaskGroup() as lines:
        tasks = [lines.create_task(_line(orders, casts, place)) for place in orders.places]
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: [task.cancel() for task in tasks])


async def _line(orders: Orders, casts: Sequence[Cast], place: Place) -> None:
    """Call again and again, from the line's beginning to its end."""
    dice = random.Random(f"{orders.seed}/{orders.sessions}/{place.caller}")
    ends_at = orders.begin_at + place.end_s
    await asyncio.sleep(max(0.0, orders.begin_at + place.start_s - time.time()))
    while (left_s := ends_at - time.time()) > 0:
        record = CallRecord(place.caller, orders.sessions, round(time.time(), 3))
        until_s = time.monotonic() + left_s
        part = Part(orders.scenario, dice.choice(casts), dice, until_s)
        ended = await converse(_speaking(orders), part, record)
        sys.stdout.buffer.write(CALL.dump_json(ended) + b"\n")
        sys.stdout.buffer.flush()
        gc.collect()
        refused = ended.error in ("busy", "unreachable")
        await asyncio.sleep(REFUSED_S if refused else REDIAL_S)


def _speaking(orders: Orders) -> Speaking:
    network = orders.network if orders.network != Network() else None
    return dialled(orders.line, orders.url, network=network, instrument=orders.instrument)


if __name__ == "__main__":
    sys.exit(main())
