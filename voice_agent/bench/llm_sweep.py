"""``voice-agent bench llm --url ... --sweep 1,2,4``: what more callers cost, and drafts save.

Every server given (one for each draft length, started with ``llm-server --draft N``) is asked by
1, 2, 4, ... callers at once. Each has a conversation of its own, so that only its first prompt is
new; the draft length is the one the server really uses, read back from its figures.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voice_agent.bench.llm import PERSONA, QUESTIONS
from voice_agent.llm_server.proof.client import Answer, Endpoint
from voice_agent.llm_server.proof.watching import Watch
from voice_agent.load.score import spread
from voice_agent.load.table import aligned
from voice_agent.tts.clauses import ClauseRules, next_cut

__all__ = ["Point", "as_json", "lines", "sweep"]

_TOKENS = 120


@dataclass(frozen=True, slots=True)
class Point:
    """One server with so many callers at once; medians over all answers but each one's first."""

    url: str
    draft: int | None
    """Tokens drafted a step, as the server tells; None where it does not."""
    at_once: int
    answers: int
    first_token_ms: float
    first_clause_ms: float
    first_clause_p95_ms: float
    tokens_per_s: float | None
    """Of one caller, after the first token."""
    acceptance: float | None
    tokens_per_step: float | None
    known: float | None
    """Share of the prompts that the server still knew."""


@dataclass(frozen=True, slots=True)
class _Timed:
    answer: Answer
    first_clause_ms: float


async def sweep(
    urls: Sequence[str], loads: Sequence[int], turns: int, said: Callable[[str], object]
) -> list[Point]:
    """Measure every server under every load.

    Args:
        urls: Servers, up to and including ``/v1``.
        loads: Callers at once.
        turns: Of each caller's conversation.
        said: Is told how it goes on.

    Raises:
        ServerFault: A server does not answer.
    """
    points = []
    for url in urls:
        off = {"chat_template_kwargs": {"enable_thinking": False}}
        async with Endpoint(url, fields=off, timeout_s=300.0) as endpoint:
            watch = await Watch.of(endpoint)
            for at_once in loads:
                said(f"{url}: {at_once} at once, {turns} turns each ...")
                points.append(await _point(endpoint, watch, url, at_once, turns))
    return points


async def _point(endpoint: Endpoint, watch: Watch, url: str, at_once: int, turns: int) -> Point:
    timed: list[_Timed] = []

    async def all_at_once() -> list[Answer]:
        talks = await asyncio.gather(*(_talk(endpoint, turns) for _ in range(at_once)))
        timed.extend(each for talk in talks for each in talk[1:])
        return [each.answer for talk in talks for each in talk]

    drafts = await watch.drafts(all_at_once)
    tokens = spread(each.answer.first_ms for each in timed)
    clauses = spread(each.first_clause_ms for each in timed)
    speeds = spread(_per_s(each.answer) for each in timed)
    if tokens is None or clauses is None:
        raise ValueError("a sweep needs two turns at least")
    length = drafts.length if drafts is not None else None
    return Point(
        url=url,
        draft=None if drafts is None else round(length or 0.0),
        at_once=at_once,
        answers=len(timed),
        first_token_ms=tokens["p50"],
        first_clause_ms=clauses["p50"],
        first_clause_p95_ms=clauses["p95"],
        tokens_per_s=speeds["p50"] if speeds else None,
        acceptance=_rounded(drafts.acceptance if drafts is not None else None),
        tokens_per_step=_rounded(drafts.tokens_per_step if drafts is not None else None),
        known=_known([each.answer for each in timed]),
    )


async def _talk(endpoint: Endpoint, turns: int) -> list[_Timed]:
    system = f"Call {secrets.token_hex(8)}. {PERSONA}"
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}]
    told = []
    for turn in range(turns):
        messages.append({"role": "user", "content": QUESTIONS[turn % len(QUESTIONS)]})
        timed = await _timed(endpoint, messages)
        messages.append({"role": "assistant", "content": timed.answer.text})
        told.append(timed)
    return told


async def _timed(endpoint: Endpoint, messages: Sequence[dict[str, Any]]) -> _Timed:
    clause_ms: float | None = None
    async with endpoint.streaming(messages, max_tokens=_TOKENS, temperature=0) as (answer, pieces):
        async for grown in pieces:
            if clause_ms is None and next_cut(grown.text, 0, ClauseRules()):
                clause_ms = grown.last_ms
    return _Timed(answer, clause_ms or answer.last_ms or 0.0)


def _per_s(answer: Answer) -> float | None:
    tokens, first_ms, last_ms = answer.tokens, answer.first_ms, answer.last_ms
    if not tokens or first_ms is None or last_ms is None or last_ms <= first_ms:
        return None
    return (tokens - 1) / (last_ms - first_ms) * 1000.0


def _known(answers: Sequence[Answer]) -> float | None:
    told = [a for a in answers if a.cached_tokens is not None and a.usage.get("prompt_tokens")]
    if not told:
        return None
    cached = sum(answer.cached_tokens or 0 for answer in told)
    read = sum(int(answer.usage["prompt_tokens"]) for answer in told)
    return round(cached / read, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def as_json(points: Sequence[Point]) -> dict[str, Any]:
    """Return the points as ``llm-server --measured`` reads them."""
    return {"sweep": [asdict(point) for point in points]}


def lines(points: Sequence[Point]) -> list[str]:
    """Return the table, one row a point."""
    rows: list[tuple[str, ...]] = [
        (
            *("server", "draft", "at once", "first token ms", "first clause ms p50 / p95"),
            *("tokens/s", "kept", "tokens a step", "prompt known"),
        )
    ]
    for point in points:
        rows.append(
            (
                point.url,
                _shown(point.draft),
                str(point.at_once),
                f"{point.first_token_ms:.0f}",
                f"{point.first_clause_ms:.0f} / {point.first_clause_p95_ms:.0f}",
                _shown(point.tokens_per_s and round(point.tokens_per_s)),
                _shown(point.acceptance),
                _shown(point.tokens_per_step),
                _shown(point.known),
            )
        )
    return aligned(rows)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
