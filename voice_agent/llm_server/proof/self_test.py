"""The self-test: what speeds a server up changes nothing it says, and is really in force.

The same greedy questions are put to the server twice: once started plainly, without drafts and
without reuse of prompts (``references``), once as it is to run (``self_test``). On a GPU sums come
out in another order when several tokens are checked at once, so where two words were as good as
tied either may be written: such a place is counted, and is no difference. Anywhere else a
difference is a fault of the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_agent.llm.server_figures import Drafts
from voice_agent.llm_server.proof.client import Answer, Endpoint, Message, ServerFault
from voice_agent.llm_server.proof.contract import conversation, hang_up, leaked
from voice_agent.llm_server.proof.findings import Finding, Verdict
from voice_agent.llm_server.proof.watching import Watch

__all__ = ["COLD", "Configured", "Reference", "compare", "draft_finding", "references", "self_test"]

QUESTIONS = (
    "Good evening, what kind of restaurant are you?",
    "I would like a table for four people tomorrow at seven.",
    "Is there anything without meat?",
    "May we bring our dog, and is there a garden?",
    "Where are you, and can one park there?",
    "Please count from one to twenty.",
)
"""Put one by one, and once more as one conversation."""
TIE = 0.25
"""Two words are as good as tied within this, nats: bfloat16 logits around 20 are 0.125 apart."""
COLD: Mapping[str, dict[str, Any]] = {
    "llamacpp": {"cache_prompt": False},
    "trtllm": {"cache_salt": "cold"},
    "vllm": {"cache_salt": "cold"},
    "sglang": {},
}
"""Fields of a request that keep the runtime from reusing a prompt; empty where it knows none."""
_TOKENS = 96
_STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Configured:
    """What the server was started with."""

    draft: int = 0
    """Tokens drafted a step; 0 for none."""
    reuse: bool = True
    acceptance: float = 0.3
    """Share of drafted tokens below which drafting costs more than it gains."""
    cold: Mapping[str, Any] | None = None
    """See ``COLD``."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An answer of the plainly started server."""

    text: str
    margins: list[tuple[int, float]]
    """For each token: where it ends in the text, and by how much it was the best, nats."""


async def references(endpoint: Endpoint) -> list[Reference]:
    """Return the answers of a server without drafts and without reuse.

    Raises:
        ServerFault: It does not answer.
    """
    told = []
    for asked in _single():
        told.append(_reference(await _ask(endpoint, asked, logprobs=True)))
    messages: list[Message] = []
    for question in QUESTIONS:
        messages = [*(messages or conversation()), {"role": "user", "content": question}]
        answer = await _ask(endpoint, messages, logprobs=True)
        messages.append({"role": "assistant", "content": answer.text})
        told.append(_reference(answer))
    return told


async def self_test(
    endpoint: Endpoint, configured: Configured, plain: Sequence[Reference] | None
) -> list[Finding]:
    """Check a server that runs as configured.

    Args:
        endpoint: The server.
        configured: What it was started with.
        plain: What it said when it was started plainly; None leaves that comparison out.

    Raises:
        ServerFault: It does not answer at all.
    """
    watch = await Watch.of(endpoint)
    answers: list[Answer] = []

    async def singles() -> list[Answer]:
        for asked in _single():
            answers.append(await _ask(endpoint, asked))
        return answers

    drafts = await watch.drafts(singles)
    talk, known = await _talk(endpoint, plain)
    findings = []
    if plain is not None:
        findings.append(_drafting(answers, plain[: len(QUESTIONS)], configured))
        findings.append(await _reuse(endpoint, talk, plain[len(QUESTIONS) :], known, configured))
    findings.append(draft_finding(drafts, configured))
    findings.append(_thoughts([*answers, *talk]))
    findings.append(await _stops(endpoint, watch))
    return findings


def _single() -> list[list[Message]]:
    return [conversation(question) for question in QUESTIONS]


