"""What every worker process does: leave signals to its server, keep its pipe clean, end with it.

Imports nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from threading import Lock, Thread
from typing import BinaryIO

from voice_agent.workers.wire import Message


class Pipe:
    """The worker's end of the two pipes.

    Make it before anything else is loaded: from then on whatever a library prints goes to stderr
    instead of between the messages, and signals to stop are left to the server, which may still
    be finishing an answer.
    """

    def __init__(self) -> None:
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, signal.SIG_IGN)
        self._sink = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._source: BinaryIO = sys.stdin.buffer
        self._lock = Lock()

    def say(self, *messages: Message) -> None:
        """Write the messages, from any thread; BrokenPipeError when the server has gone."""
        with self._lock:
            view = memoryview(b"".join(message.pack() for message in messages))
            while view:
                view = view[os.write(self._sink, view) :]

    def read(self) -> bytes:
        """Return what has come, as soon as something has; empty when the server has gone."""
        return os.read(self._source.fileno(), 1 << 16)

    def read_ahead(self, put: Callable[[bytes], None]) -> None:
        """Have a thread hand all that comes to ``put``, and at the end an empty one.

        A thread, not select(): Windows cannot wait for a pipe.
        """

        def work() -> None:
            while received := self.read():
                put(received)
            put(b"")

        Thread(target=work, daemon=True).start()
