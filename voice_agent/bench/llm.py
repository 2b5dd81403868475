"""``voice-agent bench llm``: what a language model makes a caller wait for.

Every side (a GGUF without and with speculative decoding, or servers) is asked through its own
Pipecat service, as in a call. One conversation after the other is had with each side in turn, so
that all meet the machine in the same mood:

- its first turn is cold: its prompt begins with words no earlier one had;
- the others are warm: the model knows the conversation so far;
- then an answer is cut off after a few tokens and asked for again, as guesses on a growing
  transcript do all the time, with one word more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from pipecat.frames.frames import (
    ErrorFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    MetricsFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData

from voice_agent.bench.alone import Alone, alone, started
from voice_agent.engines import Engine, EngineError, SessionInfo
from voice_agent.frames import LLMFiguresFrame
from voice_agent.llm.llamacpp import LlamaCppEngine
from voice_agent.llm_server.proof.client import Endpoint
from voice_agent.llm_server.proof.watching import Watch
from voice_agent.process import cpu_ms
from voice_agent.tts.clauses import ClauseRules, next_cut

__all__ = ["Asked", "Side", "measure"]

QUESTIONS = (
    "hello, what kind of restaurant are you",
    "and when are you open on sunday",
    "is there anything without meat",
    "how much is the lasagna",
    "what would you recommend for a birthday",
    "can we sit in the garden",
    "is there a place to park the car",
    "do you take cards",
    "may we bring our dog",
    "thank you, that was very helpful",
)
PERSONA = (
    "You are the host of a small Italian restaurant, and you are answering the telephone. "
    "Answer every question in one or two short sentences. Everything you write is read aloud, so "
    "use plain words only. You are open every day from six in the evening to eleven. There is "
    "pizza, pasta, fish and dessert; half of it is vegetarian. Lasagna is thirteen euros. There "
    "is a garden, and a car park behind the house. Cards and dogs are welcome."
)
CUT_AFTER = 4
"""Pieces of an answer that are waited for before it is cut off."""
ANSWER_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer and what it cost; None is what the engine does not tell."""

    kind: str
    """"cold", "warm", "cut" (broken off) or "again" (asked for after that)."""
    first_token_ms: float
    """From the question."""
    first_clause_ms: float | None
    """From the question to the first piece that a voice could begin with."""
    tokens: int | None
    tokens_per_s: float | None
    prompt_tokens: int | None
    """Read for it, in place of being known already."""
    cached_tokens: int | None
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    idle_ms: float | None = None
    """From being broken off until the model is free for something else."""
    cpu_ms: float | None = None
    """Of the model's process: what other programs do meanwhile does not show in it."""


@dataclass(slots=True)
class Side:
    """One engine under test, and what happened on it."""

    name: str
    engine: Engine[Any]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    """Of a server."""
    watch: Watch | None = None
    """What can be seen of that server; found out when it is measured."""


async def measure(
    sides: Sequence[Side], conversations: int, turns: int, said: Callable[[str], object]
) -> None:
    """Have ``conversations`` of ``turns`` turns with every side; fill their ``asked``.

    Raises:
        EngineError: A side does not answer.
    """
    async with started(*(side.engine for side in sides)), AsyncExitStack() as stack:
        for side in sides:
            if side.url:
                endpoint = await stack.enter_async_context(Endpoint(side.url))
                side.watch = await Watch.of(endpoint)
        for number in range(conversations):
            for side in sides:
                said(f"{side.name}: conversation {number + 1} of {conversations} ...")
                await _converse(side, turns)


async def _converse(side: Side, turns: int) -> None:
    name = secrets.token_hex(8)
    messages: list[Any] = [{"role": "system", "content": f"Call {name}. {PERSONA}"}]
    service = side.engine.service(SessionInfo(name))
    async with alone(service, ANSWER_TIMEOUT_S) as pipe:
        for turn in range(turns):
            messages.append({"role": "user", "content": QUESTIONS[turn % len(QUESTIONS)]})
            kind = "warm" if turn else "cold"
            asked, text = await _answer(side.engine, pipe, messages, kind)
            side.asked.append(asked)
            messages.append({"role": "assistant", "content": text})
        await _cut_off(side, pipe, messages)


