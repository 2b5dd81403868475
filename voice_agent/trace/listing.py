"""Turns, runs and comparisons as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from voice_agent.trace.store.columns import COLUMNS


def turns(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return a line a turn; what does not fit into ``width`` columns is left out, the id never."""
    head = ("when", "id", "kind", "v2v ms", "verdict", "slowest stage", "transport", "pipeline")
    table = [head, *(_turn(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    shown = len(head)
    while shown > 2 and sum(widths[:shown]) + 2 * (shown - 1) > width:
        shown -= 1
    return [
        "  ".join(
            cell.rjust(size) if name == "v2v ms" else cell.ljust(size)
            for name, cell, size in zip(head[:shown], row, widths, strict=False)
        ).rstrip()
        for row in table
    ]


def _turn(row: Mapping[str, Any]) -> tuple[str, ...]:
    stages = {name: ms for name, ms in row["stages"].items() if name != "voice_to_voice"}
    slowest = max(stages, key=stages.__getitem__, default="")
    verdict = row["verdict"] or ""
    return (
        when(row["started_at"]),
        row["id"],
        row["kind"],
        "" if row["v2v_ms"] is None else f"{row['v2v_ms']:.0f}",
        f"{verdict}: {row['guilty']}" if row["guilty"] else verdict,
        f"{slowest} {stages[slowest]:.0f}" if slowest else "",
        row["transport"],
        row["pipeline"],
    )


def runs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line a run."""
    return [
        f"{row['id']}  {when(row['started_at'])}  {row['turns']:>6} turns  "
        f"{row['pipeline']} {row['version']}"
        for row in rows
    ]


def comparison(made: Mapping[str, Any]) -> list[str]:
    """Return two runs side by side, a line a stage."""
    a, b = made["a"], made["b"]
    lines = [
        f"a: {a['run']}, {a['label']}, {when(a['started_at'])}, {a['turns']} turns",
        f"b: {b['run']}, {b['label']}, {when(b['started_at'])}, {b['turns']} turns",
        "",
        f"{'ms':<18}{'a p50':>8}{'b p50':>8}{'b - a':>8}  {'95 % certain':<18}"
        f"{'a p95':>8}{'b p95':>8}{'b - a':>8}",
    ]
    for name in COLUMNS:
        stage = made["stages"][name]
        interval = stage["ci95"]["p50"]
        certain = "" if interval is None else f"{interval[0]:+.1f} to {interval[1]:+.1f}"
        lines.append(
            f"{name:<18}{_ms(stage['a']['p50'])}{_ms(stage['b']['p50'])}"
            f"{_ms(stage['delta']['p50'], '+')}  {certain:<18}"
            f"{_ms(stage['a']['p95'])}{_ms(stage['b']['p95'])}{_ms(stage['delta']['p95'], '+')}"
        )
    total = made["stages"]["voice_to_voice"]
    interval = total["ci95"]["p50"]
    if interval is None:
        lines.append("one of them has no answered turn")
    elif interval[0] <= 0 <= interval[1]:
        lines.append("their medians cannot be told apart")
    else:
        lines.append(f"b is {'slower' if interval[0] > 0 else 'faster'} than a")
    return lines


def when(at: float) -> str:
    """Return a moment (seconds since 1970) in local time."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


def _ms(value: float | None, sign: str = "") -> str:
    return f"{'-':>8}" if value is None else f"{value:>{sign}8.1f}"
