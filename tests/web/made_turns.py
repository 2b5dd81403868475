"""Invented talks, richer than a test of one thing needs: for looks, odd cases and great numbers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.trace.test_store import writing
from voice_agent.trace.model import STAGES, Event, Run, Segment, Session, Span, Turn, Verdict, Words

BUDGETS: dict[Any, float] = {
    "endpoint": 250.0,
    "asr_final": 60.0,
    "llm_first_token": 150.0,
    "llm_first_clause": 80.0,
    "tts_first_audio": 120.0,
    "transport": 40.0,
    "voice_to_voice": 500.0,
}
RUNS = ("run-1", "run-2")
TALK = [
    ("what time do you open on sunday", "On Sunday we are open from noon to ten o'clock."),
    ("a table for four tomorrow at seven", "I have booked a table for four people tomorrow."),
    ("how much is the lasagna", "The lasagna is thirteen euros."),
    ("do you have parking", "There is a car park behind the house. It is free for our guests."),
]
CAUSES = {
    "endpoint": "turns.floor_ms 130 (words 0.91)",
    "asr_final": "the final transcript, asked for after 130 ms of silence, took 38 ms",
    "llm_first_token": "first token 96 ms after it was asked for, when the turn was decided",
    "llm_first_clause": "first clause complete 51 ms after the first token",
    "tts_first_audio": "first audio 80 ms after its clause",
    "transport": "the grid of outgoing packets",
}
WAITED_ON_A_MISS = ("asr_final", "llm_first_token", "llm_first_clause")
"""Stages that a right guess hides."""


def made_turns(count: int, *, now: float, seed: int = 7) -> list[Turn]:
    """Return turns, oldest first: of some sessions, two runs, two pipelines, every kind."""
    dice = random.Random(seed)
    turns: list[Turn] = []
    at = now - count * 12.0
    while len(turns) < count:
        session = f"{dice.getrandbits(48):012x}"
        run = RUNS[len(turns) > count / 2]
        for turn in range(dice.randint(3, 9)):
            at += dice.uniform(4, 20)
            turns.append(_turn(dice, session, turn, run, min(at, now)))
    return turns[:count]


def write(path: Path, turns: list[Turn]) -> None:
    """Write turns and their sessions into a new file, as the processes of their runs would have."""
    for name in RUNS:
        own = [turn for turn in turns if turn.run == name]
        began = own[0].started_at if own else 0.0
        with writing(path, run=Run(name, "embedded", "0.1.0", began)) as store:
            for session in _sessions(own):
                store.session(session)
            for turn in own:
                store.turn(turn)


def _sessions(turns: list[Turn]) -> Iterator[Session]:
    for first in {turn.session: turn for turn in reversed(turns)}.values():
        last = max(turn.started_at for turn in turns if turn.session == first.session)
        of = (first.session, first.run, first.pipeline, first.transport, first.started_at)
        yield Session(*of, ended_at=last + 9.0, reason="gone")


def _turn(dice: random.Random, session: str, number: int, run: str, at: float) -> Turn:
    kinds = ["answered", "interrupted", "failed", "typed"]
    kind: Any = dice.choices(kinds, [86, 8, 2, 4])[0] if number else "greeting"
    said, answer = dice.choice(TALK)
    hit = dice.random() < 0.7
    turn = Turn(
        id=f"{session}-{number}",
        session=session,
        turn=number,
        revision=1 if hit else 2,
        run=run,
        pipeline="openai" if run == RUNS[0] and session[0] < "4" else "embedded",
        transport=["webrtc", "twilio", "websocket"][int(session[1], 16) % 3],
        started_at=round(at, 3),
        kind=kind,
        ended_ms=3000.0,
        words=Words("" if kind == "greeting" else said, answer, answer),
        figures=_figures(dice, hit),
    )
    if kind in ("greeting", "failed"):
        return turn
    segments = tuple(_waits(dice, kind, hit, slow=1.25 if run == RUNS[0] else 1.0))
    v2v = round(sum(segment.ms for segment in segments), 1)
    heard = " ".join(answer.split()[: dice.randint(2, 5)]) if kind == "interrupted" else answer
    voices = (
        Span("user", -round(dice.uniform(900, 2200), 1), 0.0),
        Span("agent", v2v, v2v + 60.0 * len(heard)),
    )
    return _judged(
        replace(
            turn,
            v2v_ms=v2v,
            segments=segments,
            spans=(*voices, *_spans(dice, v2v, hit)),
            events=tuple(sorted(_events(dice, v2v, hit), key=lambda event: event.at_ms)),
            words=Words(said, answer, heard),
        )
    )


def _waits(dice: random.Random, kind: str, hit: bool, slow: float) -> Iterator[Segment]:
    cursor = 0.0
    for stage in STAGES:
        hidden = hit and stage in WAITED_ON_A_MISS
        if hidden or (kind == "typed" and stage in ("endpoint", "asr_final")):
            continue
        ms = round(BUDGETS[stage] * 0.62 * slow * dice.lognormvariate(0, 0.35), 1)
        yield Segment(stage, stage, ms, round(cursor, 1), CAUSES[stage])
        cursor += ms


def _judged(turn: Turn) -> Turn:
    over = {stage: ms - BUDGETS[stage] for stage, ms in turn.stages().items()}
    guilty = max(over, key=lambda stage: over[stage])
    missed = over[guilty] > 0
    return turn.judged(Verdict("missed" if missed else "ok", guilty if missed else None, BUDGETS))


def _spans(dice: random.Random, v2v: float, hit: bool) -> Iterator[Span]:
    """One guess that was dropped, and one that held or an answer that came late."""
    yield Span("llm", -500.0, -310.0, True, "dropped", {"revision": 1, "tokens": 9})
    yield Span("tts", -330.0, -190.0, True, "dropped")
    if hit:
        yield Span("llm", -90.0, 70.0, True, "hit", {"revision": 2, "tokens": 14})
        yield Span("tts", 10.0, round(v2v - 20, 1), True, "hit")
    else:
        yield Span("llm", round(v2v * 0.4, 1), round(v2v * 0.9, 1))
        yield Span("tts", round(v2v * 0.7, 1), round(v2v + 900, 1))
    yield Span("turn_model", 20.0, 78.0, attributes={"silence_ms": 20.0, "end_p": 0.64})
    yield Span("turn_model", 110.0, 160.0, attributes={"silence_ms": 110.0, "end_p": 0.93})
    yield Span("asr", 20.0, 60.0)
    if dice.random() < 0.2:
        yield Span("tool:book_table", round(v2v * 0.5, 1), round(v2v * 0.6, 1))


def _events(dice: random.Random, v2v: float, hit: bool) -> Iterator[Event]:
    for at in (-820, -610, -380, -150, -40):
        yield Event("partial", round(at + dice.uniform(-30, 30), 1))
    yield Event("speculation.start", -500.0, {"revision": 1})
    yield Event("speculation.miss", -180.0, {"words": 2})
    if hit:
        yield Event("speculation.start", -90.0, {"revision": 2})
        yield Event("speculation.hit", round(v2v - 30, 1), {"revision": 2})
    if v2v > BUDGETS["voice_to_voice"]:
        yield Event("budget.miss", BUDGETS["voice_to_voice"], {"action": "filler"})
    if dice.random() < 0.2:
        yield Event("duck", round(v2v + 700, 1))
        yield Event("barge_in", round(v2v + 900, 1), {"words": 3})


def _figures(dice: random.Random, hit: bool) -> dict[str, float]:
    return {
        "tokens": float(dice.randint(8, 40)),
        "tokens_per_s": round(dice.uniform(40, 90), 1),
        "drafts_offered": 24.0,
        "drafts_accepted": 15.0,
        "acceptance": 0.625,
        "rtf": 0.083,
        "loop_lag_ms": round(dice.uniform(0.2, 4), 1),
        "hits": float(hit),
        "misses": float(not hit),
        "wasted_tokens": 0.0 if hit else 9.0,
        "wasted_audio_ms": 0.0 if hit else 640.0,
    }
