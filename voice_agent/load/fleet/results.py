"""What a step was like: figures from the callers' records and the server's samples. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from voice_agent.load.fleet.records import CallRecord, ServerSample, TurnRecord
from voice_agent.load.score import spread

TRUSTED_LAG_MS = 20.0
"""Callers that lagged more than this, by p99, measured themselves."""
WORST = 5

Each = TypeVar("Each")


def figures(
    calls: Sequence[CallRecord],
    samples: Sequence[ServerSample],
    stages: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return everything known of one step, as plain data."""
    return {
        "client": client_figures(calls),
        "server": server_figures(samples),
        "stages": stages,
        "lag_ms": {
            "p99": round(max((call.lag_p99_ms for call in calls), default=0.0), 2),
            "max": round(max((call.lag_max_ms for call in calls), default=0.0), 2),
        },
        "valid": all(call.lag_p99_ms <= TRUSTED_LAG_MS for call in calls),
    }


def client_figures(calls: Sequence[CallRecord]) -> dict[str, Any]:
    """Return what the callers saw."""
    turns = [turn for call in calls for turn in call.turns]
    asked = [turn for turn in turns if turn.over != "backchannel"]
    barged = [turn for turn in turns if turn.over == "barge-in"]
    continuers = [turn for turn in turns if turn.over == "backchannel"]
    expected = [turn for turn in turns if turn.as_expected is not None]
    judged = [call for call in calls if call.success is not None]
    minutes = sum(call.seconds for call in calls) / 60.0
    stalls = sum(call.stalls for call in calls)
    return {
        "calls": len(calls),
        "turns": len(turns),
        "v2v_ms": spread(turn.v2v_ms for turn in asked if turn.cut_in_ms is None),
        "connect_ms": spread(call.connect_ms for call in calls),
        "first_sound_ms": spread(call.first_sound_ms for call in calls),
        "barge_in_ducked_ms": spread(turn.ducked_ms for turn in barged),
        "barge_in_silent_ms": spread(turn.silent_ms for turn in barged),
        "errors": dict(Counter(call.error for call in calls if call.error)),
        "errors_share": share(calls, lambda call: call.error is not None),
        "missed_share": share(asked, lambda turn: turn.missed),
        "cut_ins_share": share(asked, lambda turn: turn.cut_in_ms is not None),
        "double_answers_share": share(asked, lambda turn: not turn.over and turn.answers > 1),
        "continuers_kept_share": share(continuers, lambda turn: bool(turn.kept)),
        "as_expected_share": share(expected, lambda turn: bool(turn.as_expected)),
        "success_share": share(judged, lambda call: bool(call.success)) if judged else None,
        "gaps": sum(call.gaps for call in calls),
        "stalls": stalls,
        "stalls_per_minute": round(stalls / minutes, 3) if minutes else 0.0,
        "longest_stall_ms": max((call.longest_stall_ms for call in calls), default=0.0),
        "lost_packets": sum(call.lost_packets for call in calls),
        "worst": worst(turns),
    }


def server_figures(samples: Sequence[ServerSample]) -> dict[str, Any] | None:
    """Return what the server said of itself; None where it said nothing."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    seconds = last.at_s - first.at_s
    return {
        "cores": round((last.cpu_s - first.cpu_s) / seconds, 3) if seconds > 0 else None,
        "rss_mb": {"first": first.rss_mb, "last": last.rss_mb,
                   "max": max(each.rss_mb for each in samples)},
        "lag_p99_ms": max(each.lag_p99_ms for each in samples),
        "lag_max_ms": max(each.lag_max_ms for each in samples),
        "sessions": max(each.sessions for each in samples),
        "open_files": {"first": first.open_files, "last": last.open_files},
    }  # fmt: skip


def share(among: Sequence[Each], true: Callable[[Each], bool]) -> float:
    """Return the share of those for which ``true``; 0 of nothing."""
    return round(sum(map(true, among)) / len(among), 4) if among else 0.0


def worst(turns: Sequence[TurnRecord]) -> list[dict[str, Any]]:
    """Return the slowest answers, with what the caller said and the turn's trace."""
    known = [turn for turn in turns if turn.v2v_ms is not None]
    known.sort(key=lambda turn: -(turn.v2v_ms or 0.0))
    return [
        {"v2v_ms": turn.v2v_ms, "text": turn.text, "trace": turn.trace, "at_s": turn.at_s}
        for turn in known[:WORST]
    ]
