"""The self-test, run for real against llama.cpp servers with our small Nemotron."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llm.llama_server import llama_server
from voice_agent.llm.server_figures import Drafts
from voice_agent.llm_server.proof.client import Endpoint
from voice_agent.llm_server.proof.findings import Verdict, passed
from voice_agent.llm_server.proof.self_test import (
    COLD,
    Configured,
    Reference,
    compare,
    draft_finding,
    references,
    self_test,
)


@pytest.fixture(scope="module")
def drafting() -> Iterator[str]:
    """A server that drafts two tokens a step."""
    with llama_server(draft=2) as url:
        yield url


async def plainly(model: Path | None = None) -> list[Reference]:
    with llama_server(**({"model": model} if model else {})) as url:
        async with Endpoint(url, fields=COLD["llamacpp"]) as endpoint:
            return await references(endpoint)


async def test_drafts_and_reuse_change_nothing(drafting: str) -> None:
    """Greedy answers are the same with both and with neither, drafts are as configured, nothing is
    thought, and a cancelled answer stops."""
    plain = await plainly()
    async with Endpoint(drafting) as endpoint:
        found = await self_test(endpoint, Configured(draft=2, cold=COLD["llamacpp"]), plain)
    assert [finding.verdict for finding in found] == [Verdict.OK] * 5
    drafts = next(finding for finding in found if finding.check == "drafts as configured")
    assert "drafted a step" in drafts.found
    reuse = next(finding for finding in found if finding.check == "reuse changes nothing")
    assert "tokens of later turns were known" in reuse.found


async def test_another_answer_is_a_failure_that_names_the_place(
    drafting: str, models: Path
) -> None:
    """Here the plain server is another model: what differs is quoted, and what to change."""
    plain = await plainly(models / "hello.gguf")
    async with Endpoint(drafting) as endpoint:
        found = await self_test(endpoint, Configured(draft=2, cold=COLD["llamacpp"]), plain)
    assert not passed(found)
    by_name = {finding.check: finding for finding in found}
    assert "is followed by" in by_name["drafts change nothing"].found
    assert "--draft 0" in by_name["drafts change nothing"].change
    assert "without reuse it differs too" in by_name["reuse changes nothing"].change


async def test_no_drafts_where_some_are_configured(drafting: str) -> None:
    """A server that drafts two tokens is not one that drafts four, or none."""
    async with Endpoint(drafting) as endpoint:
        for configured, said in ((4, "4 configured"), (0, "none should be")):
            found = await self_test(endpoint, Configured(draft=configured), None)
            drafts = next(each for each in found if each.check == "drafts as configured")
            assert drafts.verdict is Verdict.FAILS
            assert said in drafts.found


def test_a_tie_is_no_difference() -> None:
    """Where two words were as good as equal either may come; anywhere else it is a fault."""
    plain = Reference("We open at noon.", [(2, 5.0), (7, 0.1), (10, 4.0), (16, 9.0)])
    assert compare("We open at noon.", plain) is None
    assert compare("We close at noon.", plain) == "tie"
    assert compare("We open at ten.", plain) == "'We open at ' is followed by 'ten.', not 'noon.'"
    assert compare("We open at", plain) is not None


def test_drafts_are_judged_by_what_was_configured() -> None:
    """In force, in force but useless, silent, and unseen."""

    def verdict(drafts: Drafts | None, draft: int) -> Verdict:
        return draft_finding(drafts, Configured(draft=draft)).verdict

    assert verdict(Drafts(30, 20, 10), 3) is Verdict.OK
    assert verdict(Drafts(30, 5, 10), 3) is Verdict.LACKS
    assert verdict(Drafts(10, 9, 10), 3) is Verdict.FAILS
    assert verdict(Drafts(0, 0, 0), 3) is Verdict.FAILS
    assert verdict(Drafts(0, 0, 0), 0) is Verdict.OK
    assert verdict(None, 3) is Verdict.LACKS
