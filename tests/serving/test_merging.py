"""Several workers' health and metrics, as one server's."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from voice_agent.serving.merging import merged_health, merged_metrics


def told(calls: int, lag_s: float, waited_s: float) -> str:
    registry = CollectorRegistry()
    Gauge("voice_agent_sessions_active", "now", registry=registry).set(calls)
    lag = Gauge("voice_agent_event_loop_lag_seconds", "late", ["quantile"], registry=registry)
    lag.labels("0.99").set(lag_s)
    Counter("voice_agent_turns", "turns", ["kind"], registry=registry).labels("answered").inc(calls)
    waited = Histogram("voice_agent_voice_to_voice_seconds", "v2v", registry=registry, buckets=(1,))
    waited.observe(waited_s)
    return generate_latest(registry).decode()


def test_counts_add_up_and_the_worst_lag_stays() -> None:
    """Histograms bucket by bucket."""
    merged = merged_metrics([told(2, 0.010, 0.3), told(3, 0.004, 1.5)])
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in merged
        for sample in family.samples
    }
    assert samples["voice_agent_sessions_active",] == 5
    assert samples["voice_agent_turns_total", "answered"] == 5
    assert samples["voice_agent_event_loop_lag_seconds", "0.99"] == 0.010
    assert samples["voice_agent_voice_to_voice_seconds_bucket", "1.0"] == 1
    assert samples["voice_agent_voice_to_voice_seconds_bucket", "+Inf"] == 2
    assert samples["voice_agent_voice_to_voice_seconds_sum",] == 1.8


def test_a_server_is_ready_when_all_its_workers_are() -> None:
    """Lines and memory add up; each worker's own health is kept."""
    one = {"ready": True, "pipeline": "p", "sessions": {"active": 1, "max": 4}, "rss_mb": 100.0}
    other = {
        "ready": False,
        "pipeline": "p",
        "sessions": {"active": 2, "max": 4},
        "rss_mb": 120.5,
        "loop_lag_ms": {"p99": 3.0},
    }
    merged = merged_health([one, other])
    assert not merged["ready"]
    assert merged["sessions"] == {"active": 3, "max": 8}
    assert merged["loop_lag_ms"] == {"p99": 3.0}
    assert merged["rss_mb"] == 220.5
    assert merged["workers"] == [one, other]