async def _ask(endpoint: Endpoint, messages: Sequence[Message], **fields: Any) -> Answer:
    asking: dict[str, Any] = {"max_tokens": _TOKENS, "temperature": 0, **fields}
    if fields.get("logprobs"):
        asking["top_logprobs"] = 2
    try:
        return await endpoint.stream(messages, **asking)
    except ServerFault:
        if not fields.get("logprobs"):
            raise
        # Not every server tells them; without them no place counts as tied.
        return await endpoint.stream(messages, max_tokens=_TOKENS, temperature=0)


async def _talk(
    endpoint: Endpoint, plain: Sequence[Reference] | None
) -> tuple[list[Answer], int | None]:
    """Have one conversation, along the plain server's answers; return also the tokens known."""
    messages: list[Message] = conversation()
    talk: list[Answer] = []
    known: int | None = None
    for number, question in enumerate(QUESTIONS):
        messages.append({"role": "user", "content": question})
        answer = await _ask(endpoint, messages)
        talk.append(answer)
        if answer.cached_tokens is not None and number:
            known = (known or 0) + answer.cached_tokens
        text = plain[len(QUESTIONS) + number].text if plain is not None else answer.text
        messages.append({"role": "assistant", "content": text})
    return talk, known


def _reference(answer: Answer) -> Reference:
    margins, end = [], 0
    for token in answer.logprobs:
        end += len(token.get("token") or "")
        best = sorted((each["logprob"] for each in token.get("top_logprobs") or []), reverse=True)
        margins.append((end, best[0] - best[1] if len(best) > 1 else float("inf")))
    return Reference(answer.text, margins)


def compare(said: str, plain: Reference) -> str | None:
    """Return where an answer departs from the plain one; "tie" where two words were tied there;
    None where it is the same."""
    if said == plain.text:
        return None
    at = next(
        (n for n, (a, b) in enumerate(zip(said, plain.text, strict=False)) if a != b),
        min(len(said), len(plain.text)),
    )
    margin = next((margin for end, margin in plain.margins if end > at), None)
    if margin is not None and margin <= TIE:
        return "tie"
    return (
        f"{plain.text[:at][-20:]!r} is followed by {said[at:][:20]!r}, not {plain.text[at:][:20]!r}"
    )


def _compared(
    check: str, answers: Sequence[Answer], plain: Sequence[Reference], change: str
) -> Finding:
    outcomes = [compare(a.text, b) for a, b in zip(answers, plain, strict=True)]
    differ = [outcome for outcome in outcomes if outcome not in (None, "tie")]
    same = sum(outcome is None for outcome in outcomes)
    if differ:
        found = f"{len(differ)} of {len(outcomes)} answers differ: {differ[0]}"
        return Finding(check, Verdict.FAILS, found, change)
    ties = f", {len(outcomes) - same} part where two words were tied" * (same < len(outcomes))
    return Finding(check, Verdict.OK, f"{same} of {len(outcomes)} answers identical{ties}")


def _drafting(
    answers: Sequence[Answer], plain: Sequence[Reference], configured: Configured
) -> Finding:
    change = (
        f"drafting changes what is said: --draft 0, or another version (draft {configured.draft})"
        if configured.draft
        else "the same server answers differently when asked again: see its sampling defaults"
    )
    return _compared("drafts change nothing", answers, plain, change)


async def _reuse(
    endpoint: Endpoint,
    talk: Sequence[Answer],
    plain: Sequence[Reference],
    known: int | None,
    configured: Configured,
) -> Finding:
    check = "reuse changes nothing"
    finding = _compared(check, talk, plain, "")
    if finding.verdict is Verdict.FAILS:
        # Asked anew without reuse: does the difference stay, then it is none of reuse's.
        cold = await _cold(endpoint, plain, configured.cold) if configured.cold else None
        if cold is not None and _compared(check, cold, plain, "").verdict is Verdict.FAILS:
            change = "without reuse it differs too: see the drafts, or the sampling defaults"
        else:
            change = "reused states are wrong: --reuse off, or another version"
        return Finding(check, Verdict.FAILS, finding.found, change)
    if configured.reuse and known == 0:
        found = "nothing of any prompt was reused, though it is switched on"
        change = "does this version snapshot recurrent states? See its log, or --reuse off"
        return Finding(check, Verdict.LACKS, found, change)
    told = f"; {known} tokens of later turns were known" if known else ""
    return Finding(check, finding.verdict, finding.found + told)


