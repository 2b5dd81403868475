"""Where the milliseconds between two voices went: a turn's marks as segments that add up.

A segment holds only what was waited for: work that was done before the turn was decided costs
nothing here. Each ends where the next begins, the first begins at the zero point and the last ends
with the first sound, whatever the order of the marks, so they always sum to the turn's latency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from voice_agent.trace.assembly.marks import Answer, Closing, Marks, Release
from voice_agent.trace.model import Segment, Stage
from voice_agent.turns.settings import TurnSettings

_TIMER_MS = 10.0
"""A timer that rings so late is on time."""
_NEARLY_MS = 20.0
"""Evidence comes as close to the shortest and longest silence as this, and no closer."""


@dataclass(frozen=True, slots=True)
class _Part:
    stage: Stage
    name: str
    until: float | None
    """None: unknown, and the part is left out."""
    cause: str


def segments(marks: Marks, settings: TurnSettings) -> tuple[Segment, ...]:
    """Return the turn's segments; none as long as nothing of an answer has been heard."""
    if marks.first_sound is None or not marks.releases:
        return ()
    end = marks.first_sound
    made: list[Segment] = []
    cursor = 0.0
    for part in _parts(marks, settings):
        until = cursor if part.until is None else _ms(min(part.until, end) - marks.zero)
        if until > cursor:
            made.append(Segment(part.stage, part.name, _ms(until - cursor), cursor, part.cause))
            cursor = until
    return tuple(made)


def latency(marks: Marks) -> float | None:
    """Return the turn's voice-to-voice latency, ms, or None when nothing was heard."""
    if marks.first_sound is None or not marks.releases:
        return None
    return max(0.0, _ms(marks.first_sound - marks.zero))


def silence_cause(closing: Closing, settings: TurnSettings) -> str:
    """Say which setting or evidence asked for the silence that was waited."""
    evidence = [
        f"{name} {p:.2f}"
        for name, p in (("words", closing.words_p), ("sound", closing.sound_p))
        if p is not None
    ]
    said = ", ".join(evidence) or "no words and no sound to go by"
    if closing.words_p is None:
        bounds = ("no_words_floor_ms", "no_words_ms")
    else:
        bounds = ("floor_ms", "ceiling_ms")
    for key in bounds:
        value = getattr(settings, key)
        if abs(closing.needed_ms - value) < _NEARLY_MS:
            return f"turns.{key} {value:g} ({said})"
    return f"{said}: {closing.needed_ms:.0f} ms of silence asked"


def _parts(marks: Marks, settings: TurnSettings) -> Iterator[_Part]:
    assert marks.first_sound is not None
    end = marks.first_sound
    first = marks.releases[0]
    if marks.closing is not None:
        yield from _endpoint(marks, marks.closing, settings)
        yield _Part("asr_final", "final", first.at, _final_cause(marks, first, settings))
    # What came after the first sound was not waited for in silence: a filler was heard.
    releases = [first, *(release for release in marks.releases[1:] if release.at <= end)]
    for before, after in pairwise(releases):
        yield _given_up(marks.answers.get(before.tag), before, after)
    answer = marks.answers.get(releases[-1].tag)
    if answer is not None:
        for part in _answer(answer, releases[-1].at):
            if marks.filled is not None and (part.until is None or part.until >= end):
                waited_ms = marks.filled - first.at
                cause = f"not there {waited_ms:.0f} ms after the turn was decided: a filler is said"
                yield _Part(part.stage, part.name, end, cause)
                return
            yield part
    yield _Part("transport", "release", end - marks.lead_in_ms, "the grid of outgoing packets")
    cause = f"the synthesized audio begins with {marks.lead_in_ms:.0f} ms of silence"
    yield _Part("tts_first_audio", "lead-in", end, cause)


