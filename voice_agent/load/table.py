"""The bench's figures as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = tuple[str, ...]


def lines(sides: Mapping[str, dict[str, Any]], ratios: Mapping[str, float | None]) -> list[str]:
    """Return the table: one column a side, and the ratios where there are two sides."""
    names = list(sides)
    rows: list[Row] = [("", *names)]
    rows += _latency_rows(list(sides.values()))
    rows += _count_rows(list(sides.values()))
    rows += _over_rows(list(sides.values()))
    rows += _other_rows(list(sides.values()))
    text = aligned(rows)
    known = {name: value for name, value in ratios.items() if value is not None}
    if known:
        text += ["", "ratios to the baseline"]
        text += aligned([(name.replace("_", " "), f"{value:.2f}") for name, value in known.items()])
    for name, side in sides.items():
        text += [f"{name}: {error}" for error in side["errors"]]
    return text


def aligned(rows: Sequence[Row]) -> list[str]:
    """Return the rows as lines with their cells under each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _spread(value: Any) -> str:
    if not isinstance(value, dict):
        return "-"
    return f"{value['p50']:.0f} / {value['p95']:.0f} / {value['max']:.0f}"


def _keys(sides: Sequence[dict[str, Any]], section: str) -> list[str]:
    return list(dict.fromkeys(key for side in sides for key in side[section]))


def _latency_rows(sides: Sequence[dict[str, Any]]) -> Iterator[Row]:
    for kind in _keys(sides, "v2v_ms"):
        values = [side["v2v_ms"].get(kind) for side in sides]
        count = max((value["n"] for value in values if value), default=0)
        label = f"v2v ms p50 / p95 / max, {kind} (n {count})"
        yield (label, *(_spread(value) for value in values))


def _count_rows(sides: Sequence[dict[str, Any]]) -> Iterator[Row]:
    for section, label in (("early_cut_ins", "early cut-ins"), ("missed", "missed turns")):
        for kind in _keys(sides, section):
            counts = [side[section].get(kind) for side in sides]
            yield (
                f"{label}, {kind}",
                *(f"{each['count']} of {each['of']}" if each else "-" for each in counts),
            )


def _over_rows(sides: Sequence[dict[str, Any]]) -> Iterator[Row]:
    for key, label in (
        ("ducked_ms", "until ducked"),
        ("silent_ms", "until silent"),
        ("answered_ms", "v2v of its answer"),
    ):
        values = [side["barge_in"][key] for side in sides]
        if any(values):
            yield (f"barge-in: {label}, ms p50 / p95 / max", *(_spread(each) for each in values))
    for kind in _keys(sides, "over_the_answer"):
        for name, label in (
            ("kept", "answer went on"),
            ("resumed", "answer resumed"),
            ("stopped", "false stops"),
        ):
            overs = [side["over_the_answer"].get(kind) for side in sides]
            yield (
                f"{kind}: {label}",
                *(f"{each[name]} of {each['of']}" if each else "-" for each in overs),
            )


def _other_rows(sides: Sequence[dict[str, Any]]) -> Iterator[Row]:
    guesses = [side.get("speculation") for side in sides]
    for key in dict.fromkeys(key for each in guesses if each for key in each):
        yield (
            f"speculation: {key.replace('_', ' ')}",
            *("-" if not each or each.get(key) is None else f"{each[key]:g}" for each in guesses),
        )
    lags = [side.get("caller_lag_ms") for side in sides]
    if any(lags):
        yield (
            "caller's own lag, ms p99 / max",
            *(f"{each['p99']:.1f} / {each['max']:.1f}" if each else "-" for each in lags),
        )
