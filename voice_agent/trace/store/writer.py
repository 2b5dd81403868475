"""Turns on their way to disk, off the audio path.

The event loop appends to a bounded queue and goes on; one thread writes what has come in, a batch
a transaction. When the disk cannot keep up, what comes next is dropped and counted: a call never
waits for its trace. ``close`` writes everything; a killed process loses what came in the last
``BATCH_S`` and the batch being written.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from voice_agent.trace.errors import StoreError
from voice_agent.trace.model import STAGES, Run, Session, Turn
from voice_agent.trace.store.retention import Retention
from voice_agent.trace.store.schema import open_to_write

QUEUE_MAX = 4096
"""Items waiting to be written: about a minute of a hundred conversations."""
BATCH_S = 0.2
"""How long items are collected before they are written."""
TEND_S = 10.0
"""How often the run says that it lives; old turns are deleted at the same time."""
CLOSE_S = 10.0
"""How long closing waits for the disk."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A turn's recording, encoded when it is written: that takes a while."""

    turn: str
    encode: Callable[[], bytes]


Item = Turn | Session | Recording


class Store:
    """Writes what one process traces; see the module's docstring.

    Args:
        path: The SQLite file.
        run: This process's life.
        retention: What is deleted again.
    """

    def __init__(self, path: Path, run: Run, retention: Retention) -> None:
        self.path = path
        self.dropped = 0
        """Items that did not fit into the queue or could not be written."""
        self._run = run
        self._retention = retention
        self._queue: deque[Item] = deque()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file and start writing; blocking.

        Raises:
            StoreError: The file cannot be used.
        """
        ready: deque[StoreError | None] = deque()
        opened = threading.Event()

        def begin() -> None:
            try:
                self._begin()
                ready.append(None)
            except (StoreError, sqlite3.Error) as error:
                ready.append(StoreError(str(error)))
                return
            finally:
                opened.set()
            self._write_on()

        self._thread = threading.Thread(target=begin, name="traces", daemon=True)
        self._thread.start()
        opened.wait()
        if (error := ready.popleft()) is not None:
            raise error

    def close(self) -> None:
        """Write everything that came in and close the file; blocking, idempotent."""
        self._closing.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                logger.error(f"the disk did not take the last traces within {CLOSE_S:g} s")

    # ----- on the event loop -----

    def turn(self, turn: Turn) -> None:
        """Write a turn, in place of what was written of it before."""
        self._put(turn)

    def finished(self, turn: Turn) -> None:
        """A finished turn was told before."""

    def session(self, session: Session) -> None:
        """Write a session, in place of what was written of it before."""
        self._put(session)

    def recording(self, recording: Recording) -> None:
        """Write a turn's recording; the turn itself must have been put before."""
        self._put(recording)

    def _put(self, item: Item) -> None:
        if len(self._queue) >= QUEUE_MAX or self._closing.is_set():
            self.dropped += 1
            return
        self._queue.append(item)
        self._news.set()

    # ----- on the writing thread -----

    def _begin(self) -> None:
        self._database = open_to_write(self.path)
        run, now = self._run, time.time()
        self._database.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?)",
            (run.id, run.pipeline, run.version, run.started_at, now),
        )

    def _write_on(self) -> None:
        database = self._database
        assert database is not None
        tended = 0.0
        while True:
            until = tended + TEND_S - time.monotonic()
            self._news.wait(max(0.0, until))
            if not self._closing.is_set():
                self._closing.wait(BATCH_S)
            closing = self._closing.is_set()
            self._news.clear()
            self._write(database)
            if time.monotonic() - tended >= TEND_S or closing:
                tended = time.monotonic()
                self._tend(database)
            if closing and not self._queue:
                break
        database.close()

    def _write(self, database: sqlite3.Connection) -> None:
        batch: dict[tuple[type[Item], str], Item] = {}
        while self._queue:
            item = self._queue.popleft()
            key = (type(item), item.turn if isinstance(item, Recording) else item.id)
            batch[key] = item  # a turn that changed twice is written once
        if not batch:
            return
        try:
            with _transaction(database):
                for item in batch.values():
                    _write_item(database, item)
        except sqlite3.Error as error:
            self.dropped += len(batch)
            logger.error(f"{len(batch)} traces could not be written to {self.path}: {error}")

    def _tend(self, database: sqlite3.Connection) -> None:
        try:
            with _transaction(database):
                alive = (time.time(), self._run.id)
                database.execute("UPDATE runs SET alive_at = ? WHERE id = ?", alive)
            self._retention.apply(database)
        except sqlite3.Error as error:
            logger.error(f"old traces could not be deleted from {self.path}: {error}")


class _transaction:
    """A transaction that takes the lock at once: readers never block it, other writers may."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


_STAGE_COLUMNS = tuple(f"{stage}_ms" for stage in STAGES)
_COLUMNS = (
    "id", "session", "run", "pipeline", "transport", "started_at", "kind", "verdict", "v2v_ms",
    *_STAGE_COLUMNS,
)  # fmt: skip
_UPSERT = (
    f"INSERT INTO turns ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS[1:])} "
    "RETURNING key"
)


def _write_item(database: sqlite3.Connection, item: Item) -> None:
    match item:
        case Turn():
            waited = item.stages()
            row = (
                item.id, item.session, item.run, item.pipeline, item.transport, item.started_at,
                item.kind, item.verdict, item.v2v_ms, *(waited.get(stage) for stage in STAGES),
            )  # fmt: skip
            (key,) = database.execute(_UPSERT, row).fetchone()
            database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?)", (key, item.to_json().decode())
            )
        case Session():
            caller = json.dumps(dict(item.caller)) if item.caller else None
            database.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET run = excluded.run, ended_at = excluded.ended_at, reason = excluded.reason",
                (
                    item.id, item.run, item.pipeline, item.transport, caller, item.started_at,
                    item.ended_at, item.reason,
                ),
            )  # fmt: skip
        case Recording():
            database.execute(
                "INSERT OR REPLACE INTO recordings SELECT key, ? FROM turns WHERE id = ?",
                (item.encode(), item.turn),
            )
