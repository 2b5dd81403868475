"""The end of a call waits for the agent's last words."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from voice_agent.parting import Parting
from voice_agent.turns.events import Ended, Release, Tag, Tick
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Agent, State, User

SPEAKING = State(TurnSettings(), agent=Agent.SPEAKING, answer=Tag(1, 1))
IDLE = replace(SPEAKING, agent=Agent.IDLE, answer=None)


async def parting() -> Parting:
    made = Parting()

    async def act() -> None: ...

    made.after(act)
    made.observe(0.0, Tick(), (), SPEAKING)
    return made


def is_due(made: Parting) -> bool:
    return made._due.is_set()


async def test_it_is_due_when_the_answer_has_been_heard() -> None:
    """Not before."""
    made = await parting()
    assert not is_due(made)
    made.observe(1.0, Ended(Tag(1, 1)), (), IDLE)
    async with asyncio.timeout(1):
        await made.due()


async def test_a_user_who_says_something_more_calls_it_off() -> None:
    """What they said is answered, and the call goes on."""
    made = await parting()
    made.observe(1.0, Tick(), (Release(Tag(2, 2), "one thing more", 0.0),), SPEAKING)
    made.observe(2.0, Ended(Tag(2, 2)), (), IDLE)
    assert not is_due(made)


async def test_a_user_who_speaks_into_the_last_word_is_heard_out() -> None:
    """It ends when that was only a noise."""
    made = await parting()
    made.observe(1.0, Ended(Tag(1, 1)), (), replace(IDLE, user=User.SPEAKING))
    assert not is_due(made)
    made.observe(2.0, Tick(), (), IDLE)
    assert is_due(made)


async def test_nothing_ends_that_nobody_wants_to_end() -> None:
    """An agent that is silent is not gone."""
    made = Parting()
    made.observe(1.0, Tick(), (), IDLE)
    assert not is_due(made)
