"""Whole runs against real servers: one that holds, one made slow, one that is killed."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from tests.running import Server
from voice_agent.load.fleet.casts import make_casts
from voice_agent.load.fleet.report import html
from voice_agent.load.fleet.run import Plan, run
from voice_agent.load.fleet.scenario import read_scenario
from voice_agent.load.fleet.slo import Slo

pytestmark = pytest.mark.slow

PATIENT = Slo(v2v_p95_ms=20_000, stalls_per_minute=10_000, missed=1, cut_ins=1, double_answers=1)
"""Holds on any machine, however busy: what is tested is the instrument."""
SCENARIO = """
name = "short"
greeting = false
[[turn]]
say = "What time do you open on Sunday?"
think_s = [0.0, 0.1]
[[turn]]
say = "Wait, I have another question."
over = "barge-in"
[[turn]]
say = "Thank you, goodbye."
think_s = [0.0, 0.1]
hang_up_after_s = 0.3
"""


def plan(url, tmp_path, *, seconds=12.0, slo=PATIENT, line="webrtc", shape="steady"):
    path = tmp_path / "short.toml"
    path.write_text(SCENARIO)
    scenario = read_scenario(str(path))
    folder = make_casts(scenario, tmp_path / "casts", print=lambda text: None)
    return Plan(url, line, scenario, folder, levels=[2], seconds=seconds, slo=slo, shape=shape)


def quiet(step, calls, watch):
    """Show nothing."""


def server(tmp_path, *overrides):
    """A server of the fixed-latency pipeline, ended with the block."""
    settings = [f"--set={each}" for each in overrides]
    return Server(tmp_path, "--pipeline", "fixed-latency", "--insecure-dev", *settings)


@pytest.mark.parametrize("line", ["webrtc", "twilio"])
async def test_callers_talk_and_both_sides_are_told(tmp_path, line):
    """Two callers at once; their turns are measured, the server's figures and stages are there."""
    with server(tmp_path, "telephony.twilio={}") as served:
        report = await run(plan(served.url, tmp_path, line=line), quiet)
    (step,) = report["steps"]
    client = step["figures"]["client"]
    assert {call["caller"] for call in step["calls"]} == {0, 1}
    assert client["errors"] == {}
    assert client["v2v_ms"]["n"] >= 2
    assert client["worst"][0]["trace"]
    assert step["figures"]["server"]["sessions"] == 2
    assert step["figures"]["stages"]["voice_to_voice"]["n"] >= 1
    assert report["held"], step["checks"]
    assert json.dumps(report)


async def test_a_slow_stage_fails_the_slo_and_is_named(tmp_path):
    """The language model made slow is what the report says to look at."""
    slo = PATIENT.model_copy(update={"stages": {"llm_first_token": 500.0}})
    with server(tmp_path, "llm.ttft_ms=1500") as served:
        report = await run(plan(served.url, tmp_path, slo=slo), quiet)
    assert not report["held"]
    assert report["steps"][0]["guilty"] == "llm_first_token"
    assert "The stage to look at is <b>llm_first_token</b>" in html(report)


async def test_a_server_killed_in_between_is_said(tmp_path):
    """What was seen until then is kept."""
    with server(tmp_path) as served:

        def kill(step, calls, watch):
            if any(each.sessions for each in watch.samples) and watch.lost_at_s is None:
                served.signal(signal.SIGKILL)

        async with asyncio.timeout(120):
            report = await run(plan(served.url, tmp_path, seconds=8.0), kill)
    (step,) = report["steps"]
    assert step["server_lost"]
    assert not report["held"]
    client = step["figures"]["client"]
    assert client["errors"] or client["missed_share"] > 0
    assert "The server stopped answering" in html(report)


async def test_a_soak_tells_what_calls_leave_behind(server, tmp_path):
    """The default pipeline, its recognisers in processes, over the realtime API: once the calls
    are over, tasks, threads, files and processes are as many as before them."""
    asked = plan(server.url, tmp_path, seconds=8.0, line="realtime", shape="soak")
    report = await run(asked, quiet)
    (step,) = report["steps"]
    assert step["figures"]["client"]["errors"] == {}
    assert step["figures"]["client"]["v2v_ms"]["n"] >= 1
    left = step["left"]
    assert left["processes"]["before"] >= 1
    assert left["tasks"]["before"] >= 1
    assert [check for check in step["checks"] if not check["holds"]] == []
    assert "left behind in the idle server" in html(report)
