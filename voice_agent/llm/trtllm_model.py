"""A model loaded through TensorRT-LLM's API, as its conversations share it.

Its scheduler takes care of who is served when, and its cache of what is remembered: there are no
slots to give out, only a bound on answers under way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

from voice_agent.engines import EngineError
from voice_agent.llm.model_process import ModelProcess, Request
from voice_agent.llm.plain import plain_request
from voice_agent.llm.trtllm_wire import TrtLlmLoad
from voice_agent.workers.process import WorkerProcess

__all__ = ["TrtLlmModel", "TrtLlmProcess"]


class TrtLlmProcess(ModelProcess):
    """One worker process with one model in TensorRT-LLM.

    Args:
        load: What is loaded, and how.
        python: The Python that has tensorrt_llm.
    """

    def __init__(self, load: TrtLlmLoad, python: str) -> None:
        worker = "voice_agent.llm.trtllm_worker"
        super().__init__(worker, load.to_json(), f"TensorRT-LLM with {load.weights}", python=python)

    def _complaint(self, worker: WorkerProcess, status: int) -> str:
        """Return why, in the words of the last traceback."""
        lines = [line for line in worker.complaints if line.strip()]
        if any("No module named 'tensorrt_llm'" in line for line in lines):
            return (
                f"the package tensorrt_llm is not installed for {self._python}; set llm.python, or "
                'use mode = "endpoint"'
            )
        if memory := next((line for line in lines if "out of memory" in line.lower()), ""):
            return f"{memory.strip()}: lower free_gpu_memory_fraction, or close what uses the GPU"
        return f"exit status {status}{f', {lines[-1].strip()}' if lines else ''}"


class TrtLlmModel:
    """See the module's docstring.

    Args:
        load: How it is loaded.
        python: The Python that has tensorrt_llm.
        at_once: Answers that may be under way.
        common: Fields of every request; None is left out.
        opening: What every conversation begins with.
    """

    def __init__(
        self,
        load: TrtLlmLoad,
        python: str,
        at_once: int,
        common: Mapping[str, Any],
        opening: Callable[[], LLMContext] | None,
    ) -> None:
        self._process = TrtLlmProcess(load, python)
        self._at_once = at_once
        self._under_way = 0
        self._common = {name: value for name, value in common.items() if value is not None}
        self._opening = opening

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        return self._process.pid

    async def start(self) -> None:
        """Load the model and let it read the opening.

        Raises:
            EngineError: The model cannot be loaded, or refuses the opening.
        """
        await self._process.start()
        try:
            await self._warm_up()
        except BaseException:
            await self._process.stop()
            raise

    async def stop(self) -> None:
        """End the worker; requests under way fail."""
        await self._process.stop()

    @asynccontextmanager
    async def asking(self, conversation: str, body: dict[str, Any]) -> AsyncIterator[Request]:
        """Send a request; leaving the block aborts it.

        Raises:
            EngineError: Too many are under way.
        """
        if self._under_way >= self._at_once:
            raise EngineError(f"{self._under_way} answers are under way already (llm.at_once)")
        self._under_way += 1
        request: Request | None = None
        try:
            request = await self._process.ask("chat", {**self._common, **body})
            yield request
        finally:
            if request is None or request.ended.done():
                self._under_way -= 1
            else:
                request.cancel()
                request.ended.add_done_callback(lambda _: self._gone())

    def prepare(self, conversation: str) -> None:
        """Nothing is kept for a conversation: the opening is in the cache of all."""

    def leave(self, conversation: str) -> None:
        """Nothing was kept; what nobody asks for again leaves the cache by itself."""

    def _gone(self) -> None:
        self._under_way -= 1

    async def _warm_up(self) -> None:
        request = plain_request(self._opening()) if self._opening is not None else {"messages": []}
        messages = [*request.pop("messages"), {"role": "user", "content": "hello"}]
        async with self.asking("warm-up", {**request, "messages": messages, "max_tokens": 8}) as it:
            async for _ in it:
                pass
