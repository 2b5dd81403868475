"""The worker process of a language model: loaded, asked, and loaded again when it dies.

Runs on the event loop and only shovels messages. Requests that are under way when the worker dies
fail; those that come while the next one loads wait for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Any

from loguru import logger

from voice_agent.engines import EngineError
from voice_agent.llm.model_wire import Kind
from voice_agent.workers.process import WorkerProcess
from voice_agent.workers.wire import Message

__all__ = ["BACK_OFF_S", "ModelProcess", "Refused", "Request"]

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Before each attempt to replace a dead worker; the last one for all that follow."""
_MERGED = {"text", "timings"}


class Request:
    """One request; iterate over it for the chunks (see ``Kind.CHUNK``) until it ends.

    Iterating raises EngineError when the model refuses or its process dies.
    """

    def __init__(self, number: int, tell: Callable[[Message], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing more will come and its slot is free."""
        self._number = number
        self._tell = tell
        self._chunks: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._error: EngineError | None = None

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self.ended.done():
                break
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Want no more of it: the slot is free soon, see ``ended``. May be called at any time."""
        if not self.ended.done():
            self._tell(Message(Kind.CANCEL, 0, self._number))

    # What follows is for the process.

    def receive(self, payload: bytes) -> None:
        """Take a chunk; tokens that come faster than they are taken travel together."""
        chunk = json.loads(payload)
        last = self._chunks[-1] if self._chunks else None
        if last is not None and (chunk.keys() | last.keys()) <= _MERGED:
            last["text"] = last.get("text", "") + chunk.get("text", "")
            last["timings"] = chunk.get("timings", last.get("timings", {}))
        else:
            self._chunks.append(chunk)
        self._news.set()

    def end(self, error: EngineError | None = None) -> None:
        """Be over."""
        self._error = error
        self.ended.set_result(None)
        self._news.set()


class Refused(EngineError):
    """The model does not take a request; ``kind`` is its own name for why."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ModelProcess(ABC):
    """One worker process with one model.

    Args:
        worker: The module it runs.
        load: Its argument.
        name: What it is called in logs and errors.
        back_off_s: Before each attempt to replace a dead worker.
        python: What runs it.
    """

    def __init__(
        self,
        worker: str,
        load: str,
        name: str,
        back_off_s: Sequence[float] = BACK_OFF_S,
        python: str = sys.executable,
    ) -> None:
        self._python = python
        self._module = worker
        self._load = load
        self._name = name
        self._back_off_s = back_off_s
        self._worker: WorkerProcess | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._requests: dict[int, Request] = {}
        self._numbers = count(1)
        self._on_loaded: list[Callable[[], None]] = []

    @abstractmethod
    def _complaint(self, worker: WorkerProcess, status: int) -> str:
        """Return what went wrong in a dead worker, in its own words."""

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        return self._worker.pid if self._worker else None

    def on_reloaded(self, act: Callable[[], None]) -> None:
        """Call ``act`` whenever a new worker has taken a dead one's place."""
        self._on_loaded.append(act)

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineError: It cannot be loaded; the message says what it said.
        """
        self._worker = await self._spawn()
        self._up.set()
        self._keeper = asyncio.create_task(self._keep(self._worker), name=self._name)

    async def stop(self) -> None:
        """End the worker and wait until it is gone; requests under way fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        worker, self._worker = self._worker, None
        self._up.clear()
        self._fail_all(EngineError("the language model has been stopped"))
        if worker is not None:
            await worker.end()

    async def ask(self, endpoint: str, body: dict[str, Any]) -> Request:
        """Send a request, as soon as there is a worker.

        Args:
            endpoint: "chat" or "completion".
            body: As OpenAI's endpoints, and llama-server, take it.
        """
        await self._up.wait()
        assert self._worker is not None
        request = Request(next(self._numbers) & 0xFFFFFFFF, self._worker.say)
        self._requests[request._number] = request
        payload = json.dumps({"endpoint": endpoint, "body": body}, ensure_ascii=False).encode()
        self._worker.say(Message(Kind.ASK, 0, request._number, payload))
        return request

    async def _spawn(self) -> WorkerProcess:
        worker = await WorkerProcess.spawn(
            *(self._module, self._load),
            keep_stderr=True,
            python=self._python,
            # A failed assertion would otherwise start a debugger that walks through the process.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
        try:
            await worker.receive()
        except asyncio.IncompleteReadError:
            status = await worker.end()
            raise EngineError(
                f"{self._name} cannot be loaded: {self._complaint(worker, status)}"
            ) from None
        except asyncio.CancelledError:
            await worker.end(patience_s=0.0)
            raise
        return worker

    async def _keep(self, worker: WorkerProcess) -> None:
        """Hand on what the worker says; replace it when it dies."""
        while True:
            try:
                while True:
                    self._receive(await worker.receive())
            except asyncio.IncompleteReadError:
                worker = await self._replace(worker)

    def _receive(self, message: Message) -> None:
        if message.kind == Kind.CHUNK:
            self._requests[message.number].receive(message.payload)
        elif message.kind == Kind.END:
            request = self._requests.pop(message.number)
            request.end(_refusal(message.payload) if message.payload else None)

    async def _replace(self, dead: WorkerProcess) -> WorkerProcess:
        self._up.clear()
        self._worker = None
        status = await dead.end()
        said = self._complaint(dead, status)
        logger.error("{} (process {}) died: {}; it is started again", self._name, dead.pid, said)
        self._fail_all(EngineError(f"the language model's process died: {said}"))
        for attempt in count():
            await asyncio.sleep(self._back_off_s[min(attempt, len(self._back_off_s) - 1)])
            try:
                self._worker = await self._spawn()
            except (EngineError, OSError) as error:
                logger.error("the language model does not come back: {}", error)
                continue
            break
        assert self._worker is not None
        self._up.set()
        for act in self._on_loaded:
            act()
        return self._worker

    def _fail_all(self, error: EngineError) -> None:
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.end(error)


def _refusal(payload: bytes) -> Refused:
    error: dict[str, Any] = json.loads(payload)
    said = f"the language model refused: {error.get('message', error)}"
    return Refused(said, str(error.get("type", "")))
