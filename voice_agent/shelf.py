"""A shelf for what is fetched once, or for a while: tickets, client secrets.

One process keeps it in memory; processes that share a port share a file, which is theirs alone and
ends with them.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Protocol


class Shelf(Protocol):
    """Values by key, each until a moment; the oldest make room for new ones.

    Moments are of whatever clock the user goes by; one that all who share the shelf have.
    """

    def put(self, key: bytes, value: object, now_s: float, until_s: float) -> None:
        """Keep a value until then; what is too old by now is forgotten."""
        ...

    def get(self, key: bytes, now_s: float) -> object | None:
        """Return a value that is there and not too old."""
        ...

    def take(self, key: bytes, now_s: float) -> object | None:
        """Return such a value, and keep it no longer: only one of all who ask gets it."""
        ...


class Memory:
    """The shelf of one process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, tuple[object, float]] = OrderedDict()

    def put(self, key: bytes, value: object, now_s: float, until_s: float) -> None:
        """See ``Shelf``."""
        self._kept[key] = (value, until_s)
        while len(self._kept) > self._most or next(iter(self._kept.values()))[1] < now_s:
            self._kept.popitem(last=False)

    def get(self, key: bytes, now_s: float) -> object | None:
        """See ``Shelf``."""
        value, until_s = self._kept.get(key, (None, now_s))
        return value if now_s < until_s else None

    def take(self, key: bytes, now_s: float) -> object | None:
        """See ``Shelf``."""
        value, until_s = self._kept.pop(key, (None, now_s))
        return value if now_s < until_s else None


class Shared:
    """The shelf of several processes, in a file that nobody else may write.

    Args:
        path: The file; made where it is missing.
        name: Of this shelf in the file.
        most: Values at most.
    """

    def __init__(self, path: Path, name: str, most: int) -> None:
        self._most = most
        self._name = name
        self._file = sqlite3.connect(path, isolation_level=None, timeout=2.0)
        self._file.execute("PRAGMA synchronous = OFF")  # it ends with the processes anyway
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS kept (shelf TEXT, key BLOB, value BLOB, until REAL, "
            "PRIMARY KEY (shelf, key))"
        )

    def put(self, key: bytes, value: object, now_s: float, until_s: float) -> None:
        """See ``Shelf``."""
        row = (self._name, key, pickle.dumps(value), until_s)
        self._file.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", row)
        self._file.execute(
            "DELETE FROM kept WHERE shelf = ?1 AND (until < ?2 OR rowid NOT IN "
            "(SELECT rowid FROM kept WHERE shelf = ?1 ORDER BY rowid DESC LIMIT ?3))",
            (self._name, now_s, self._most),
        )

    def get(self, key: bytes, now_s: float) -> object | None:
        """See ``Shelf``."""
        found = self._file.execute(
            "SELECT value, until FROM kept WHERE shelf = ? AND key = ?", (self._name, key)
        )
        return _fresh(found.fetchall(), now_s)

    def take(self, key: bytes, now_s: float) -> object | None:
        """See ``Shelf``."""
        found = self._file.execute(
            "DELETE FROM kept WHERE shelf = ? AND key = ? RETURNING value, until",
            (self._name, key),
        )
        return _fresh(found.fetchall(), now_s)


def _fresh(rows: list[tuple[bytes, float]], now_s: float) -> object | None:
    if not rows or now_s >= rows[0][1]:
        return None
    value: object = pickle.loads(rows[0][0])
    return value
