"""The columns that statistics are made of: latencies of many turns, gathered in SQLite."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_agent.trace.model import STAGES, TOTAL, BudgetKey
from voice_agent.trace.store.queries import Filter, Traces, column_of

COLUMNS: tuple[BudgetKey, ...] = (TOTAL, *STAGES)
"""What there is a column of ms for: the whole and every stage."""
_FETCHED = 2000
"""Rows fetched at a time."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """The columns of the turns that were found, one row a turn."""

    started_at: NDArray[np.float64]
    """Wall clock, seconds since 1970; shape (n,)."""
    missed: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    """Which of them count in percentiles."""
    ms: dict[BudgetKey, NDArray[np.float64]]
    """ms waited, NaN where there was nothing to wait for; shape (n,) each."""


def latencies(traces: Traces, where: Filter) -> Latencies:
    """Return the columns of every turn that is meant and over, oldest first."""
    condition, arguments = where.where()
    ms = ", ".join(column_of(name) for name in COLUMNS)
    parts: list[NDArray[np.float64]] = []
    with traces.open() as database:
        rows = database.execute(
            f"SELECT started_at, verdict = 'missed', kind = 'answered', {ms} FROM turns "
            f"WHERE {condition} AND kind != 'open' ORDER BY started_at",
            arguments,
        )
        while batch := rows.fetchmany(_FETCHED):
            parts.append(np.array(batch, dtype=np.float64))
    table = np.concatenate(parts) if parts else np.empty((0, 3 + len(COLUMNS)))
    return Latencies(
        table[:, 0],
        np.nan_to_num(table[:, 1]) > 0,
        table[:, 2] > 0,
        {name: table[:, 3 + column] for column, name in enumerate(COLUMNS)},
    )


def counts(traces: Traces, where: Filter) -> dict[str, dict[str, int]]:
    """Return how many turns there are of each kind and each verdict."""
    condition, arguments = where.where()
    with traces.open() as database:
        rows = database.execute(
            f"SELECT kind, verdict, count(*) FROM turns WHERE {condition} GROUP BY 1, 2",
            arguments,
        ).fetchall()
    kinds: dict[str, int] = {}
    verdicts: dict[str, int] = {}
    for kind, verdict, count in rows:
        kinds[kind] = kinds.get(kind, 0) + count
        verdicts[verdict or "none"] = verdicts.get(verdict or "none", 0) + count
    return {"kinds": kinds, "verdicts": verdicts}


def budgets(traces: Traces, where: Filter) -> dict[BudgetKey, float]:
    """Return the budgets the latest of these turns was judged by."""
    condition, arguments = where.where()
    with traces.open() as database:
        row = database.execute(
            "SELECT json_extract(document, '$.budgets') FROM turns JOIN documents USING (key) "
            f"WHERE {condition} AND verdict IS NOT NULL ORDER BY started_at DESC LIMIT 1",
            arguments,
        ).fetchone()
    made: dict[BudgetKey, float] = json.loads(row[0]) if row is not None else {}
    return made
