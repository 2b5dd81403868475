"""Whose slot it is, and who waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines import EngineError
from voice_agent.llm.llamacpp_slots import Slots


async def settle() -> None:
    """Let whoever was granted a slot take it."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_conversation_comes_back_to_its_slot() -> None:
    """The prompt it left there is what makes its next turn cheap."""
    slots = Slots(3, waiting=0)
    anna, bert = await slots.take("anna"), await slots.take("bert")
    slots.give(anna)
    slots.give(bert)
    assert await slots.take("bert") == bert
    assert await slots.take("anna") == anna


async def test_a_conversation_waits_for_its_slot_though_others_are_free() -> None:
    """Its cancelled request gives the slot back in a moment; another slot would know nothing."""
    slots = Slots(2, waiting=1)
    own = await slots.take("anna")
    again = asyncio.create_task(slots.take("anna"))
    await settle()
    assert not again.done()
    slots.give(own)
    assert await again == own


async def test_a_newcomer_takes_nobodys_slot_first() -> None:
    """A conversation that is over leaves its slot before one that only pauses is pushed out."""
    slots = Slots(2, waiting=0)
    anna, bert = await slots.take("anna"), await slots.take("bert")
    slots.give(anna)
    slots.give(bert)
    slots.leave("bert")
    assert await slots.take("carl") == bert
    slots.give(bert)
    assert await slots.take("anna") == anna


async def test_with_more_conversations_than_slots_the_longest_silent_gives_way() -> None:
    """Everybody is answered, at the price of reading a prompt again."""
    slots = Slots(2, waiting=0)
    for name in ("anna", "bert"):
        slots.give(await slots.take(name))
    carl = await slots.take("carl")
    slots.give(carl)
    assert await slots.take("bert") != carl


async def test_the_queue_is_served_in_order_and_bounded() -> None:
    """First come, first served; who comes too late hears so at once."""
    slots = Slots(1, waiting=2)
    only = await slots.take("anna")
    waiting = [asyncio.create_task(slots.take(name)) for name in ("bert", "carl")]
    await settle()
    with pytest.raises(EngineError, match="busy: 1 answers are being written and 2 wait"):
        await slots.take("dora")
    slots.give(only)
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    slots.give(only)
    assert await waiting[1] == only


async def test_fewer_may_work_than_have_a_slot() -> None:
    """The bound on work is one thing, remembering another."""
    slots = Slots(3, waiting=3, at_once=1)
    anna = await slots.take("anna")
    bert = asyncio.create_task(slots.take("bert"))
    await settle()
    assert not bert.done()
    slots.give(anna)
    assert await bert != anna


async def test_whoever_stops_waiting_takes_nothing() -> None:
    """A cancelled request leaves the queue, also when it had just been granted a slot."""
    slots = Slots(1, waiting=3)
    only = await slots.take("anna")
    bert, carl, dora = (asyncio.create_task(slots.take(name)) for name in ("bert", "carl", "dora"))
    await settle()
    bert.cancel()
    slots.give(only)  # carl's now, who has not yet run
    carl.cancel()
    assert await dora == only
    slots.give(only)
    assert slots.busy == 0
    assert slots.waiting == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=60))
def test_no_slot_is_ever_used_twice(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of asking, giving back, cancelling and leaving."""

    async def play() -> None:
        slots = Slots(2, waiting=50)
        tasks: list[asyncio.Task[int]] = []
        held: list[int] = []
        for name, what in steps:
            if what == 0:
                tasks.append(asyncio.create_task(slots.take(name)))
            elif what == 1 and held:
                slots.give(held.pop())
            elif what == 2 and tasks:
                tasks.pop(len(tasks) // 2).cancel()
            elif what == 3:
                slots.leave(name)
            await settle()
            for task in [task for task in tasks if task.done()]:
                tasks.remove(task)
                held.append(task.result())
            assert len(set(held)) == len(held)
            assert slots.busy == len(held)
        while tasks or held:
            while held:
                slots.give(held.pop())
            await settle()
            held = [task.result() for task in tasks if task.done()]
            tasks = [task for task in tasks if not task.done()]
        assert slots.busy == slots.waiting == 0

    asyncio.run(play())
