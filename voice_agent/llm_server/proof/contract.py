"""The contract: what any OpenAI-compatible server has to do for a voice, one check each.

``check`` runs them against a running server and never raises for what the server does: everything
is a finding. Checks send what the engines send: streams, tools, thinking off, hanging up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from voice_agent.llm_server.proof.client import Answer, Endpoint, Malformed, Refused, ServerFault
from voice_agent.llm_server.proof.findings import Finding, Verdict
from voice_agent.llm_server.proof.watching import Watch

__all__ = ["CHECKS", "check"]

PERSONA = (
    "You are the host of a small Italian restaurant, on the telephone. Answer in one sentence."
)
QUESTIONS = ("Good evening.", "What kind of restaurant are you?", "May we bring our dog?")
LONG = "Count from one to one hundred in words, with a comma between the numbers, and do not stop."
HOURS = {
    "type": "function",
    "function": {
        "name": "opening_hours",
        "description": "When the restaurant is open on a date.",
        "parameters": {
            "type": "object",
            "properties": {"date": {"type": "string", "description": "As the caller says it."}},
            "required": ["date"],
        },
    },
}
OPEN = '{"say": "On Sunday we are open from noon to ten in the evening."}'
_THOUGHTS = ("<think>", "</think>")
_IDLE_WITHIN_S = 5.0
_SOON_MS = 250.0
"""A server that is busy for longer after a hang-up makes the next answer late."""

Check = Callable[[Endpoint, Watch], Awaitable[Finding]]


async def check(
    endpoint: Endpoint, said: Callable[[Finding], object] = lambda finding: None
) -> list[Finding]:
    """Run every check; ``said`` is told each finding as it is made."""
    watch = await Watch.of(endpoint)
    findings = []
    for name, run in CHECKS.items():
        try:
            finding = await run(endpoint, watch)
        except ServerFault as fault:
            finding = Finding(name, Verdict.FAILS, str(fault), _what_to_change(fault))
        findings.append(finding)
        said(finding)
    return findings


def conversation(*questions: str) -> list[dict[str, Any]]:
    """Return the persona and what was asked, in the form every check uses."""
    asked = [{"role": "user", "content": question} for question in questions]
    return [{"role": "system", "content": PERSONA}, *asked]


async def _models(endpoint: Endpoint, watch: Watch) -> Finding:
    names = await endpoint.models()
    return Finding("models", Verdict.OK, f"serves {', '.join(names)}")


async def _whole(endpoint: Endpoint, watch: Watch) -> Finding:
    answer = await endpoint.ask(conversation(QUESTIONS[0]), max_tokens=60, temperature=0)
    if not answer.text.strip():
        return Finding("whole answer", Verdict.FAILS, "it has no text", _NO_TEXT)
    return Finding("whole answer", Verdict.OK, f"{len(answer.text.split())} words")


async def _streaming(endpoint: Endpoint, watch: Watch) -> Finding:
    answer = await endpoint.stream(conversation(QUESTIONS[1]), max_tokens=60, temperature=0)
    if not answer.text.strip():
        return Finding("streaming", Verdict.FAILS, "the stream has no text", _NO_TEXT)
    words, pieces = len(answer.text.split()), answer.pieces
    found = f"{words} words in {pieces} pieces, the first after {answer.first_ms:.0f} ms"
    if words > 4 and pieces == 1:
        change = "have it stream token by token (trtllm-serve: stream_interval 1)"
        return Finding("streaming", Verdict.FAILS, "all of it came in one piece", change)
    if not answer.done:
        change = "clients that wait for it go on waiting until the connection is closed"
        return Finding("streaming", Verdict.LACKS, f"{found}; it ends without [DONE]", change)
    if words > 3 * pieces:
        change = "send every token at once: the voice waits for clauses (stream_interval 1)"
        return Finding("streaming", Verdict.LACKS, found, change)
    return Finding("streaming", Verdict.OK, found)


async def _usage(endpoint: Endpoint, watch: Watch) -> Finding:
    answer = await endpoint.stream(conversation(QUESTIONS[0]), max_tokens=4, temperature=0)
    if answer.tokens is None:
        change = "without stream_options.include_usage traces have no token counts"
        return Finding("usage", Verdict.LACKS, "the stream ends without a usage", change)
    if answer.tokens > 4:
        change = "answers cannot be bounded: see that max_tokens is heeded"
        return Finding("usage", Verdict.FAILS, f"{answer.tokens} tokens where 4 may be", change)
    return Finding("usage", Verdict.OK, f"told with the stream; max_tokens 4 gave {answer.tokens}")


async def _tools(endpoint: Endpoint, watch: Watch) -> Finding:
    asked = conversation("What time do you open on Sunday?")
    fields = {"tools": [HOURS], "max_tokens": 120, "temperature": 0}
    answer = await endpoint.stream(asked, **fields)
    if not answer.calls:
        change = "start it with the tool parser of its model (Nemotron: qwen3_coder)"
        written = " (a call written as text)" if "<tool_call>" in answer.text else ""
        return Finding("tools", Verdict.FAILS, f"the tool was not called{written}", change)
    call = answer.calls[0]
    if call.name != "opening_hours" or not call.id:
        found = f"the call has the name {call.name!r} and the id {call.id!r}"
        return Finding("tools", Verdict.FAILS, found, "see its tool parser")
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        found = f"the call's arguments are no JSON: {call.arguments[:80]}"
        return Finding("tools", Verdict.FAILS, found, "see its tool parser")
    done = [*asked, answer.message()]
    done += [{"role": "tool", "tool_call_id": each.id, "content": OPEN} for each in answer.calls]
    told = await endpoint.stream(done, **fields)
    if not told.text.strip():
        return Finding("tools", Verdict.FAILS, "nothing is said of the tool's result", _NO_TEXT)
    return Finding("tools", Verdict.OK, f"called with {arguments}, and its result was told")


async def _thinking(endpoint: Endpoint, watch: Watch) -> Finding:
    for question in QUESTIONS:
        answer = await endpoint.stream(conversation(question), max_tokens=80, temperature=0)
        if leak := leaked(answer):
            change = (
                "the template heeds no enable_thinking: start the server with the reasoning parser "
                "of its model (trtllm-serve: nemotron-v3), or set llm.starts_in_think"
            )
            return Finding("thinking off", Verdict.FAILS, leak, change)
    return Finding("thinking off", Verdict.OK, f"nothing leaked in {len(QUESTIONS)} answers")


def leaked(answer: Answer) -> str:
    """Return what of the model's reasoning is in an answer that was to have none; empty: none."""
    if answer.thought.strip():
        return f"it thought before it spoke ({len(answer.thought.split())} words of reasoning)"
    found = [tag for tag in _THOUGHTS if tag in answer.text]
    return f"{' and '.join(found)} in the text" if found else ""


