"""One loaded model as its conversations share it: a slot each, and a prompt read beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContext

from voice_agent.engines import EngineError
from voice_agent.llm.llamacpp_process import LlamaCppProcess
from voice_agent.llm.llamacpp_slots import Slots
from voice_agent.llm.llamacpp_wire import Load
from voice_agent.llm.model_process import Request
from voice_agent.llm.plain import plain_request

__all__ = ["LlamaCppModel"]

_USER = {"role": "user", "content": "hello"}


class LlamaCppModel:
    """See the module's docstring.

    Args:
        load: How it is loaded.
        waiting: Requests that may wait for a slot.
        opening: What every conversation begins with.
        common: Fields of every request.
    """

    def __init__(
        self,
        load: Load,
        waiting: int,
        opening: Callable[[], LLMContext] | None,
        common: Mapping[str, Any],
    ) -> None:
        self._process = LlamaCppProcess(load)
        self._number = load.slots
        # With drafts, answers written side by side came out wrong once in a hundred (a recurrent
        # state that goes back the wrong number of tokens when another slot shares the batch:
        # llama.cpp's pull request 25004 is about it). One after the other none of 2000 did.
        self.slots = Slots(load.slots, waiting, at_once=1 if load.draft else None)
        self._opening = opening
        self._common = common
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: dict[str, asyncio.Task[None]] = {}

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        return self._process.pid

    async def start(self) -> None:
        """Load the model and let it read the opening, once in every slot.

        Raises:
            EngineError: The model cannot be loaded, or refuses the opening.
        """
        await self._process.start()
        try:
            await self._warm_all()
        except BaseException:
            await self._process.stop()
            raise
        self._process.on_reloaded(self._reloaded)

    async def stop(self) -> None:
        """End the worker; requests under way fail."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._process.stop()

    @asynccontextmanager
    async def asking(
        self, conversation: str, body: dict[str, Any], endpoint: str = "chat"
    ) -> AsyncIterator[Request]:
        """Send a request when the conversation's slot is free; leaving the block cancels it.

        Raises:
            EngineError: Too many wait for a slot.
        """
        slot = await self.slots.take(conversation)
        request: Request | None = None
        try:
            request = await self._process.ask(
                endpoint, {**self._common, "cache_prompt": True, **body, "id_slot": slot}
            )
            yield request
        finally:
            if request is None or request.ended.done():
                self.slots.give(slot)
            else:
                request.cancel()
                request.ended.add_done_callback(lambda _: self.slots.give(slot))

    def prepare(self, conversation: str) -> None:
        """A conversation has begun: see that its slot knows the opening, by today's date."""
        self._preparing[conversation] = self._keep(self._warm(conversation))

    def leave(self, conversation: str) -> None:
        """A conversation is over: its slot forgets it and is ready for the next one."""
        if (preparing := self._preparing.pop(conversation, None)) is not None:
            preparing.cancel()
        heir = f"after {conversation}"
        if self.slots.hand_over(conversation, heir):
            self._keep(self._forget(heir))

    # ----- within -----

    def _reloaded(self) -> None:
        self._keep(self._warm_all())

    async def _warm_all(self) -> None:
        names = [f"warm-up {n}" for n in range(self._number)]
        try:
            await asyncio.gather(*(self._warm(name) for name in names))
        finally:
            for name in names:
                self.slots.leave(name)

    async def _forget(self, heir: str) -> None:
        try:
            await self._warm(heir)
        finally:
            self.slots.leave(heir)

    async def _warm(self, conversation: str) -> None:
        """Read the opening so far as each of its messages: a conversation may go on from any."""
        if self._opening is None:
            return
        opening = plain_request(self._opening())
        messages = opening.pop("messages")
        for length in range(1, len(messages) + 1):
            body = {**opening, "messages": [*messages[:length], _USER], "max_tokens": 1}
            async with self.asking(conversation, body) as request:
                async for _ in request:
                    pass

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._logged(work), name="llama.cpp warm-up")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _logged(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except EngineError as error:
            logger.warning("the language model was not prepared: {}", error)
