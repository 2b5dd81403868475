"""What a server must hold under load, and whether it did. Pure.

v2v_p50_ms = 350
v2v_p95_ms = 500
missed = 0.02                 # share of turns without an answer
success = 0.95                # share of callers that got what they called for

[stages]                      # p95 by stage, ms, as the server's own traces have it
llm_first_token = 300
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_agent.load.errors import ScenarioError

Ms = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Slo(BaseModel):
    """The objectives; what is left out is not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v2v_p50_ms: Ms | None = None
    v2v_p95_ms: Ms | None = 800.0
    v2v_p99_ms: Ms | None = None
    first_sound_p95_ms: Ms | None = None
    barge_in_silent_p95_ms: Ms | None = None
    server_lag_p99_ms: Ms | None = None
    errors: Share = 0.0
    """Share of calls that failed, at most."""
    missed: Share = 0.02
    """Share of turns without an answer, at most."""
    cut_ins: Share = 0.05
    """Share of turns that the agent answered before the caller was done, at most."""
    double_answers: Share = 0.0
    stalls_per_minute: float = Field(default=1.0, ge=0)
    """Gaps of more than 60 ms in the agent's voice, per minute of call, at most."""
    success: Share | None = None
    """Share of callers that got what they called for, at least."""
    left_mb: float = Field(default=20.0, ge=0)
    """Memory that a soak may leave behind, MB at most; nothing else may be left."""
    stages: Mapping[str, Ms] = Field(default_factory=dict)
    """p95 by stage, ms, as the server's traces have it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One objective and what was measured."""

    name: str
    limit: float
    measured: float | None
    """None: nothing was measured, which does not hold."""
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the objective was met."""
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def checks(slo: Slo, figures: Mapping[str, Any]) -> list[Check]:
    """Hold the figures of one step (see :func:`voice_agent.load.fleet.results.figures`) against
    the objectives."""
    client, server = figures["client"], figures.get("server") or {}
    made: list[Check] = []

    def limit(name: str, most: float | None, measured: Any) -> None:
        if most is not None:
            made.append(Check(name, most, measured))

    for percentile in ("p50", "p95", "p99"):
        most = getattr(slo, f"v2v_{percentile}_ms")
        limit(f"v2v_{percentile}_ms", most, _of(client, "v2v_ms", percentile))
    limit("first_sound_p95_ms", slo.first_sound_p95_ms, _of(client, "first_sound_ms", "p95"))
    silent = _of(client, "barge_in_silent_ms", "p95")
    limit("barge_in_silent_p95_ms", slo.barge_in_silent_p95_ms, silent)
    limit("server_lag_p99_ms", slo.server_lag_p99_ms, server.get("lag_p99_ms"))
    for name in ("errors", "missed", "cut_ins", "double_answers"):
        limit(name, getattr(slo, name), client[f"{name}_share"])
    limit("stalls_per_minute", slo.stalls_per_minute, client["stalls_per_minute"])
    if slo.success is not None:
        made.append(Check("success", slo.success, client["success_share"], at_least=True))
    stages = figures.get("stages") or {}
    for stage, most in slo.stages.items():
        limit(f"stages.{stage}", most, (stages.get(stage) or {}).get("p95"))
    return made


def guilty_stage(figures: Mapping[str, Any], slo: Slo) -> str | None:
    """Return the stage to look at first: the one furthest over its objective or its budget by p95,
    else the one that is most of the wait. None where the server tells nothing."""
    stages: Mapping[str, Any] = figures.get("stages") or {}
    over: dict[str, float] = {}
    waited: dict[str, float] = {}
    for stage, told in stages.items():
        p95 = told.get("p95")
        if stage == "voice_to_voice" or p95 is None:
            continue
        waited[stage] = p95
        allowed = slo.stages.get(stage, told.get("budget_ms"))
        if allowed is not None and p95 > allowed:
            over[stage] = p95 - allowed
    ranked = over or waited
    return max(ranked, key=lambda stage: ranked[stage], default=None)


def read_slo(path: Path | None) -> Slo:
    """Read an SLO from its TOML file; without one, the defaults.

    Raises:
        ScenarioError: The file cannot be read, or something in it is wrong.
    """
    if path is None:
        return Slo()
    try:
        return Slo.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        allowed = f"; there are: {', '.join(Slo.model_fields)}"
        what = "unknown key" + allowed if first["type"] == "extra_forbidden" else first["msg"]
        raise ScenarioError(f"{path}: {key}: {what}") from error


def _of(figures: Mapping[str, Any], name: str, percentile: str) -> float | None:
    spread = figures.get(name)
    return None if spread is None else spread[percentile]
