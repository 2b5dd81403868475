"""Two runs side by side, with the confidence that they differ. Pure.

The interval is a bootstrap over the turns of both runs (2,000 resamples; Efron 1979); where it
holds 0, the runs cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000
SIDES = ("before", "after")


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for every load that both reports (``--json``) hold, and for their capacity."""
    levels = {each["sessions"]: each for each in before["steps"]}
    rows: list[dict[str, Any]] = []
    for step in after["steps"]:
        other = levels.get(step["sessions"])
        if other is None:
            continue
        one, two = _latencies(other), _latencies(step)
        row: dict[str, Any] = {"sessions": step["sessions"], "n": [len(one), len(two)]}
        for percentile in (50, 95):
            row[f"v2v_p{percentile}_ms"] = _difference(one, two, percentile)
        for name in ("cores", "rss_mb"):
            row[name] = [_server(other, name), _server(step, name)]
        row["held"] = [other["held"], step["held"]]
        rows.append(row)
    return rows


def lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a comparison as a table for a person."""
    made = ["sessions  v2v p50, ms          v2v p95, ms          cores         held"]
    for row in compare(before, after):
        p50, p95 = (_cell(row[f"v2v_p{p}_ms"]) for p in (50, 95))
        cores = " -> ".join("?" if each is None else f"{each:.2f}" for each in row["cores"])
        held = " -> ".join("yes" if each else "no" for each in row["held"])
        made.append(f"{row['sessions']:8}  {p50:20} {p95:20} {cores:13} {held}")
    capacities = [report.get("capacity") for report in (before, after)]
    if None not in capacities:
        made.append(f"capacity: {capacities[0]} -> {capacities[1]} sessions")
    made.append("(in brackets: 95 % confidence interval of the difference; with 0 in it, none)")
    return made


def _latencies(step: Mapping[str, Any]) -> list[float]:
    return [
        turn["v2v_ms"]
        for call in step["calls"]
        for turn in call["turns"]
        if turn["v2v_ms"] is not None and turn["cut_in_ms"] is None
    ]


def _difference(one: Sequence[float], two: Sequence[float], percentile: int) -> dict[str, Any]:
    if not one or not two:
        return {"before": None, "after": None, "ci95": None}
    dice = np.random.default_rng(0)  # the same data give the same interval
    sides = [np.asarray(each) for each in (one, two)]
    resampled = [
        np.percentile(dice.choice(side, (RESAMPLES, side.size)), percentile, axis=1)
        for side in sides
    ]
    low, high = np.percentile(resampled[1] - resampled[0], [2.5, 97.5])
    values = [round(float(np.percentile(side, percentile)), 1) for side in sides]
    return {
        "before": values[0],
        "after": values[1],
        "ci95": [round(float(low), 1), round(float(high), 1)],
    }


def _server(step: Mapping[str, Any], name: str) -> float | None:
    server = step["figures"].get("server") or {}
    value = server.get(name)
    return value.get("max") if isinstance(value, dict) else value


def _cell(difference: Mapping[str, Any]) -> str:
    if difference["ci95"] is None:
        return "-"
    low, high = difference["ci95"]
    return f"{difference['before']:.0f} -> {difference['after']:.0f} [{low:+.0f}, {high:+.0f}]"
