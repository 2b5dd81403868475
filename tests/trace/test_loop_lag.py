"""How late the event loop is."""

import asyncio
import time

from voice_agent.trace.loop_lag import INTERVAL_S, WINDOW_S, LoopLag


def test_before_the_first_beat_there_is_nothing_to_tell():
    """Zeros, not an error."""
    assert LoopLag().figures() == {"p50": 0.0, "p99": 0.0, "max": 0.0}


def test_one_stall_is_the_maximum_and_not_the_median():
    """One long lag among many short ones."""
    lag = LoopLag()
    for _ in range(500):
        lag.observe(1.0)
    lag.observe(80.0)
    assert lag.figures() == {"p50": 1.0, "p99": 1.0, "max": 80.0}


def test_what_is_older_than_a_minute_is_forgotten():
    """A stall at the start does not stain the figures for ever."""
    lag = LoopLag()
    lag.observe(500.0)
    for _ in range(round(WINDOW_S / INTERVAL_S)):
        lag.observe(2.0)
    assert lag.figures()["max"] == 2.0


async def test_each_beat_counts_how_late_it_was():
    """The clock is asked, not trusted: early is not late."""
    now = 0.0
    late_s = iter([0.005, -0.001, 0.030])

    async def sleep(seconds: float) -> None:
        nonlocal now
        try:
            now += seconds + next(late_s)
        except StopIteration:
            raise asyncio.CancelledError from None

    lag = LoopLag()
    beating = asyncio.create_task(lag.run(clock=lambda: now, sleep=sleep))
    await asyncio.wait([beating])
    assert lag.figures() == {"p50": 5.0, "p99": 30.0, "max": 30.0}


async def test_a_loop_that_computes_is_seen():
    """Blocking for three beats shows as a lag of at least one."""
    lag = LoopLag()
    beating = asyncio.create_task(lag.run())
    await asyncio.sleep(INTERVAL_S)
    time.sleep(3 * INTERVAL_S)  # noqa: ASYNC251 - the mistake that is to be seen
    await asyncio.sleep(INTERVAL_S)
    beating.cancel()
    assert lag.figures()["max"] >= INTERVAL_S * 1000
