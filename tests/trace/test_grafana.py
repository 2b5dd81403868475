"""The Grafana dashboard, read by Grafana's own model of one and asked of our own metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.trace.made import BEGAN, a_session, a_turn
from voice_agent.trace.loop_lag import LoopLag
from voice_agent.trace.metrics import Metrics
from voice_agent.trace.model import Run, Verdict

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs/grafana/voice-agent.json").read_text()
)
TARGETS = [(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p["targets"]]


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return what of ``ours`` is not, or not the same, in ``theirs``."""
    if isinstance(ours, dict):
        return [
            each
            for key, value in ours.items()
            for each in (
                lost(value, theirs[key], f"{path}/{key}") if key in theirs else [f"{path}/{key}"]
            )
        ]
    if isinstance(ours, list):
        pairs = zip(ours, theirs, strict=True)
        return [each for n, (a, b) in enumerate(pairs) for each in lost(a, b, f"{path}/{n}")]
    return [] if ours == theirs else [path]


def test_grafana_knows_everything_in_it() -> None:
    """Read into Grafana's types and written again, nothing is gone or changed."""
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARD)
    assert lost(DASHBOARD, json.loads(JSONEncoder(sort_keys=True).encode(read))) == []


def test_it_imports_anywhere() -> None:
    """It names no data source of ours: whoever imports it chooses one."""
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    sources = {json.dumps(panel["datasource"]) for panel in DASHBOARD["panels"]}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_no_two_panels_overlap() -> None:
    """Every panel has its own place on a grid of 24 columns."""
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(("title", "expression"), TARGETS)
def test_every_query_is_promql_over_series_that_there_are(title: str, expression: str) -> None:
    """With labels that the series have."""
    query = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
    promql_parser.parse(query)
    series = _series()
    for name, selector in re.findall(r"(\w+)\{([^}]*)\}", query):
        assert name in series, f"{title}: there is no {name}"
        used = set(re.findall(r"(\w+)=", selector)) | set(
            label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")
        )
        assert used <= series[name] | {"instance", "le"}, f"{title}: {used} of {name}"


def _series() -> dict[str, set[str]]:
    """Return the names of all series and their labels, as they are exposed."""
    metrics = Metrics(Run("r1", "p", "0", BEGAN), LoopLag(), lambda: 0, 8)
    metrics.finished(a_turn().judged(Verdict("missed", "endpoint")))
    metrics.session(a_session(ended_at=BEGAN, reason="gone"))
    series: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
    return series