async def _cold(
    endpoint: Endpoint, plain: Sequence[Reference], fields: Mapping[str, Any]
) -> list[Answer]:
    messages: list[Message] = conversation()
    talk = []
    for question, reference in zip(QUESTIONS, plain, strict=True):
        messages.append({"role": "user", "content": question})
        talk.append(await _ask(endpoint, messages, **fields))
        messages.append({"role": "assistant", "content": reference.text})
    return talk


def draft_finding(drafts: Drafts | None, configured: Configured) -> Finding:
    """Judge the drafts of the questions by what was configured. Pure."""
    check = "drafts as configured"
    if drafts is None:
        change = "switch its metrics on (trtllm-serve: return_perf_metrics) to see it"
        return Finding(check, Verdict.LACKS, "the server tells nothing of its drafts", change)
    if not configured.draft:
        if drafts.drafted:
            found = f"{drafts.drafted} tokens were drafted, and none should be"
            return Finding(check, Verdict.FAILS, found, "see its speculative settings")
        return Finding(check, Verdict.OK, "none, as configured")
    if not drafts.drafted:
        change = "is there a drafting head in this checkpoint, and does its log say it is used?"
        return Finding(check, Verdict.FAILS, "nothing was drafted", change)
    length, kept = drafts.length, drafts.acceptance or 0.0
    if length is not None and abs(length - configured.draft) > 0.5:
        change = (
            "the version reads another setting (TensorRT-LLM: num_nextn_predict_layers before 1.3, "
            "max_draft_len since): name the version with --runtime-version"
        )
        found = f"{length:.2f} tokens a step, {configured.draft} configured"
        return Finding(check, Verdict.FAILS, found, change)
    told = drafts.tokens_per_step
    per_step = f", {told:.2f} tokens a step" if told is not None else ""
    drafted = f"{length:.2f} drafted a step" if length is not None else f"{drafts.drafted} drafted"
    found = f"{drafted}, {kept:.0%} kept{per_step}"
    if kept < configured.acceptance:
        change = f"below {configured.acceptance:.0%} drafting costs more than it gains: --draft 1"
        return Finding(check, Verdict.LACKS, found, change)
    return Finding(check, Verdict.OK, found)


def _thoughts(answers: Sequence[Answer]) -> Finding:
    check = "no thoughts"
    leaks = [leak for answer in answers if (leak := leaked(answer))]
    if leaks:
        change = "see its reasoning parser, and that the chat template is the model's own"
        return Finding(check, Verdict.FAILS, f"{leaks[0]} ({len(leaks)} answers)", change)
    return Finding(check, Verdict.OK, f"none in {len(answers)} answers")


async def _stops(endpoint: Endpoint, watch: Watch) -> Finding:
    check = "stops when cancelled"
    cut = await hang_up(endpoint)
    if not watch.sees_work:
        change = "its metrics do not tell how many requests run"
        return Finding(check, Verdict.LACKS, "cannot be seen from outside", change)
    busy_ms = await watch.idle(_STOP_WITHIN_S)
    if busy_ms is None:
        change = 'it writes on for nobody: another version, or llm.mode = "in-process"'
        return Finding(check, Verdict.FAILS, f"busy for {_STOP_WITHIN_S:g} s more", change)
    if not cut:
        return Finding(check, Verdict.LACKS, "the answer ended before it could be cancelled")
    return Finding(check, Verdict.OK, f"idle {busy_ms:.0f} ms after the connection was closed")
