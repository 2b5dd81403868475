"""``voice-agent bench llm``: what is asked, what is counted, and how it is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.llm.llama_server import llama_server
from tests.llm.model_server import model_server
from voice_agent.bench.llm import Asked
from voice_agent.bench.llm_command import bench_llm
from voice_agent.bench.llm_report import figures, lines
from voice_agent.cli import main


def asked(kind: str, first_token_ms: float, **more: Any) -> Asked:
    known = {"first_clause_ms": first_token_ms + 5, "tokens": 20, "tokens_per_s": 100.0}
    return Asked(
        kind=kind,
        first_token_ms=first_token_ms,
        **{**known, "prompt_tokens": 10, "cached_tokens": 90, **more},
    )


def test_first_turns_and_later_ones_are_counted_apart() -> None:
    """A cold prompt says nothing of a conversation under way; a cut answer is not an answer."""
    made = figures([asked("cold", 300), asked("warm", 20), asked("warm", 30), asked("cut", 999)])
    assert made["ttft_cold_ms"]["p50"] == 300
    assert made["ttft_warm_ms"].items() >= {"n": 2, "p50": 25.0, "p95": 29.5, "max": 30.0}.items()
    assert made["first_clause_warm_ms"]["p50"] == 30
    assert made["prompt_reuse"] == 0.9
    assert made["acceptance"] is None


def test_drafts_are_counted_over_all_answers() -> None:
    """Acceptance is a share of tokens, not a mean of shares."""
    made = figures(
        [
            asked("cold", 1, drafted_tokens=10, accepted_tokens=10),
            asked("warm", 1, drafted_tokens=30, accepted_tokens=10),
        ]
    )
    assert made["acceptance"] == 0.5
    assert made["tokens_per_step"] == 2.0


def test_sides_stand_side_by_side() -> None:
    """One column a side, and the others as multiples of the first."""
    table = lines({"plain": figures([asked("warm", 20)]), "draft 2": figures([asked("warm", 10)])})
    assert table[0].split() == ["plain", "draft", "2", "draft", "2", ":", "plain"]
    (row,) = [line for line in table if line.startswith("first token, warm")]
    assert row.split()[3:] == ["20", "/", "20", "/", "20", "10", "/", "10", "/", "10", "0.50"]


async def test_a_gguf_is_measured_without_and_with_its_drafting_head(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both sides have the same conversations, and the second one takes fewer steps."""
    out = tmp_path / "llm.json"
    model = models / "hello.gguf"
    overrides = [f"llm.model={model}", "llm.context=4096", "llm.threads=1"]
    assert await bench_llm("laptop", overrides, conversations=2, turns=3, json_path=out) == 0
    sides = json.loads(out.read_text())
    assert list(sides) == ["plain", "draft 2"]
    for side in sides.values():
        kinds = Counter(each["kind"] for each in side["asked"])
        assert kinds == {"cold": 2, "warm": 4, "cut": 2, "again": 2}
        assert side["idle_ms"]["n"] == 2
        assert side["prompt_reuse"] > 0.5
    assert sides["plain"]["tokens_per_step"] is None
    assert sides["draft 2"]["tokens_per_step"] > 2
    assert "drafted tokens accepted" in capsys.readouterr().out


async def test_servers_are_measured_by_what_they_tell(capsys: pytest.CaptureFixture[str]) -> None:
    """An OpenAI-compatible server that tells nothing of its tokens still has latencies."""
    async with model_server() as server:
        server.say(*"one two three four five six seven eight".split())
        assert await bench_llm("laptop", urls=[server.url], conversations=1, turns=2) == 0
        prompts = [request["messages"][0]["content"] for request in server.requests]
    assert len(set(prompts)) == 1, "one conversation has one system prompt"
    shown = capsys.readouterr().out
    assert "first token, warm" in shown
    assert "accepted" not in shown


async def test_what_cannot_be_measured_is_said(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No model, no such file, no server: an exit code and what to do."""
    assert await bench_llm("laptop") == 2
    assert "--model" in capsys.readouterr().err
    assert await bench_llm("laptop", [f"llm.model={tmp_path / 'none.gguf'}"]) == 2
    assert "file not found" in capsys.readouterr().err
    assert await bench_llm("laptop", urls=["http://127.0.0.1:9/v1"]) == 1
    assert "no language model server answers" in capsys.readouterr().err
    assert main(["bench", "llm", "--url", "http://x/v1", "--model", "x.gguf"]) == 2
    assert "without --url" in capsys.readouterr().err


def test_servers_are_swept_by_draft_length_and_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two real servers, without and with drafts, each asked by one caller and by two; the draft
    lengths are read back, and the config writer reads the file."""
    out = tmp_path / "sweep.json"
    with llama_server() as plain, llama_server(draft=2) as drafting:
        command = ["bench", "llm", "--url", plain, "--url", drafting, "--sweep", "1,2"]
        assert main([*command, "--turns", "3", "--json", str(out)]) == 0
    points = json.loads(out.read_text())["sweep"]
    assert [(p["draft"], p["at_once"]) for p in points] == [(0, 1), (0, 2), (2, 1), (2, 2)]
    assert [p["answers"] for p in points] == [2, 4, 2, 4]
    assert all(p["known"] > 0.5 for p in points)
    assert points[2]["tokens_per_step"] > 1.5
    assert "first clause ms p50 / p95" in capsys.readouterr().out
    asked = ["llm-server", "--print-config", "--runtime-version", "1.3.0rc29", "--gpu"]
    assert main([*asked, "H100:80:9.0", "--measured", str(out)]) == 0
    assert "draft_len_schedule: {1: " in capsys.readouterr().out


async def test_a_server_that_tells_is_measured_until_it_is_idle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a barge-in costs a server: how long it writes on."""
    with llama_server() as url:
        assert await bench_llm("laptop", urls=[url], conversations=1, turns=2) == 0
    assert "from cutting off until idle" in capsys.readouterr().out
