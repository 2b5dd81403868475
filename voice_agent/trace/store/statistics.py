"""What many turns were like: percentiles by stage, over time, and of two runs side by side.

Only answered turns count. A stage that a turn did not wait for took it 0 ms: leaving such turns out
would make a stage look slower the better it is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.trace.errors import NotTraced
from voice_agent.trace.model import BudgetKey
from voice_agent.trace.store.columns import COLUMNS, Latencies, budgets, counts, latencies
from voice_agent.trace.store.queries import Filter, Traces

PERCENTILES = (50, 95, 99)
BINS = 40
"""Bars of a distribution."""
RESAMPLES = 2000
"""Bootstrap resamples for the confidence interval of a difference."""

Ms = NDArray[np.float64]


def stats(traces: Traces, where: Filter, buckets: int) -> dict[str, Any]:
    """Return percentiles and a distribution of every stage, both over ``buckets`` of time, and
    how many turns there were of each kind and verdict.

    Raises:
        StoreError: The file cannot be read.
    """
    made = statistics(latencies(traces, where), budgets(traces, where), buckets)
    return {**made, **counts(traces, where)}


def compare_runs(traces: Traces, a: str, b: str, where: Filter, buckets: int) -> dict[str, Any]:
    """Return two runs side by side: what each was like, and by stage how they differ.

    Raises:
        NotTraced: There is no such run.
        StoreError: The file cannot be read.
    """
    known = {run["id"]: run for run in traces.runs()}
    sides, found = [], []
    for name in (a, b):
        if name not in known:
            raise NotTraced(f"there is no run {name!r}; there are: {', '.join(known)}")
        run, of_run = known[name], replace(where, run=name)
        label = f"{run['pipeline']} {run['version']}"
        side = stats(traces, of_run, buckets)
        sides.append({**run, "run": name, "label": label, "stats": side})
        found.append(latencies(traces, of_run))
    return {"a": sides[0], "b": sides[1], "stages": compare(*found)}


def statistics(found: Latencies, limits: Mapping[BudgetKey, float], buckets: int) -> dict[str, Any]:
    """Return percentiles and a distribution of every stage, and both over ``buckets`` of time."""
    answered = {name: _answered(found, name) for name in COLUMNS}
    return {
        "stages": {
            name: {
                "budget_ms": limits.get(name),
                **percentiles(ms),
                "n": int(ms.size),
                "over": over(ms, limits.get(name)),
                "histogram": histogram(ms),
            }
            for name, ms in answered.items()
        },
        "series": series(found, buckets),
    }


def percentiles(ms: Ms) -> dict[str, float | None]:
    """Return p50, p95 and p99, rounded to 0.1; None of nothing."""
    if not ms.size:
        return {f"p{p}": None for p in PERCENTILES}
    found = np.percentile(ms, PERCENTILES)
    return {f"p{p}": round(float(v), 1) for p, v in zip(PERCENTILES, found, strict=True)}


def over(ms: Ms, budget_ms: float | None) -> int | None:
    """Return how many took longer than the budget; None without one."""
    return None if budget_ms is None else int((ms > budget_ms).sum())


def histogram(ms: Ms) -> dict[str, list[float]]:
    """Return a distribution: edges, ms, and how many lie between each two.

    The last bar holds everything beyond the 99.5th percentile, so that one stalled turn does not
    squeeze the others into one bar.
    """
    if not ms.size:
        return {"edges": [], "counts": []}
    top = max(1.0, float(np.percentile(ms, 99.5)))
    edges = np.linspace(0.0, top, BINS + 1)
    counts, _ = np.histogram(np.minimum(ms, top), edges)
    return {"edges": edges.round(1).tolist(), "counts": counts.tolist()}


def series(found: Latencies, buckets: int) -> list[dict[str, Any]]:
    """Return the percentiles over time, in ``buckets`` equal stretches; empty ones are left out."""
    at = found.started_at
    if not at.size:
        return []
    first, last = float(at[0]), float(at[-1])
    width = max((last - first) / buckets, 1.0)
    number = np.minimum(((at - first) / width).astype(np.int64), buckets - 1)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    made = []
    for begin, end in zip(starts, [*starts[1:], at.size], strict=True):
        rows = slice(int(begin), int(end))
        answered = found.answered[rows]
        point: dict[str, Any] = {
            "t": round(first + float(number[begin]) * width, 3),
            "n": int(end - begin),
            "missed": int(found.missed[rows].sum()),
        }
        for name in COLUMNS:
            point[name] = percentiles(np.nan_to_num(found.ms[name][rows][answered]))
        made.append(point)
    return made


def compare(a: Latencies, b: Latencies) -> dict[str, Any]:
    """Return both sides' percentiles by stage and how much later ``b`` is, ms.

    ``ci95`` is the 95 % bootstrap confidence interval of the difference of the medians: where it
    holds 0, the two cannot be told apart.
    """
    made: dict[str, Any] = {}
    for name in COLUMNS:
        one, other = _answered(a, name), _answered(b, name)
        sides = [{**percentiles(ms), "n": int(ms.size)} for ms in (one, other)]
        known = bool(one.size and other.size)
        made[name] = {
            "a": sides[0],
            "b": sides[1],
            "delta": {
                p: round(float(sides[1][p] or 0) - float(sides[0][p] or 0), 1) if known else None
                for p in ("p50", "p95")
            },
            "ci95": {"p50": _interval(one, other) if known else None},
        }
    return made


def _answered(found: Latencies, name: BudgetKey) -> Ms:
    ms = found.ms[name][found.answered]
    return np.nan_to_num(ms[~np.isnan(found.ms["voice_to_voice"][found.answered])])


def _interval(a: Ms, b: Ms) -> list[float]:
    random = np.random.default_rng(0)  # the same data give the same interval

    def medians(ms: Ms) -> Ms:
        # The median of n uniform draws is distributed as Beta((n+1)/2, (n+1)/2), so the median of
        # a resample is drawn by its rank, without drawing the resample.
        shape = (ms.size + 1) / 2
        ranks = (random.beta(shape, shape, RESAMPLES) * ms.size).astype(np.int64)
        found: Ms = np.sort(ms)[np.minimum(ranks, ms.size - 1)]
        return found

    low, high = np.percentile(medians(b) - medians(a), [2.5, 97.5])
    return [round(float(low), 1), round(float(high), 1)]
