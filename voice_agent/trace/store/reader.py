"""Traces read in a process of its own, so that no call waits for a dashboard.

Percentiles of 100,000 turns are 0.3 s of Python and NumPy. In a thread of the server they would
hold its interpreter, and every conversation with it, for a few ms again and again. The process is
started when somebody first looks, and yields to the calls where the cores are short.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeVar

from voice_agent.trace.store.queries import Traces

NICENESS = 10

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Asks the process; it is started again where it has died.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self.traces = Traces(path)
        """For what is streamed: read in a thread, a row at a time."""
        self._pool: ProcessPoolExecutor | None = None

    async def ask(
        self,
        question: Callable[Concatenate[Traces, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return what ``question(traces, ...)`` returns: a method of ``Traces`` or a function.

        Raises:
            StoreError: The file is not there or cannot be read.
            NotTraced: What was asked for is not there.
        """
        work = partial(question, self.traces, *arguments, **named)
        loop = asyncio.get_running_loop()
        pool = self._started()
        try:
            return await loop.run_in_executor(pool, work)
        except BrokenProcessPool:  # it was killed, by the system when memory was short
            if self._pool is pool:
                self.close()
            return await loop.run_in_executor(self._started(), work)

    def close(self) -> None:
        """End the process; idempotent."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned: a fork would take along the threads' locks and the listening socket.
            context: Any = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_be_a_reader)
        return self._pool


def _be_a_reader() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # A pool's process holds both ends of its queue and would outlive a server that was killed.
    Thread(target=_end_with_the_server, daemon=True).start()


def _end_with_the_server() -> None:
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()
        os._exit(0)
