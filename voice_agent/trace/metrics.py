"""Turns as Prometheus metrics, at ``/metrics``: what a fleet is watched and paged by.

Every series is declared here. Buckets are where a listener's patience changes: fine up to half a
second, coarse beyond. Only answered turns are timed, as in the dashboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from voice_agent.process import descendants, threads
from voice_agent.trace.loop_lag import LoopLag
from voice_agent.trace.model import STAGES, Run, Session, Turn

BUCKETS = (
    0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8,
    1.0, 1.5, 2.0, 3.0, 5.0, 8.0,
)  # fmt: skip
"""Seconds."""
_HAPPENED = {
    "filler": "fillers",
    "fallback": "fallbacks",
    "retry": "retries",
    "barge_in": "barge_ins",
    "resume": "resumes",
    "tool": "tool_calls",
    "strained": "strained",
    "underrun": "underruns",
}
"""Events of turns that are counted, and what their counters are called."""


class Metrics:
    """Counts what the turns of one process were like.

    Args:
        run: This process's life.
        lag: How late its event loop is.
        dropped: Returns how many traces were dropped.
        sessions_max: Conversations at once at most.
    """

    def __init__(
        self, run: Run, lag: LoopLag, dropped: Callable[[], int], sessions_max: int
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._lag = lag
        self._dropped = dropped
        self._active: set[str] = set()
        ProcessCollector(registry=registry)
        registry.register(self)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"voice_agent_{name}", what, labels, registry=registry)

        def seconds(name: str, what: str, *labels: str) -> Histogram:
            return Histogram(
                f"voice_agent_{name}_seconds", what, labels, registry=registry, buckets=BUCKETS
            )

        info = Gauge(
            "voice_agent_info", "What runs", ("pipeline", "version", "run"), registry=registry
        )
        info.labels(run.pipeline, run.version, run.id).set(1)
        most = Gauge("voice_agent_sessions_max", "Conversations at once at most", registry=registry)
        most.set(sessions_max)
        self._sessions = counter("sessions", "Conversations that have ended", "transport", "reason")
        self._turns = counter("turns", "Turns that are over", "kind")
        self._verdicts = counter("verdicts", "Turns judged by their budgets", "verdict")
        self._missed = counter("budget_missed", "Budgets missed, by guilty stage", "stage")
        self._v2v = seconds("voice_to_voice", "From the user's last sound to the agent's first")
        self._stage = seconds("stage", "What a turn was waited for, by stage", "stage")
        self._barge_in = seconds("barge_in", "From the onset of a voice to the agent's silence")
        self._guesses = counter("speculations", "Answers started on a guess", "outcome")
        self._wasted_tokens = counter("wasted_tokens", "Tokens of guesses that were wrong")
        self._wasted_audio = counter("wasted_audio_seconds", "Audio of guesses that were wrong")
        self._tokens = counter("tokens", "Tokens of answers")
        self._drafted = counter("drafted_tokens", "Tokens offered by speculative decoding")
        self._accepted = counter("accepted_tokens", "Of those, the ones that were kept")
        self._happened = {
            event: counter(name, f"How often there was: {event}")
            for event, name in _HAPPENED.items()
        }
        for outcome in ("hit", "miss"):
            self._guesses.labels(outcome)
        for stage in STAGES:
            self._stage.labels(stage)

    def routes(self) -> list[BaseRoute]:
        """Return what is served."""
        return [Route("/metrics", self.scraped, methods=["GET"])]

    async def scraped(self, request: Request) -> Response:
        """``GET``: every series, in the form the scraper asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type})

    def collect(self) -> Iterator[Metric]:
        """Yield what is read when it is asked for (``prometheus_client``'s collector)."""
        active = GaugeMetricFamily("voice_agent_sessions_active", "Conversations now")
        active.add_metric([], len(self._active))
        yield active
        lag = GaugeMetricFamily(
            "voice_agent_event_loop_lag_seconds",
            "How late the event loop was in the last minute",
            labels=["quantile"],
        )
        figures = self._lag.figures()
        for quantile, ms in (("0.5", figures["p50"]), ("0.99", figures["p99"])):
            lag.add_metric([quantile], ms / 1000.0)
        lag.add_metric(["1"], figures["max"] / 1000.0)
        yield lag
        yield GaugeMetricFamily("voice_agent_tasks", "Tasks of the event loop", _tasks())
        yield GaugeMetricFamily("voice_agent_threads", "Threads of this process", threads())
        yield GaugeMetricFamily(
            "voice_agent_processes", "Processes it has started, and they", descendants()
        )
        dropped = CounterMetricFamily(
            "voice_agent_traces_dropped", "Traces that did not fit into the queue to the disk"
        )
        dropped.add_metric([], self._dropped())
        yield dropped

    # ----- a sink of Tracing -----

    def turn(self, turn: Turn) -> None:
        """Turns are counted when they are over."""

    def session(self, session: Session) -> None:
        """Count a session that has begun or ended."""
        if session.ended_at is None:
            self._active.add(session.id)
        else:
            self._active.discard(session.id)
            self._sessions.labels(session.transport, session.reason or "").inc()

    def finished(self, turn: Turn) -> None:
        """Count a turn that is over."""
        self._turns.labels(turn.kind).inc()
        if turn.verdict is not None:
            self._verdicts.labels(turn.verdict).inc()
        if turn.guilty is not None:
            self._missed.labels(turn.guilty).inc()
        if turn.kind == "answered" and turn.v2v_ms is not None:
            self._v2v.observe(turn.v2v_ms / 1000.0)
            waited = turn.stages()
            for stage in STAGES:
                self._stage.labels(stage).observe(waited.get(stage, 0.0) / 1000.0)
        figures = turn.figures
        if "barge_in_ms" in figures:
            self._barge_in.observe(figures["barge_in_ms"] / 1000.0)
        self._guesses.labels("hit").inc(max(0.0, figures.get("hits", 0.0)))
        self._guesses.labels("miss").inc(figures.get("misses", 0.0))
        self._wasted_tokens.inc(figures.get("wasted_tokens", 0.0))
        self._wasted_audio.inc(figures.get("wasted_audio_ms", 0.0) / 1000.0)
        self._tokens.inc(figures.get("tokens", 0.0))
        self._drafted.inc(figures.get("drafts_offered", 0.0))
        self._accepted.inc(figures.get("drafts_accepted", 0.0))
        for event in turn.events:
            if event.name in self._happened:
                self._happened[event.name].inc()


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked outside of an event loop
        return 0
