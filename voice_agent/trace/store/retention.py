"""What is deleted again: turns that are too old, and the oldest when there are too many.

Also where the end of a process that was killed is noticed: a run that has not said for a while
that it lives has died, and what was open in it is over.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

DEAD_AFTER_S = 45.0
"""A run that has not said that it lives for so long is dead."""
CHUNK = 500
"""Turns deleted in one transaction, so that no writer waits long."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long turns are kept, and how much room they may take."""

    keep_days: float
    keep_mb: float
    """Size of the file, MiB."""
    clock: Callable[[], float] = time.time
    """Wall clock, seconds."""

    def apply(self, database: sqlite3.Connection) -> None:
        """Delete what need not be kept; a chunk a transaction."""
        now = self.clock()
        self._bury(database, now)
        before = now - self.keep_days * 86_400
        while _delete(database, "started_at < ?", before):
            pass
        while _used(database) > self.keep_mb * 2**20:
            if not _delete(database, "true"):
                break
        with_turns = "(SELECT DISTINCT session FROM turns)"
        database.execute(
            f"DELETE FROM sessions WHERE started_at < ? AND id NOT IN {with_turns}", (before,)
        )
        database.execute(
            "DELETE FROM runs WHERE alive_at < ? AND id NOT IN (SELECT run FROM sessions) "
            "AND id NOT IN (SELECT DISTINCT run FROM turns)",
            (before,),
        )
        # As a script: ``execute`` would take one step, which gives back one page.
        database.executescript("PRAGMA incremental_vacuum")

    def _bury(self, database: sqlite3.Connection, now: float) -> None:
        dead = [
            run
            for (run,) in database.execute(
                "SELECT DISTINCT runs.id FROM runs JOIN sessions ON sessions.run = runs.id "
                "WHERE sessions.ended_at IS NULL AND runs.alive_at < ?",
                (now - DEAD_AFTER_S,),
            )
        ]
        for run in dead:
            database.execute(
                "UPDATE sessions SET reason = 'lost', "
                "ended_at = (SELECT alive_at FROM runs WHERE id = ?) "
                "WHERE run = ? AND ended_at IS NULL",
                (run, run),
            )
            database.execute(
                "UPDATE documents SET document = json_set(document, '$.kind', 'failed') WHERE key "
                "IN (SELECT key FROM turns WHERE run = ? AND kind = 'open')",
                (run,),
            )
            database.execute(
                "UPDATE turns SET kind = 'failed' WHERE run = ? AND kind = 'open'", (run,)
            )


def _used(database: sqlite3.Connection) -> int:
    """Return the bytes in use: pages that were freed are used again before the file grows."""
    size, pages, free = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return int(size * (pages - free))


def _delete(database: sqlite3.Connection, where: str, *arguments: float) -> int:
    oldest = f"SELECT key FROM turns WHERE {where} ORDER BY started_at LIMIT {CHUNK}"
    return database.execute(f"DELETE FROM turns WHERE key IN ({oldest})", arguments).rowcount
