"""Turns as files for other programs, piece by piece: 100,000 are never held at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any


def as_json(documents: Iterator[str]) -> Iterator[str]:
    """Yield turns as one JSON array, a turn a line."""
    yield "["
    comma = "\n"
    for document in documents:
        yield comma + document
        comma = ",\n"
    yield "\n]\n"


def as_csv(rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Yield turns as CSV, a turn a row, the names of the columns first; no words."""
    line = io.StringIO()
    writer = csv.writer(line)
    for row in rows:
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()
