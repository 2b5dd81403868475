"""What becomes of the records of a run: figures, a verdict, a comparison, a report."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from voice_agent.agents.bookings import BookingStore
from voice_agent.commands.load import progress
from voice_agent.load.errors import ScenarioError
from voice_agent.load.fleet.book import booked, judged
from voice_agent.load.fleet.compare import compare, lines
from voice_agent.load.fleet.profile import steps
from voice_agent.load.fleet.records import CALL, CallRecord, ServerSample, TurnRecord
from voice_agent.load.fleet.report import html
from voice_agent.load.fleet.results import figures
from voice_agent.load.fleet.run import Held, machine
from voice_agent.load.fleet.slo import Slo, checks, guilty_stage
from voice_agent.load.fleet.soak import left, left_checks
from voice_agent.load.fleet.watching import read_metrics, sample

TURN = TurnRecord("What time do you open?", 1000.0, v2v_ms=340.0, answers=1, trace="abc-1")
CALLED = CallRecord(0, 2, 990.0, seconds=30.0, connect_ms=80.0, first_sound_ms=400.0, turns=(TURN,))


def calls(*v2v_ms: float) -> list[CallRecord]:
    return [
        replace(CALLED, caller=number, turns=(replace(TURN, v2v_ms=ms),))
        for number, ms in enumerate(v2v_ms)
    ]


def failing(slo: Slo, made: list[CallRecord]) -> list[str]:
    return [check.name for check in checks(slo, figures(made, [])) if not check.holds]


@pytest.mark.parametrize(
    ("made", "fails"),
    [
        ([CALLED], []),
        (calls(300, 320, 900), ["v2v_p95_ms"]),
        ([replace(CALLED, error="lost", what="gone")], ["errors"]),
        ([replace(CALLED, turns=(replace(TURN, missed=True),))], ["missed"]),
        ([replace(CALLED, turns=(replace(TURN, cut_in_ms=200.0),))], ["v2v_p95_ms", "cut_ins"]),
        ([replace(CALLED, turns=(replace(TURN, answers=2),))], ["double_answers"]),
        ([replace(CALLED, stalls=3)], ["stalls_per_minute"]),
        ([], ["v2v_p95_ms"]),
    ],
)
def test_an_objective_that_was_not_met_is_named(made, fails):
    """And one for which nothing was measured does not hold."""
    assert failing(Slo(v2v_p95_ms=500), made) == fails


def test_success_is_judged_where_the_scenario_says_what_it_is():
    """Callers that hung up or were not told are not counted."""
    made = [replace(CALLED, success=True), replace(CALLED, success=False), CALLED]
    assert figures(made, [])["client"]["success_share"] == 0.5
    assert failing(Slo(success=0.9), made) == ["success"]


def test_the_stage_to_look_at_is_the_one_furthest_over_its_budget():
    """Not the longest one; that only where every stage keeps its budget."""
    stages = {
        "endpoint": {"p95": 150.0, "budget_ms": 200.0},
        "llm_first_token": {"p95": 140.0, "budget_ms": 100.0},
        "tts_first_audio": {"p95": 90.0, "budget_ms": 80.0},
        "voice_to_voice": {"p95": 900.0, "budget_ms": 500.0},
    }
    assert guilty_stage({"stages": stages}, Slo()) == "llm_first_token"
    assert guilty_stage({"stages": stages}, Slo(stages={"tts_first_audio": 10})) == (
        "tts_first_audio"
    )
    kept = {name: {**told, "budget_ms": 1000.0} for name, told in stages.items()}
    assert guilty_stage({"stages": kept}, Slo()) == "endpoint"
    assert guilty_stage({"stages": None}, Slo()) is None


def test_callers_that_lag_make_a_step_invalid():
    """They measured themselves."""
    assert figures([CALLED], [])["valid"]
    assert not figures([replace(CALLED, lag_p99_ms=25.0)], [])["valid"]


def test_records_survive_the_way_between_processes():
    """As one line of JSON."""
    assert CALL.validate_json(CALL.dump_json(CALLED)) == CALLED


def test_the_servers_own_figures_are_read_from_its_metrics():
    """CPU, memory and open files, from Prometheus's text."""
    text = (
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 12.5\n"
        "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 104857600\n"
        "# TYPE process_open_fds gauge\nprocess_open_fds 42\n"
    )
    seen = sample({"sessions": {"active": 3}, "loop_lag_ms": {"p99": 2.0, "max": 9.0}},
                  read_metrics(text))  # fmt: skip
    assert (seen.sessions, seen.cpu_s, seen.rss_mb, seen.open_files) == (3, 12.5, 100.0, 42)
    assert read_metrics("no metrics at all {") == {}