async def _abort(endpoint: Endpoint, watch: Watch) -> Finding:
    """Hang up on a long answer, and see how soon nothing is worked on any more."""
    if not await hang_up(endpoint):
        found = "the answer ended before it could be hung up on"
        return Finding(
            "hanging up", Verdict.LACKS, found, "try with a model that answers at length"
        )
    if not watch.sees_work:
        await endpoint.stream(QUESTIONS[0], max_tokens=4, temperature=0)
        change = "its metrics do not tell how many requests run: look at its log instead"
        return Finding("hanging up", Verdict.LACKS, "whether it stops cannot be seen", change)
    busy_ms = await watch.idle(_IDLE_WITHIN_S)
    if busy_ms is None:
        change = "it writes on for nobody: update it, or use another way to abort"
        return Finding("hanging up", Verdict.FAILS, f"busy for {_IDLE_WITHIN_S:g} s more", change)
    found = f"idle after {busy_ms:.0f} ms"
    if busy_ms > _SOON_MS:
        change = (
            "every barge-in wastes that much (trtllm-serve looks once a second): "
            'llm.mode = "in-process" stops at once'
        )
        return Finding("hanging up", Verdict.LACKS, found, change)
    return Finding("hanging up", Verdict.OK, found)


async def hang_up(endpoint: Endpoint) -> bool:
    """Hang up in the middle of an answer; return whether it was still being written."""
    # What every runtime at hand understands, so that an answer of a few words goes on.
    asking: dict[str, Any] = {"max_tokens": 3000, "temperature": 0, "ignore_eos": True}
    try:
        return await _cut(endpoint, asking)
    except Refused:
        del asking["ignore_eos"]
        return await _cut(endpoint, asking)


