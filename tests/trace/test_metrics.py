"""``/metrics``, read by the parser that Prometheus's own client library has."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import httpx2 as httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.test_server import StandIn, served
from tests.trace.made import BEGAN, a_session, a_turn
from voice_agent.trace.loop_lag import LoopLag
from voice_agent.trace.metrics import BUCKETS, Metrics
from voice_agent.trace.model import Event, Run, Verdict


@pytest.fixture
def metrics() -> Metrics:
    lag = LoopLag()
    lag.observe(30.0)
    return Metrics(Run("r1", "embedded", "0.1.0", BEGAN), lag, lambda: 3, 8)


def values(families: Iterable[Metric]) -> dict[str, float]:
    """Return every sample by its name and labels."""
    found = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def scrape(metrics: Metrics, accept: str = "") -> httpx.Response:
    conversations = StandIn()
    conversations.routes = metrics.routes  # type: ignore[method-assign]
    async with served(conversations) as client:
        return await client.get("/metrics", headers={"Accept": accept})


async def test_turns_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    """Answered ones are timed, by stage too; what was not waited for counts as 0."""
    missed = Verdict("missed", "endpoint", {"endpoint": 100.0})
    metrics.finished(a_turn(1).judged(missed))
    metrics.finished(a_turn(2, v2v_ms=480.0).judged(Verdict("ok")))
    metrics.finished(a_turn(3, kind="interrupted", v2v_ms=9000.0))
    found = values(parse_text((await scrape(metrics)).text))
    assert found["voice_agent_turns_total{kind=answered}"] == 2
    assert found["voice_agent_turns_total{kind=interrupted}"] == 1
    assert found["voice_agent_verdicts_total{verdict=missed}"] == 1
    assert found["voice_agent_budget_missed_total{stage=endpoint}"] == 1
    assert found["voice_agent_voice_to_voice_seconds_count"] == 2
    assert found["voice_agent_voice_to_voice_seconds_sum"] == pytest.approx(0.73)
    assert found["voice_agent_voice_to_voice_seconds_bucket{le=0.25}"] == 1
    assert found["voice_agent_voice_to_voice_seconds_bucket{le=0.5}"] == 2
    assert found["voice_agent_stage_seconds_bucket{le=0.15,stage=endpoint}"] == 2
    assert found["voice_agent_stage_seconds_bucket{le=0.01,stage=asr_final}"] == 2
    assert found["voice_agent_speculations_total{outcome=hit}"] == 3


async def test_what_happened_in_turns_is_counted(metrics: Metrics) -> None:
    """Barge-ins, fillers, fallbacks; drafts; what wrong guesses cost."""
    happened = tuple(Event(name, 1.0) for name in ("barge_in", "filler", "fallback", "fallback"))
    figures = {
        "misses": 2.0,
        "wasted_tokens": 30.0,
        "wasted_audio_ms": 1500.0,
        "barge_in_ms": 240.0,
        "drafts_offered": 10.0,
        "drafts_accepted": 7.0,
    }
    metrics.finished(a_turn(events=happened, figures=figures))
    found = values(parse_text((await scrape(metrics)).text))
    assert found["voice_agent_barge_ins_total"] == 1
    assert found["voice_agent_fillers_total"] == 1
    assert found["voice_agent_fallbacks_total"] == 2
    assert found["voice_agent_barge_in_seconds_bucket{le=0.25}"] == 1
    assert found["voice_agent_speculations_total{outcome=miss}"] == 2
    assert found["voice_agent_wasted_audio_seconds_total"] == 1.5
    assert found["voice_agent_accepted_tokens_total"] == 7


async def test_the_process_is_watched_too(metrics: Metrics) -> None:
    """Conversations now and ended, the loop's lag, dropped traces, CPU."""
    for name in ("a", "b"):
        metrics.session(a_session(name))
    metrics.session(a_session("a", ended_at=BEGAN + 9, reason="gone"))
    found = values(parse_text((await scrape(metrics)).text))
    assert found["voice_agent_sessions_active"] == 1
    assert found["voice_agent_sessions_max"] == 8
    assert found["voice_agent_sessions_total{reason=gone,transport=webrtc}"] == 1
    assert found["voice_agent_event_loop_lag_seconds{quantile=0.99}"] == 0.03
    assert found["voice_agent_traces_dropped_total"] == 3
    assert found["voice_agent_info{pipeline=embedded,run=r1,version=0.1.0}"] == 1
    assert found["process_cpu_seconds_total"] > 0


async def test_the_newer_format_is_spoken_when_it_is_asked_for(metrics: Metrics) -> None:
    """OpenMetrics is stricter; its parser takes every line."""
    metrics.finished(a_turn())
    answer = await scrape(metrics, "application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = values(parse_openmetrics(answer.text))
    assert found["voice_agent_turns_total{kind=answered}"] == 1


def test_the_buckets_are_fine_where_listeners_are() -> None:
    """No bucket is wider than 100 ms up to 800 ms."""
    fine = [edge for edge in BUCKETS if edge <= 0.8]
    assert max(b - a for a, b in pairwise(fine)) <= 0.1 + 1e-9