def report(*v2v_ms: float, lost: bool = False) -> dict:
    (step,) = steps("steady", [2], 30)
    samples = [ServerSample(1000.0 + n, 2, 10.0 + n * 0.2, 120.0, 1.0, 4.0) for n in range(5)]
    made = calls(*v2v_ms)
    found = figures(made, samples, {"endpoint": {"p50": 1.0, "p95": 2.0, "budget_ms": 3.0}})
    held = Held(step, "steady", 1000.0, made, found, checks(Slo(v2v_p95_ms=500), found),
                guilty="endpoint", server_lost=lost)  # fmt: skip
    return {
        "url": "http://127.0.0.1:1",
        "line": "webrtc",
        "scenario": {"name": "<talk>"},
        "machine": machine(),
        "finished_at": 1000.0,
        "steps": [held.to_dict()],
        "samples": [each.to_dict() for each in samples],
        "capacity": 2 if held.held else 0,
        "held": held.held,
    }


def test_two_runs_are_told_apart_only_where_they_differ():
    """The interval of the same data holds 0, that of other data does not."""
    same = compare(report(300, 310, 320, 330), report(300, 310, 320, 330))
    low, high = same[0]["v2v_p50_ms"]["ci95"]
    assert low <= 0 <= high
    slower = compare(report(300, 310, 320, 330), report(400, 410, 420, 430))
    assert slower[0]["v2v_p50_ms"]["ci95"][0] > 0
    assert "315 -> 415" in "\n".join(lines(report(300, 310, 320, 330), report(400, 410, 420, 430)))


def test_a_report_is_one_file_that_asks_for_nothing():
    """No script, no request; what comes from outside is escaped; worst turns link to traces."""
    text = html(report(300, 900))
    assert "&lt;talk&gt;" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!http://127.0.0.1:1/traces/)", text)
    assert "/traces/?turn=abc-1" in text
    assert "The stage to look at is <b>endpoint</b>" in text


def test_a_report_says_that_the_server_was_lost():
    """First of all."""
    assert "The server stopped answering with 2 calls" in html(report(300, lost=True))


@pytest.mark.parametrize(
    ("after", "fails"),
    [
        ({}, []),
        ({"rss_mb": 119.0, "open_files": 43, "threads": 20}, []),
        ({"rss_mb": 121.5}, ["left_mb"]),
        ({"tasks": 13}, ["left_tasks"]),
        ({"threads": 21, "processes": 3}, ["left_threads", "left_processes"]),
        ({"open_files": 44}, ["left_open_files"]),
    ],
)
def test_what_a_soak_leaves_behind_is_named(after, fails):
    """A task or a process too many is one; memory and files have some room."""
    idle = ServerSample(
        1000.0, 0, 10.0, 100.0, 1.0, 4.0, threads=8, open_files=40, tasks=12, processes=2
    )
    checks = left_checks(idle, replace(idle, **after), Slo())
    assert [check.name for check in checks if not check.holds] == fails
    assert left(idle, replace(idle, **after))["tasks"]["before"] == 12


def test_who_got_a_table_is_asked_of_the_restaurants_book(tmp_path):
    """Of calls that came to an end; what the agent said does not count."""
    path = tmp_path / "book.sqlite"
    BookingStore(path, (2, 4), 120).close()
    with closing(sqlite3.connect(path)) as book, book:
        for conversation, status in (("a", "booked"), ("b", "cancelled")):
            book.execute(
                "INSERT INTO bookings (name, phone, party_size, date, time, table_no, status, "
                "conversation) VALUES ('', '', 2, '2026-11-27', '19:00', 1, ?, ?)",
                (status, conversation),
            )
    made = [replace(CALLED, conversation=name, success=True) for name in "abc"]
    made.append(replace(CALLED, conversation="a", success=None))
    judgement = [call.success for call in judged(made, booked(path))]
    assert judgement == [True, False, False, None]
    with pytest.raises(ScenarioError, match="cannot be read"):
        booked(tmp_path / "nowhere.sqlite")


def test_a_run_is_told_in_one_line_while_it_lasts():
    """How far it is, what the callers saw, how the server is."""
    (step,) = steps("steady", [2], 36)
    samples = [ServerSample(1000.0 + n, 2, 10.0 + n * 0.5, 120.0, 1.0, 4.0) for n in range(2)]
    line = progress(step, 20.0, calls(300, 400), samples)
    assert line == (
        "2 at once [##########..........] 2 over, 2 answers, v2v 400 (worst 400) ms, 0 failed; "
        "server: 2 calls, 120 MB, 0.50 cores, lag 1 ms"
    )
    assert progress(step, 0.0, [], []).endswith("v2v - (worst -) ms, 0 failed; server: no answer")
