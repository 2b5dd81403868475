"""Keeps a long conversation short: its oldest turns are summed up while nobody waits for anything.

The language model is asked out of line, when the agent has fallen silent; what it says takes the
oldest turns' place in the memory between two turns. Where it fails, they are forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import LLMService

from voice_agent.turns.events import Action, Event
from voice_agent.turns.ledger import Exchange, Ledger, Message
from voice_agent.turns.playout import PlayoutEvent
from voice_agent.turns.settings import HistorySettings
from voice_agent.turns.state import Agent, State, User

__all__ = ["History"]

SUMMARY_TOKENS = 200
TIMEOUT_S = 20.0
INSTRUCTION = (
    "Sum up this part of a telephone call for the agent who goes on with it. Keep every name, "
    "number, date and wish, what was agreed, what was done and what is still open. At most eight "
    "short sentences, no introduction."
)


class History:
    """Of one conversation; ``run`` is its task.

    Args:
        settings: How much is remembered word for word.
        ledger: The conversation's memory.
        llm: Is asked for the summary.
    """

    def __init__(self, settings: HistorySettings, ledger: Ledger, llm: LLMService[Any]) -> None:
        self._settings = settings
        self._ledger = ledger
        self._llm = llm
        self._quiet = asyncio.Event()

    def observe(
        self, now: float, event: Event | PlayoutEvent, actions: Sequence[Action], state: State
    ) -> None:
        """Notice that nobody waits for anything."""
        if state.agent in (Agent.IDLE, Agent.STOPPED) and state.user is User.QUIET:
            self._quiet.set()

    async def run(self) -> None:
        """Shorten the memory whenever it has grown too long, until cancelled."""
        while self._settings.turns:
            await self._quiet.wait()
            self._quiet.clear()
            old = self._ledger.surplus(self._settings.turns, self._settings.left)
            if old:
                before = self._ledger.summary
                summary = await self._summary(old) if self._settings.summary else ""
                self._ledger.sum_up(old, summary or before)
                how = "summed up" if summary else "forgotten"
                logger.info("{} turns of a long conversation were {}", len(old), how)

    async def _summary(self, old: Sequence[Exchange]) -> str:
        said = "\n".join(
            line for exchange in old for message in exchange.messages() if (line := _line(message))
        )
        before = self._ledger.summary
        known = f"Before that: {before}\n\n" if before else ""
        context = LLMContext([{"role": "user", "content": f"{INSTRUCTION}\n\n{known}{said}"}])
        try:
            async with asyncio.timeout(TIMEOUT_S):
                summary = await self._llm.run_inference(context, max_tokens=SUMMARY_TOKENS)
        except Exception as error:  # whatever it is, the conversation goes on
            logger.warning("a long conversation cannot be summed up: {}", type(error).__name__)
            return ""
        return " ".join((summary or "").split())


def _line(message: Message) -> str:
    if message.get("tool_calls"):
        function = message["tool_calls"][0]["function"]
        return f"Done: {function['name']} {function['arguments']}"
    names = {"user": "Caller", "assistant": "Agent", "tool": "Result"}
    return f"{names[message['role']]}: {message['content']}"