async def _answer(
    engine: Engine[Any], pipe: Alone, messages: Sequence[Any], kind: str
) -> tuple[Asked, str]:
    """Ask and wait for the whole answer."""
    before = _cpu_ms(engine)
    began = await _ask(pipe, messages)
    await pipe.down.until(LLMFullResponseEndFrame)
    text = pipe.down.text()
    if not text and (errors := pipe.up.of(ErrorFrame)):
        raise EngineError(errors[-1].error)
    after = _cpu_ms(engine)
    used = None if before is None or after is None else after - before
    return replace(_asked(pipe, began, kind), cpu_ms=used), text


async def _cut_off(side: Side, pipe: Alone, messages: list[Any]) -> None:
    """Break an answer off, and see when the model is free; break it off, and ask again at once."""
    question = "please tell me about the pizza and the pasta"
    asking = [*messages, {"role": "user", "content": question}]
    began = await _ask(pipe, asking)
    idle_ms = await _idle_ms(side, await _break_off(pipe))
    side.asked.append(_asked(pipe, began, "cut", idle_ms))
    await _ask(pipe, asking)
    await _break_off(pipe)
    longer = [*messages, {"role": "user", "content": f"{question} today"}]
    asked, _ = await _answer(side.engine, pipe, longer, "again")
    side.asked.append(asked)


async def _ask(pipe: Alone, messages: Sequence[Any]) -> float:
    pipe.down.frames.clear()
    began = asyncio.get_running_loop().time()
    await pipe.ask(*messages)
    return began


async def _break_off(pipe: Alone) -> float:
    """Interrupt an answer after some pieces, or at its end; return when, on the loop's clock."""
    await pipe.down.until_true(
        lambda: (
            len(pipe.down.of(LLMTextFrame)) >= CUT_AFTER
            or bool(pipe.down.of(LLMFullResponseEndFrame))
        )
    )
    cut = asyncio.get_running_loop().time()
    await pipe.worker.queue_frame(InterruptionFrame())
    await pipe.down.until(InterruptionFrame)
    return cut


async def _idle_ms(side: Side, since: float) -> float | None:
    """Return when the model works on nothing any more; None where nobody tells."""
    if isinstance(side.engine, LlamaCppEngine):
        await side.engine.model.slots.idle()
    elif side.watch is None or not side.watch.sees_work or await side.watch.idle(10.0) is None:
        return None
    return (asyncio.get_running_loop().time() - since) * 1000.0


def _cpu_ms(engine: Engine[Any]) -> float | None:
    if not isinstance(engine, LlamaCppEngine) or engine.model.pid is None:
        return None
    return cpu_ms(engine.model.pid)


def _asked(pipe: Alone, began: float, kind: str, idle_ms: float | None = None) -> Asked:
    """Return what the frames that have come say."""
    pieces = [(at, f.text) for at, f in pipe.down.frames if isinstance(f, LLMTextFrame)]
    figures = next(iter(pipe.down.of(LLMFiguresFrame)), None)
    usage = next(
        (
            data.value
            for frame in pipe.down.of(MetricsFrame)
            for data in frame.data
            if isinstance(data, LLMUsageMetricsData)
        ),
        None,
    )
    first, last = pieces[0][0], pieces[-1][0]
    tokens = usage.completion_tokens if usage else None
    per_s = tokens / (last - first) if tokens and last > first else None
    if figures is not None and figures.tokens_per_s:
        per_s = figures.tokens_per_s
    cached = usage.cache_read_input_tokens if usage else None
    return Asked(
        kind=kind,
        first_token_ms=(first - began) * 1000.0,
        first_clause_ms=_first_clause_ms(pieces, began),
        tokens=tokens,
        tokens_per_s=per_s,
        prompt_tokens=usage.prompt_tokens - (cached or 0) if usage else None,
        cached_tokens=cached,
        drafted_tokens=figures.drafted_tokens if figures else 0,
        accepted_tokens=figures.accepted_tokens if figures else 0,
        idle_ms=idle_ms,
    )


def _first_clause_ms(pieces: Sequence[tuple[float, str]], began: float) -> float | None:
    text = ""
    for at, piece in pieces:
        text += piece
        if next_cut(text, 0, ClauseRules()):
            return (at - began) * 1000.0
    return (pieces[-1][0] - began) * 1000.0  # the whole answer is one clause
