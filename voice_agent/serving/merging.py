"""What several workers say of themselves, as if one server had said it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

_MOST = ("voice_agent_event_loop_lag_seconds", "process_start_time_seconds", "process_max_fds")
"""Gauges of which the largest tells; the others add up."""
_ONE = ("voice_agent_info",)


def merged_metrics(texts: Sequence[str]) -> list[Metric]:
    """Return Prometheus's text of several processes as one's: counters, histograms and what is
    counted add up, of lags the worst stays."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            kept = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            known = values.setdefault(kept.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                before = known.get(key)
                known[key] = _joined(family, before, sample.value, sample.name)
    for name, family in families.items():
        for (sample_name, labels), value in values[name].items():
            family.add_sample(sample_name, dict(labels), value)
    return list(families.values())


def _joined(family: Metric, before: float | None, value: float, name: str) -> float:
    if before is None:
        return value
    if family.name in _ONE or name.endswith("_created"):
        return min(before, value)
    return max(before, value) if family.name in _MOST else before + value


def merged_health(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the health of several workers as one server's, and theirs under ``workers``."""
    lags = [told.get("loop_lag_ms") or {} for told in each]
    return {
        "ready": all(told["ready"] for told in each),
        "pipeline": each[0]["pipeline"],
        "sessions": {key: sum(told["sessions"][key] for told in each) for key in ("active", "max")},
        "loop_lag_ms": {
            key: max((lag.get(key, 0.0) for lag in lags), default=0.0)
            for key in sorted({key for lag in lags for key in lag})
        },
        "rss_mb": round(sum(told["rss_mb"] for told in each), 1),
        "workers": list(each),
    }
