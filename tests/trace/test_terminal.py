"""Traces in a terminal: listed, drawn, exported, compared."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trace.made import BEGAN, a_session, a_turn, many
from tests.trace.test_store import RUN, writing
from voice_agent.cli import main
from voice_agent.trace.model import Event, Segment, Span, Turn, Verdict
from voice_agent.trace.waterfall import ASCII, NARROWEST, UNICODE, draw

SLOW = a_turn(
    v2v_ms=1000.0,
    segments=(
        Segment("endpoint", "silence", 700.0, 0.0, "turns.no_words_ms 700 (nothing to go by)"),
        Segment("asr_final", "final", 50.0, 700.0, "the final transcript took 80 ms"),
        Segment("llm_first_token", "tool:book_table", 250.0, 750.0, "waits for book_table"),
    ),
    spans=(
        Span("user", -4000.0, 0.0),
        Span("llm", 100.0, 300.0, True, "miss"),
        Span("llm", 650.0, 800.0, True, "hit"),
        Span("agent", 1000.0, 9000.0),
    ),
    events=(*(Event("partial", float(n), {}) for n in range(5)), Event("release", 750.0)),
).judged(Verdict("missed", "endpoint", {"endpoint": 250.0, "voice_to_voice": 500.0}, 450.0))


def row(lines: list[str], label: str) -> str:
    return next(line for line in lines if line.strip().startswith(label))


@pytest.mark.parametrize("width", [20, 60, 80, 133, 200])
def test_a_turn_is_drawn_as_wide_as_the_terminal_and_no_wider(width: int) -> None:
    """From 60 columns on."""
    lines = draw(SLOW, width)
    assert max(len(line) for line in lines) <= max(width, NARROWEST)


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    """Segments follow each other, and what was longer is longer."""
    lines = draw(SLOW, 140)
    endpoint, final, tool = (
        row(lines, name) for name in ("endpoint", "asr_final", "llm_first_token")
    )
    assert endpoint.count("█") == pytest.approx(14 * final.count("█"), rel=0.35)
    assert endpoint.rindex("█") < final.rindex("█") <= tool.index("█") + 1
    assert "turns.no_words_ms 700" in "\n".join(lines)


def test_what_leaves_the_drawing_ends_in_an_arrow() -> None:
    """A long voice before, a long answer after."""
    lines = draw(SLOW, 100)
    assert "◀" in row(lines, "user")
    assert row(lines, "agent").endswith("▶")


def test_guesses_that_were_wrong_look_different() -> None:
    """Hit, miss, and work that was no guess."""
    lines = draw(SLOW, 100)
    assert "░" in row(lines, "llm (miss)")
    assert "▒" in row(lines, "llm (hit)")
    assert "▓" in row(lines, "user")


def test_the_head_says_what_became_of_it() -> None:
    """The verdict with its budget, and the guilty stage."""
    assert "1000.0 ms from voice to voice, budget 500 ms: missed, guilty: endpoint" in draw(SLOW)
    kept = a_turn().judged(Verdict("ok", None, {"voice_to_voice": 500.0}))
    assert "250.0 ms from voice to voice, budget 500 ms: kept" in draw(kept)


def test_where_unicode_cannot_be_shown_nothing_of_it_is() -> None:
    """Serial consoles and old logs."""
    assert all(line.isascii() for line in draw(SLOW, 100, ASCII))


def test_colours_come_only_when_asked_for() -> None:
    """A pipe gets plain text."""
    assert "\x1b" not in "".join(draw(SLOW))
    assert "\x1b[31m" in "".join(draw(SLOW, ink=replace(UNICODE, colour=True)))


@pytest.mark.parametrize(
    "turn",
    [
        a_turn(v2v_ms=None, segments=(), spans=(), events=(), figures={}, words=None),
        a_turn(kind="failed", v2v_ms=None, segments=(), ended_ms=8000.0),
        a_turn(v2v_ms=0.0, segments=(), spans=(Span("llm", 0.0, 0.0),)),
        *many(5),
    ],
)
def test_any_turn_can_be_drawn(turn: Turn) -> None:
    """Unheard, failed, instant."""
    for width in (60, 100):
        assert draw(turn, width, ASCII)


# ----- the command -----


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two runs of 30 turns, where the command looks by itself."""
    path = tmp_path / "traces.db"
    with writing(path, run=replace(RUN, id="r0")) as writer:
        writer.session(a_session())
        for turn in many(60):
            writer.turn(turn)
    with writing(path, run=replace(RUN, started_at=BEGAN + 1)) as writer:
        writer.turn(replace(SLOW, started_at=BEGAN - 1))
    return path


def trace(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["trace", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("file")
def test_turns_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest first, filtered; what does not fit is left out, the id never."""
    monkeypatch.setenv("COLUMNS", "200")
    said = trace(capsys, "ls", "--limit", "5").splitlines()
    assert said[0].split()[:2] == ["when", "id"]
    assert "s2-19" in said[1]
    assert said[-1] == "(55 more; see --limit)"
    assert "transport" in said[0]
    monkeypatch.setenv("COLUMNS", "40")
    assert "s2-19" in trace(capsys, "ls")
    assert trace(capsys, "ls", "--kind", "pigeon").strip() == "no such turns"
    slowest = trace(capsys, "ls", "--sort", "slowest", "--limit", "1")
    assert "s1-1" in slowest.splitlines()[1]


def test_a_turn_is_shown_by_the_beginning_of_its_id(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the latest, or as JSON."""
    assert "endpoint" in trace(capsys, "show", "s1-1", "--file", str(file))
    assert "id s2-19" in " ".join(trace(capsys, "show").split())
    assert json.loads(trace(capsys, "show", "s1-1", "--json"))["v2v_ms"] == 1000.0


@pytest.mark.usefixtures("file")
def test_turns_are_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """To standard output or into a file."""
    rows = list(csv.DictReader(io.StringIO(trace(capsys, "export", "--format", "csv"))))
    assert len(rows) == 60
    out = tmp_path / "turns.json"
    trace(capsys, "export", "--out", str(out), "--transport", "twilio")
    turns = json.loads(out.read_text())
    assert {turn["transport"] for turn in turns} == {"twilio"}


@pytest.mark.usefixtures("file")
def test_two_runs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, or the last two; with how certain the difference is."""
    assert "r0" in trace(capsys, "ls", "--runs")
    named = trace(capsys, "compare", "r0", "r1")
    assert named.splitlines()[0].startswith("a: r0")
    assert "voice_to_voice" in named
    assert trace(capsys, "compare").splitlines()[0].startswith("a: r0")
    made = json.loads(trace(capsys, "compare", "r0", "r1", "--json"))
    assert made["stages"]["voice_to_voice"]["a"]["n"] > 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody-1"), "there is no turn"),
        (("show", "s"), "write more of it"),
        (("compare", "r0", "r9"), "there is no run 'r9'"),
        (("compare", "r0"), "name two runs"),
        (("ls", "--file", "/nowhere/traces.db"), "no traces"),
    ],
)
@pytest.mark.usefixtures("file")
def test_what_is_not_there_is_said_with_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """On standard error, with exit code 2."""
    assert main(["trace", *arguments]) == 2
    assert said in capsys.readouterr().err
