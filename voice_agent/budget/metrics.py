"""The objective among the Prometheus metrics: how fast it burns, and whom that has kept out."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from voice_agent.budget.objective import Objective


class ObjectiveMetrics:
    """Read when it is asked for: a ``prometheus_client`` collector."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def collect(self) -> Iterator[Metric]:
        """Yield the series."""
        figures = self._objective.figures()
        rate = GaugeMetricFamily(
            "voice_agent_budget_burn_rate",
            "Share of turns that missed their budget over the share that may",
            labels=["window_seconds"],
        )
        for window in figures["windows"]:
            rate.add_metric([f"{window['window_s']:g}"], window["burn_rate"])
        yield rate
        burning = GaugeMetricFamily(
            "voice_agent_budget_burning", "Whether turns miss their budget too often now"
        )
        burning.add_metric([], float(figures["burning"]))
        yield burning
        refused = CounterMetricFamily(
            "voice_agent_callers_refused", "Callers refused because turns miss their budget"
        )
        refused.add_metric([], figures["refused"])
        yield refused
