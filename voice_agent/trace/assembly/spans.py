"""What ran beside the waiting: a turn's marks as spans, and what they cost as figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from voice_agent.trace.assembly.marks import Answer, Call, Marks
from voice_agent.trace.model import Attributes, Span

Outcome = Literal["hit", "miss", "dropped"]


def spans(marks: Marks, now: float) -> tuple[Span, ...]:
    """Return the turn's spans in the order they began; what still runs ends ``now``."""
    made = [*_hearing(marks, now), *_answers(marks, now)]
    if marks.first_sound is not None:
        ended = marks.stopped if marks.stopped is not None else marks.ended
        made.append(_span("agent", marks, marks.first_sound, ended, now))
    return tuple(sorted(made, key=lambda span: span.start_ms))


def figures(marks: Marks) -> dict[str, float]:
    """Return what the turn cost: tokens, speeds, guesses."""
    made = {"hits": 0.0, "misses": 0.0, "wasted_tokens": 0.0, "wasted_audio_ms": 0.0}
    made |= marks.figures
    answer = marks.answer
    if answer is None or answer.said:
        return made
    made["tokens"] = answer.tokens
    round_ = next((r for r in answer.rounds if r.first_token is not None), None)
    if round_ is not None and round_.first_token is not None:
        made["ttft_ms"] = _ms(round_.first_token - round_.began)
        took_ms = (round_.last_token or round_.first_token) - round_.first_token
        if round_.tokens > 1 and took_ms > 0:
            made["tokens_per_s"] = _ms((round_.tokens - 1) / took_ms * 1000.0)
    if answer.first_clause is not None and answer.first_audio is not None:
        made["ttfb_ms"] = _ms(answer.first_audio - answer.first_clause)
        if answer.clause_audio_ms > 0 and answer.clause_audio_at is not None:
            took_ms = answer.clause_audio_at - answer.first_clause
            made["rtf"] = round(took_ms / answer.clause_audio_ms, 3)
    made["audio_ms"] = _ms(answer.audio_ms)
    made |= answer.figures
    made["wasted_audio_ms"] = _ms(made["wasted_audio_ms"])
    offered, accepted = made.get("drafts_offered"), made.get("drafts_accepted")
    if offered and accepted is not None:
        made["acceptance"] = round(accepted / offered, 3)
    return made


def _hearing(marks: Marks, now: float) -> Iterator[Span]:
    for voice in marks.voices:
        yield _span("user", marks, voice.began, voice.ended, now)
    last = marks.voices[-1] if marks.voices else None
    if last is not None and last.ended is not None and last.noticed is not None:
        heard = marks.received if marks.received is not None else last.ended
        if heard > last.ended:
            yield _span("receive", marks, last.ended, heard, now)
        yield _span("vad", marks, min(heard, last.noticed), last.noticed, now)
    for final in marks.finals:
        yield _span("asr", marks, final.asked, final.came, now)
    for ask in marks.asks:
        silence = _ms(ask.asked - ask.about)
        attributes: dict[str, float] = {"silence_ms": silence}
        if ask.p is not None:
            attributes["end_p"] = round(ask.p, 3)
        yield _span("turn_model", marks, ask.asked, ask.came, now, attributes=attributes)


def _answers(marks: Marks, now: float) -> Iterator[Span]:
    for answer in marks.answers.values():
        released = answer.released if answer.released is not None else now
        early = answer.asked < released - 0.5
        outcome = _outcome(answer, early=early)
        revision = {"revision": answer.tag.revision}
        stopped = [at for at in (answer.dropped, marks.stopped, marks.ended) if at is not None]
        until = min([now, *stopped])
        for number, round_ in enumerate(answer.rounds, 1):
            attributes: dict[str, Any] = {**revision, "round": number, "tokens": round_.tokens}
            if round_.first_token is not None:
                attributes["ttft_ms"] = _ms(round_.first_token - round_.began)
            if answer.fallback:
                attributes["fallback"] = True
            if number == len(answer.rounds):
                attributes |= answer.figures
            yield _span("llm", marks, round_.began, round_.ended, until, early, outcome, attributes)
        if answer.first_clause is not None:
            attributes = {**revision, "clauses": answer.clauses, "audio_ms": _ms(answer.audio_ms)}
            if answer.first_audio is not None:
                attributes["ttfb_ms"] = _ms(answer.first_audio - answer.first_clause)
            ended = answer.synthesized if answer.synthesized is not None else answer.last_audio
            speculative = early and answer.first_clause < released
            yield _span(
                "tts", marks, answer.first_clause, ended, until, speculative, outcome, attributes
            )
        for call in answer.calls.values():
            yield _call(call, marks, until, early, outcome, revision)


def _call(
    call: Call,
    marks: Marks,
    until: float,
    early: bool,
    outcome: Outcome | None,
    attributes: Attributes,
) -> Span:
    attributes = {**attributes, "read_only": call.read_only}
    if call.failed:
        attributes = {**attributes, "failed": True}
    if call.ran is not None:
        attributes = {**attributes, "held_ms": _ms(call.ran - call.began)}
    return _span(
        f"tool:{call.name}", marks, call.began, call.ended, until, early, outcome, attributes
    )


def _outcome(answer: Answer, *, early: bool) -> Outcome | None:
    if answer.dropped is not None:
        return "miss" if answer.wrong else "dropped"
    return "hit" if early and answer.released is not None else None


def _span(
    name: str,
    marks: Marks,
    began: float,
    ended: float | None,
    otherwise: float,
    speculative: bool = False,
    outcome: Outcome | None = None,
    attributes: Attributes | None = None,
) -> Span:
    start_ms = _ms(began - marks.zero)
    end_ms = _ms((ended if ended is not None else otherwise) - marks.zero)
    return Span(name, start_ms, max(start_ms, end_ms), speculative, outcome, attributes or {})


def _ms(value: float) -> float:
    return round(value, 1)