def _endpoint(marks: Marks, closing: Closing, settings: TurnSettings) -> Iterator[_Part]:
    if closing.trigger == "limit":
        yield _Part("endpoint", "limit", closing.at, f"turns.max_turn_ms {settings.max_turn_ms:g}")
        return
    if closing.trigger == "client":
        cause = "the client decides when the user has finished"
        yield _Part("endpoint", "client", closing.at, cause)
        return
    asked = marks.zero + closing.needed_ms
    on_time = closing.at - asked <= _TIMER_MS
    cause = silence_cause(closing, settings)
    yield _Part("endpoint", "silence", closing.at if on_time else asked, cause)
    late_ms = closing.at - marks.zero
    match closing.trigger:
        case "voice":
            yield _Part("transport", "receive", marks.received, "network jitter and its buffer")
            cause = f"the silence was noticed {late_ms:.0f} ms after it began"
            yield _Part("endpoint", "vad", closing.at, cause)
        case "words":
            words = "no words" if closing.words_p is None else f"words {closing.words_p:.2f}"
            cause = f"{words} came {late_ms:.0f} ms after the voice ended"
            yield _Part("endpoint", "words", closing.at, cause)
        case "sound":
            cause = f"sound {closing.sound_p or 0:.2f} came {late_ms:.0f} ms after the voice ended"
            yield _Part("endpoint", "turn model", closing.at, cause)
        case _:
            late_ms = closing.at - asked
            yield _Part("endpoint", "timer", closing.at, f"a timer rang {late_ms:.0f} ms late")


def _final_cause(marks: Marks, first: Release, settings: TurnSettings) -> str:
    asked = [ask for ask in marks.finals if ask.asked <= first.at]
    if not asked:
        return "the final transcript"
    last = asked[-1]
    if last.came is None or last.came > first.at + 1.0:
        return f"turns.final_wait_ms {settings.final_wait_ms:g}: no final transcript came"
    asked_ms = last.asked - marks.zero
    return (
        f"the final transcript, asked for after {asked_ms:.0f} ms of silence, "
        f"took {last.came - last.asked:.0f} ms"
    )


def _given_up(answer: Answer | None, before: Release, after: Release) -> _Part:
    if after.reason == "late final":
        waited_ms = after.at - before.at
        cause = f"a final transcript came {waited_ms:.0f} ms late and changed the words"
        return _Part("asr_final", "late final", after.at, cause)
    then = "an apology" if after.reason == "apology" else "asked again"
    spoke = answer is not None and answer.first_token is not None
    stage: Stage = "tts_first_audio" if spoke else "llm_first_token"
    return _Part(stage, "failed", after.at, f"the answer did not come: {then}")


def _answer(answer: Answer, released: float) -> Iterator[_Part]:
    if answer.said:
        yield _Part("tts_first_audio", "tts", answer.first_audio, "the agent's own line")
        return
    first_token = answer.first_token
    for call in answer.calls.values():
        if call.ended is not None and (first_token is None or call.ended <= first_token):
            yield _Part("llm_first_token", "llm", call.began, "the model decides to call a tool")
            cause = f"the answer waits for {call.name}"
            yield _Part("llm_first_token", f"tool:{call.name}", call.ended, cause)
    round_ = next((r for r in answer.rounds if r.first_token is not None), None)
    asked = round_.began if round_ is not None else answer.asked
    took = _took(asked, first_token)
    cause = f"first token {took} after it was asked for, {_ahead(released - asked)}"
    yield _Part("llm_first_token", "llm", first_token, cause)
    clause = answer.first_clause
    if first_token is not None:
        cause = f"first clause complete {_took(first_token, clause)} after the first token"
        yield _Part("llm_first_clause", "llm", clause, cause)
    asked = clause if clause is not None else answer.asked
    took = _took(asked, answer.first_audio)
    cause = f"first audio {took} after its clause, {_ahead(released - asked)}"
    yield _Part("tts_first_audio", "tts", answer.first_audio, cause)


def _took(began: float, ended: float | None) -> str:
    return f"{ended - began:.0f} ms" if ended is not None else "not"


def _ahead(ms: float) -> str:
    """Say when something began, ``ms`` before the turn was decided."""
    if ms > 0.5:
        return f"{ms:.0f} ms before the turn was decided"
    if ms < -0.5:
        return f"{-ms:.0f} ms after the turn was decided"
    return "when the turn was decided"


def _ms(value: float) -> float:
    return round(value, 1)