async def _cut(endpoint: Endpoint, asking: dict[str, Any]) -> bool:
    async with endpoint.streaming(conversation(LONG), **asking) as (answer, pieces):
        seen = 0
        async for _ in pieces:
            seen += 1
            if seen == 3:
                return answer.finish is None
    return False


async def _prefix(endpoint: Endpoint, watch: Watch) -> Finding:
    asked = conversation(QUESTIONS[1])
    first = await endpoint.stream(asked, max_tokens=40, temperature=0)
    said = [*asked, first.message(), {"role": "user", "content": QUESTIONS[2]}]
    second = await endpoint.stream(said, max_tokens=8, temperature=0)
    if second.cached_tokens is None:
        found, change = "the server does not tell", "see its metrics for prefix cache hits"
        return Finding("prefix reuse", Verdict.LACKS, found, change)
    found = f"{second.cached_tokens} tokens of the second turn's prompt were known"
    if not second.cached_tokens:
        change = "turn its prefix cache on (trtllm-serve: kv_cache_config.enable_block_reuse)"
        return Finding("prefix reuse", Verdict.LACKS, found, change)
    return Finding("prefix reuse", Verdict.OK, found)


async def _together(endpoint: Endpoint, watch: Watch) -> Finding:
    alone = await endpoint.stream(conversation(QUESTIONS[0]), max_tokens=40, temperature=0)
    answers = await asyncio.gather(
        *(endpoint.stream(conversation(QUESTIONS[0]), max_tokens=40, temperature=0) for _ in "abc")
    )
    if any(answer.text != alone.text for answer in answers):
        # Sums come out in another order in a larger batch: no fault, but worth knowing.
        found = "greedy answers differ between one caller and three"
        return Finding("side by side", Verdict.LACKS, found, "expected on GPUs; see docs")
    slowest = max(answer.first_ms or 0.0 for answer in answers)
    return Finding("side by side", Verdict.OK, f"3 at once, first piece within {slowest:.0f} ms")


async def _errors(endpoint: Endpoint, watch: Watch) -> Finding:
    """A request nobody can answer is refused in words, and the next one is answered."""
    try:
        await endpoint.post({"model": endpoint.model, "messages": "none"})
    except Refused as refused:
        if not 400 <= refused.status < 500 or not refused.explained:
            found = f"a bad request is answered with {refused}"
            return Finding(
                "errors", Verdict.LACKS, found, "4xx with a reason in JSON would say why"
            )
        status = refused.status
    else:
        return Finding("errors", Verdict.LACKS, "a bad request is answered as if it were good")
    answer = await endpoint.stream(QUESTIONS[0], max_tokens=4, temperature=0)
    if not answer.text:
        return Finding("errors", Verdict.FAILS, "after a bad request it says nothing", _NO_TEXT)
    return Finding("errors", Verdict.OK, f"a bad request is refused ({status}), the next answered")


_NO_TEXT = "see the server's log; is its chat template the model's own?"

CHECKS: dict[str, Check] = {
    "models": _models,
    "whole answer": _whole,
    "streaming": _streaming,
    "usage": _usage,
    "tools": _tools,
    "thinking off": _thinking,
    "hanging up": _abort,
    "prefix reuse": _prefix,
    "side by side": _together,
    "errors": _errors,
}
"""By the names that findings carry."""


def _what_to_change(fault: ServerFault) -> str:
    match fault:
        case Refused(status=401 | 403):
            return "give its key: --api-key-env NAME"
        case Refused(status=404):
            return "the address ends in /v1; --model names one of GET /v1/models"
        case Refused(status=429):
            wait = f" (it says: again in {fault.retry_after} s)" if fault.retry_after else ""
            return f"it is at its limit{wait}: fewer conversations, or more room on the server"
        case Refused(status=status) if status >= 500:
            return "the server failed: see its log"
        case Refused():
            return "it takes no such request: see --reasoning server, and its log"
        case Malformed():
            return "a proxy in between that buffers or cuts? See the server's log"
        case _:
            return "is it running, and is the address right?"
