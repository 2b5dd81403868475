"""What one core held, as plain data and as lines for a person. Pure."""

from __future__ import annotations

from typing import Any

from voice_agent.load.fleet.run import Held
from voice_agent.load.table import Row, aligned

GOAL_TIMES, GOAL_MB = 2.5, 15.0
WAITED = "v2v p50 / p95 / max ms"
HEAD = ("", "calls", "holds", WAITED, "gaps", "stalls", "cores", "a call", "MB a call")


def row(held: Held) -> dict[str, Any]:
    """Return one load as a row."""
    client, server = held.figures["client"], held.figures["server"] or {}
    sessions = held.step.sessions
    cores = server.get("cores")
    rss = server.get("rss_mb")
    return {
        "sessions": sessions,
        "held": held.held,
        "valid": held.figures["valid"],
        "turns": client["turns"],
        "v2v_ms": client["v2v_ms"],
        "missed_share": client["missed_share"],
        "gaps": client["gaps"],
        "stalls": client["stalls"],
        "longest_stall_ms": client["longest_stall_ms"],
        "cores": cores,
        "cores_a_call": None if cores is None else round(cores / sessions, 4),
        "mb_a_call": None if rss is None else round((rss["max"] - rss["first"]) / sessions, 1),
        "caller_lag_ms": held.figures["lag_ms"],
    }


def lines(made: dict[str, Any]) -> list[str]:
    """Return the figures of both sides as lines for a person."""
    rows: list[Row] = [HEAD]
    for name in ("agent", "baseline"):
        for step in sorted(made[name]["steps"], key=lambda step: int(step["sessions"])):
            v2v = step["v2v_ms"]
            waited = f"{v2v['p50']:.0f} / {v2v['p95']:.0f} / {v2v['max']:.0f}" if v2v else "-"
            mark = ("yes" if step["held"] else "no") + ("" if step["valid"] else " (callers late)")
            rows.append(
                (name, str(step["sessions"]), mark, waited, str(step["gaps"]), str(step["stalls"]),
                 f"{step['cores']:.2f}", f"{step['cores_a_call']:.3f}", f"{step['mb_a_call']:.1f}")
            )  # fmt: skip
    ours, stock = made["agent"], made["baseline"]
    times = "-" if made["times"] is None else f"{made['times']:.2f}"
    alone = [each["alone_v2v_ms"] for each in (ours, stock)]
    return [
        *aligned(rows),
        f"one call: v2v p95 {alone[0]['p95']:.0f} ms, baseline {alone[1]['p95']:.0f} ms",
        f"calls a core: {ours['capacity']}, baseline {stock['capacity']}: {times} times as many "
        f"(goal: {GOAL_TIMES:g})",
        f"MB a call: {ours['mb_a_call']}, baseline {stock['mb_a_call']} (goal: {GOAL_MB:g}); "
        f"left when all were over: {ours['left_mb']}, baseline {stock['left_mb']}",
    ]
