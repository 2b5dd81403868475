"""A timer that is put off and almost never rings."""

from __future__ import annotations

import asyncio

from tests.llm.virtual_time import run_virtual
from voice_agent.deadline import Deadline


async def _rings(*steps: tuple[float, float | None]) -> list[float]:
    """Return when it rang; a step waits, then puts off by so much, or cancels (None)."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    rang: list[float] = []
    deadline = Deadline(lambda: rang.append(round(loop.time() - began_s, 2)))
    for wait_s, by_s in steps:
        await asyncio.sleep(wait_s)
        if by_s is None:
            deadline.cancel()
        else:
            deadline.put_off(by_s)
    await asyncio.sleep(100)
    return rang


def test_it_rings_once_when_it_is_not_put_off_any_more() -> None:
    """Counted from the last time."""
    assert run_virtual(_rings((0, 1.0), (0.8, 1.0), (0.8, 1.0))) == [2.6]


def test_it_rings_sooner_when_it_is_told_so() -> None:
    """The sleeping timer does not hold it back."""
    assert run_virtual(_rings((0, 60.0), (1.0, 0.5))) == [1.5]


def test_it_is_silent_once_cancelled_and_can_be_used_again() -> None:
    """For the next voice."""
    assert run_virtual(_rings((0, 1.0), (0.5, None), (5.0, 1.0))) == [6.5]
