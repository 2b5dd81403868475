"""The figures of ``voice-agent bench llm`` as data and as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from voice_agent.bench.llm import Asked
from voice_agent.load.score import spread
from voice_agent.load.table import aligned

__all__ = ["figures", "lines", "ratios"]

_ROWS = {
    "ttft_cold_ms": "first token, cold, ms p50 / p95 / max",
    "ttft_warm_ms": "first token, warm",
    "first_clause_warm_ms": "first clause, warm",
    "ttft_again_ms": "first token of an answer asked for anew",
    "idle_ms": "from cutting off until idle",
    "tokens_per_s": "tokens/s",
    "cpu_warm_ms": "CPU ms of an answer, warm",
    "cpu_per_token_ms": "CPU ms of a token, its share of the prompt included",
    "prompt_tokens_warm": "prompt tokens read, warm",
}
_NUMBERS = {
    "prompt_reuse": "share of the prompt known, warm",
    "acceptance": "drafted tokens accepted",
    "tokens_per_step": "tokens a step",
}


def figures(asked: Sequence[Asked]) -> dict[str, Any]:
    """Return the figures of one side; what it does not tell is None."""
    cold = [each for each in asked if each.kind == "cold"]
    warm = [each for each in asked if each.kind == "warm"]
    again = [each for each in asked if each.kind == "again"]
    whole = [*cold, *warm, *again]
    known = sum(each.cached_tokens or 0 for each in warm)
    read = sum(each.prompt_tokens or 0 for each in warm)
    tells = any(each.cached_tokens is not None for each in warm)
    drafted = sum(each.drafted_tokens for each in whole)
    accepted = sum(each.accepted_tokens for each in whole)
    written = sum(each.tokens or 0 for each in whole)
    return {
        "ttft_cold_ms": spread(each.first_token_ms for each in cold),
        "ttft_warm_ms": spread(each.first_token_ms for each in warm),
        "first_clause_warm_ms": spread(each.first_clause_ms for each in warm),
        "ttft_again_ms": spread(each.first_token_ms for each in again),
        "idle_ms": spread(each.idle_ms for each in asked),
        "tokens_per_s": spread(each.tokens_per_s for each in whole),
        "cpu_warm_ms": spread(each.cpu_ms for each in warm),
        "cpu_per_token_ms": spread(
            each.cpu_ms / each.tokens if each.cpu_ms and each.tokens else None for each in warm
        ),
        "prompt_tokens_warm": spread(each.prompt_tokens for each in warm),
        "prompt_reuse": round(known / (known + read), 3) if tells and known + read else None,
        "acceptance": round(accepted / drafted, 3) if drafted else None,
        "tokens_per_step": round(written / (written - accepted), 2) if drafted else None,
        "asked": [asdict(each) for each in asked],
    }


def ratios(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """Return the other side's medians as multiples of the first side's."""
    made = {}
    for key in _ROWS:
        ours, theirs = first[key], other[key]
        if ours and theirs and ours["p50"]:
            made[key] = round(theirs["p50"] / ours["p50"], 2)
    return made


def lines(sides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table: one column a side, and the ratios of the others to the first."""
    names = list(sides)
    first = sides[names[0]]
    rows: list[tuple[str, ...]] = [("", *names, *(f"{name} : {names[0]}" for name in names[1:]))]
    compared = [ratios(first, sides[name]) for name in names[1:]]
    for key, label in _ROWS.items():
        cells = [_spread(sides[name][key]) for name in names]
        if any(cell != "-" for cell in cells):
            times = [f"{ratio[key]:.2f}" if key in ratio else "-" for ratio in compared]
            rows.append((label, *cells, *times))
    for key, label in _NUMBERS.items():
        values = [sides[name][key] for name in names]
        if any(value is not None for value in values):
            cells = ["-" if value is None else f"{value:g}" for value in values]
            rows.append((label, *cells, *("-" for _ in compared)))
    return aligned(rows)


def _spread(value: Mapping[str, float] | None) -> str:
    if not value:
        return "-"
    digits = 1 if value["max"] < 10 else 0
    return " / ".join(f"{value[key]:.{digits}f}" for key in ("p50", "p95", "max"))
