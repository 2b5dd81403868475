"""The process that has the port: accepts connections, hands each to a worker, keeps workers alive.

A connection goes to the worker with the fewest calls, as its descriptor (unix(7), SCM_RIGHTS): no
byte of it passes through here. A worker that dies takes its calls with it and is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from voice_agent.process import wait_or_kill
from voice_agent.serving.orders import ORDERS, STOP_S, Orders

REPORT = struct.Struct("=I")
"""What a worker says when it is ready and whenever that changes: its calls now."""
YOUNG_S = 1.0
"""After this long a connection is a call that its worker has told of, or none."""
AGAIN_S = 1.0
"""From a worker's death to its successor's start."""
CONNECTIONS_WAITING = 128


class WorkerFailed(RuntimeError):
    """A worker could not start; it has said why on stderr."""

    def __init__(self, code: int) -> None:
        super().__init__("a worker could not start")
        self.code = code


@dataclass(slots=True)
class Worker:
    """One worker process, as the dispatcher sees it."""

    number: int
    process: asyncio.subprocess.Process
    channel: socket.socket
    ready: asyncio.Event
    calls: int = 0
    handed: deque[float] = field(default_factory=deque)
    """When it was given its latest connections, monotonic seconds: calls it does not know of."""

    def load(self, lines: int) -> tuple[bool, int]:
        """Return how busy it is, of ``lines`` calls at most; the smaller, the less."""
        while self.handed and self.handed[0] < time.monotonic() - YOUNG_S:
            self.handed.popleft()
        return self.calls >= lines, self.calls + len(self.handed)

    def hand(self, connection: socket.socket) -> bool:
        """Give it a connection; False when it cannot take one now."""
        try:
            socket.send_fds(self.channel, [b"c"], [connection.fileno()])
        except OSError:
            return False
        self.handed.append(time.monotonic())
        return True

    def told(self) -> None:
        """Read what it says."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if said := self.channel.recv(REPORT.size * 256):
                (self.calls,) = REPORT.unpack(said[-REPORT.size :])
                self.ready.set()
                return
        asyncio.get_running_loop().remove_reader(self.channel)


class Dispatcher:
    """See the module's docstring.

    Args:
        orders: Of every worker, but for number and channel.
        lines: Calls a worker takes at most.
    """

    def __init__(self, orders: Orders, lines: int) -> None:
        self._orders = orders
        self._lines = lines
        self._workers: dict[int, Worker] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Start the workers, and wait until all are ready.

        Raises:
            WorkerFailed: One of them could not.
        """
        try:
            started = [await self._start(number) for number in range(self._orders.of)]
            await asyncio.gather(*(_ready(worker) for worker in started))
        except BaseException:
            await self.stop()
            raise
        self._keeping = [asyncio.create_task(self._keep(worker)) for worker in started]

    async def accept(self, listener: socket.socket) -> None:
        """Hand out connections until cancelled; ``listener`` listens."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # out of descriptors: what waits, waits
                logger.error(f"a connection could not be accepted: {error}")
                await asyncio.sleep(AGAIN_S)
                continue
            with connection:
                self._hand_out(connection)

    def _hand_out(self, connection: socket.socket) -> None:
        for worker in sorted(self._workers.values(), key=lambda each: each.load(self._lines)):
            if worker.ready.is_set() and worker.hand(connection):
                return
        logger.error("a connection was dropped: no worker can take it")

    async def _start(self, number: int) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        orders = replace(self._orders, number=number, channel=theirs.fileno())
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "voice_agent.serving.worker",
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the dispatcher, which tells them
            )
        assert process.stdin is not None
        process.stdin.write(ORDERS.dump_json(orders))
        process.stdin.close()
        worker = Worker(number, process, ours, asyncio.Event())
        asyncio.get_running_loop().add_reader(ours, worker.told)
        self._workers[number] = worker
        return worker

    async def _keep(self, worker: Worker) -> None:
        while True:
            code = await worker.process.wait()
            if self._stopping:
                return
            logger.error(f"worker {worker.number} has ended ({code}) with {worker.calls} calls")
            self._close(worker)
            await asyncio.sleep(AGAIN_S)
            worker = await self._start(worker.number)

    def _close(self, worker: Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.channel)
        worker.channel.close()
        self._workers.pop(worker.number, None)

    async def stop(self) -> None:
        """End the workers politely, and wait for it."""
        self._stopping = True
        workers = list(self._workers.values())
        await asyncio.gather(*(_end(worker.process) for worker in workers))
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for worker in workers:
            self._close(worker)


async def _ready(worker: Worker) -> None:
    ready = asyncio.create_task(worker.ready.wait())
    ended = asyncio.create_task(worker.process.wait())
    try:
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise WorkerFailed(ended.result())
    finally:
        for task in (ready, ended):
            task.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    await wait_or_kill(process, STOP_S)


async def dispatch(
    orders: Orders,
    lines: int,
    sock: socket.socket,
    stop_asked: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Serve on ``sock`` (bound, not listening yet) with ``orders.of`` workers of ``lines`` calls
    until told to stop.

    Raises:
        WorkerFailed: A worker could not start.
        OSError: The port was taken meanwhile.
    """
    dispatcher = Dispatcher(orders, lines)
    stopping = asyncio.create_task(stop_asked.wait())
    working = asyncio.create_task(dispatcher.start())
    try:
        await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            return
        working.result()
        sock.listen(CONNECTIONS_WAITING)
        working = asyncio.create_task(dispatcher.accept(sock))
        on_ready()
        await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, working):
            task.cancel()
        await asyncio.gather(stopping, working, return_exceptions=True)
        sock.close()
        await dispatcher.stop()
