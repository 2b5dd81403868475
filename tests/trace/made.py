"""Turns made up for tests: plausible, and the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from voice_agent.trace.model import Event, Segment, Session, Span, Turn, Verdict, Words

BEGAN = 1_700_000_000.0


def a_turn(number: int = 1, **changes: Any) -> Turn:
    """Return one answered turn of 250 ms."""
    session = changes.pop("session", "s1")
    v2v_ms = changes.pop("v2v_ms", 250.0)
    made: dict[str, Any] = {
        "id": f"{session}-{number}",
        "session": session,
        "turn": number,
        "revision": 1,
        "run": "r1",
        "pipeline": "fixed-latency",
        "transport": "webrtc",
        "started_at": BEGAN + number,
        "kind": "answered",
        "v2v_ms": v2v_ms,
        "ended_ms": 3000.0,
        "segments": (
            Segment("endpoint", "silence", 130.0, 0.0, "turns.floor_ms 130"),
            Segment("llm_first_token", "llm", (v2v_ms or 250.0) - 130.0, 130.0, "first token"),
        ),
        "spans": (Span("llm", -100.0, 220.0, True, "hit", {"tokens": 12}),),
        "events": (Event("release", 130.0, {"revision": 1}),),
        "figures": {"hits": 1.0, "misses": 0.0, "tokens": 12.0},
        "words": Words("a secret", "kept", "kept"),
    }
    return Turn(**{**made, **changes})


def a_session(name: str = "s1", **changes: Any) -> Session:
    """Return a session that goes on."""
    made: dict[str, Any] = {
        "id": name,
        "run": "r1",
        "pipeline": "fixed-latency",
        "transport": "webrtc",
        "started_at": BEGAN,
    }
    return Session(**{**made, **changes})


def many(count: int, seed: int = 1) -> Iterator[Turn]:
    """Yield ``count`` turns of many sessions, two runs and two transports, over a month."""
    draw = random.Random(seed)
    budgets: Any = {"endpoint": 250.0, "llm_first_token": 100.0, "voice_to_voice": 400.0}
    for number in range(count):
        parts = (
            ("endpoint", "silence", draw.gauss(180, 40)),
            ("asr_final", "final", draw.expovariate(1 / 20)),
            ("llm_first_token", "llm", draw.expovariate(1 / 60)),
            ("tts_first_audio", "tts", draw.expovariate(1 / 30)),
            ("transport", "release", draw.uniform(0, 20)),
        )
        cursor, segments = 0.0, []
        for stage, name, drawn in parts:
            ms = round(max(1.0, drawn), 1)
            segments.append(Segment(stage, name, ms, round(cursor, 1), f"{name} {ms}"))  # type: ignore[arg-type]
            cursor += ms
        v2v_ms = round(cursor, 1)
        missed = v2v_ms > budgets["voice_to_voice"]
        yield a_turn(
            number % 20,
            session=f"s{number // 20}",
            run=f"r{number * 2 // count}",
            transport=draw.choice(["webrtc", "twilio"]),
            started_at=BEGAN + number * 26.0,
            kind=draw.choices(["answered", "interrupted", "typed"], [8, 1, 1])[0],
            v2v_ms=v2v_ms,
            segments=tuple(segments),
            spans=tuple(Span("llm", float(n), n + 50.0, True, "hit") for n in range(6)),
            events=tuple(Event("partial", float(n), {"words": n}) for n in range(15)),
            words=None,
        ).judged(Verdict("missed" if missed else "ok", "endpoint" if missed else None, budgets))
