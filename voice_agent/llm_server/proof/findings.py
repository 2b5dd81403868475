"""What a check has found, and how it is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Verdict", "as_json", "lines", "passed"]


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    LACKS = "lacks"
    """Calls work, but slower or less well watched than they could."""
    FAILS = "fails"
    """Calls would suffer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Verdict
    found: str
    """What was seen, with figures."""
    change: str = ""
    """What to change; empty where all is well."""


def passed(findings: Sequence[Finding]) -> bool:
    """Whether nothing fails."""
    return all(finding.verdict is not Verdict.FAILS for finding in findings)


def lines(findings: Sequence[Finding], width: int = 0) -> list[str]:
    """Return the findings for a person, what to change on a line of its own."""
    width = max((width, *(len(finding.check) for finding in findings)))
    shown = []
    for finding in findings:
        shown.append(f"{finding.verdict.value:<5}  {finding.check:<{width}}  {finding.found}")
        if finding.change:
            shown.append(f"{'':<5}  {'':<{width}}  -> {finding.change}")
    return shown


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the findings as data."""
    return [{**asdict(finding), "verdict": finding.verdict.value} for finding in findings]
