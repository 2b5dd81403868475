"""Invented turns in the shape of the trace API: for looks, odd cases and great numbers."""

from __future__ import annotations

import random
from typing import Any

BUDGETS = {
    "endpoint": 250.0,
    "asr_final": 60.0,
    "llm_first_token": 150.0,
    "llm_first_clause": 80.0,
    "tts_first_audio": 120.0,
    "transport": 40.0,
}
TOTAL_MS = 500.0
TALK = [
    ("what time do you open on sunday", "On Sunday we are open from noon to ten o'clock."),
    ("a table for four tomorrow at seven", "I have booked a table for four people tomorrow."),
    ("how much is the lasagna", "The lasagna is thirteen euros."),
    ("do you have parking", "There is a car park behind the house. It is free for our guests."),
]
CAUSES = {
    "endpoint": "turns.floor_ms: the words looked complete",
    "asr_final": "the recogniser's last word",
    "llm_first_token": "the model had not been asked before",
    "llm_first_clause": "words up to the first clause",
    "tts_first_audio": "the first clause in sound",
    "transport": "the next packet of 20 ms",
}


def made_turns(count: int, *, now: float, seed: int = 7) -> list[dict[str, Any]]:
    """Return turns, oldest first: of some sessions, two runs, two pipelines, every kind."""
    dice = random.Random(seed)
    turns: list[dict[str, Any]] = []
    number = 0
    at = now - count * 12.0
    while len(turns) < count:
        number += 1
        session = f"{dice.getrandbits(48):012x}"
        run = "run-2" if len(turns) > count / 2 else "run-1"
        for turn in range(dice.randint(3, 9)):
            at += dice.uniform(4, 20)
            turns.append(_turn(dice, session, turn, run, min(at, now)))
    return turns[:count]


def _turn(dice: random.Random, session: str, turn: int, run: str, at: float) -> dict[str, Any]:
    kind = (
        "greeting"
        if turn == 0
        else dice.choices(["answered", "interrupted", "failed", "typed"], [86, 8, 2, 4])[0]
    )
    said, answer = dice.choice(TALK)
    slow = 1.25 if run == "run-1" else 1.0
    segments: list[dict[str, Any]] = []
    cursor = 0.0
    hit = dice.random() < 0.7
    for stage, budget in BUDGETS.items():
        if kind == "typed" and stage in ("endpoint", "asr_final"):
            continue
        if hit and stage in ("asr_final", "llm_first_token", "llm_first_clause"):
            continue
        ms = round(budget * 0.62 * slow * dice.lognormvariate(0, 0.35), 1)
        segments.append(
            {
                "stage": stage,
                "name": stage,
                "ms": ms,
                "start_ms": round(cursor, 1),
                "cause": CAUSES[stage],
                "budget_ms": budget,
            }
        )
        cursor += ms
    measured = kind in ("answered", "interrupted", "typed")
    v2v = round(cursor, 1) if measured else None
    over = [s for s in segments if s["ms"] > s["budget_ms"]]
    missed = measured and (bool(over) or cursor > TOTAL_MS)
    guilty = max(over, key=lambda s: s["ms"] - s["budget_ms"])["stage"] if over else None
    if missed and guilty is None:
        guilty = max(segments, key=lambda s: float(s["ms"]))["stage"]
    heard = answer if kind != "interrupted" else " ".join(answer.split()[: dice.randint(2, 5)])
    spans, events = _parallel(dice, cursor, hit)
    for name, start, end in (
        ("user", -dice.uniform(900, 2200), 0),
        ("agent", cursor, cursor + 60 * len(heard)),
    ):
        spans.append(
            {
                "name": name,
                "start_ms": round(start, 1),
                "end_ms": round(end, 1),
                "speculative": False,
                "outcome": None,
                "attributes": {},
            }
        )
    return {
        "id": f"{session}-{turn}",
        "session": session,
        "turn": turn,
        "revision": 1 + (not hit),
        "run": run,
        "pipeline": "openai" if run == "run-1" and session[0] < "4" else "embedded",
        "transport": ["webrtc", "twilio", "websocket"][int(session[1], 16) % 3],
        "caller": None,
        "started_at": round(at, 3),
        "kind": kind,
        "verdict": ("missed" if missed else "ok") if measured else None,
        "guilty": guilty if missed else None,
        "v2v_ms": v2v,
        "budgets": {**BUDGETS, "voice_to_voice": TOTAL_MS} if measured else {},
        "segments": segments if measured else [],
        "spans": spans if measured else [],
        "events": events if measured else [],
        "figures": {
            "tokens": dice.randint(8, 40),
            "tokens_per_s": round(dice.uniform(40, 90), 1),
            "drafts_offered": 24,
            "drafts_accepted": 15,
            "acceptance": 0.63,
            "rtf": 0.08,
            "loop_lag_ms": round(dice.uniform(0.2, 4), 1),
            "hits": int(hit),
            "misses": int(not hit),
            "wasted_tokens": 0 if hit else 9,
            "wasted_audio_ms": 0.0 if hit else 640.0,
        },
        "words": {"user": "" if kind == "greeting" else said, "agent": answer, "heard": heard},
        "audio": None,
    }


def _parallel(
    dice: random.Random, v2v: float, hit: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What ran beside the waits: one guess that was dropped, and one that held or a late answer."""
    spans: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []

    def span(name: str, start: float, end: float, outcome: str | None, guess: bool = True) -> None:
        spans.append(
            {
                "name": name,
                "start_ms": round(start, 1),
                "end_ms": round(end, 1),
                "speculative": guess,
                "outcome": outcome,
                "attributes": {"revision": 1, "tokens": 9} if name == "llm" else {},
            }
        )

    for at in (-820, -610, -380, -150, -40):
        events.append({"name": "partial", "at_ms": at + dice.uniform(-30, 30), "attributes": {}})
    events.append({"name": "speculation.start", "at_ms": -500.0, "attributes": {"revision": 1}})
    span("llm", -500, -310, "dropped")
    span("tts", -330, -190, "dropped")
    events.append({"name": "speculation.miss", "at_ms": -180.0, "attributes": {"words": 2}})
    if hit:
        events.append({"name": "speculation.start", "at_ms": -90.0, "attributes": {"revision": 2}})
        span("llm", -90, 70, "hit")
        span("tts", 10, v2v - 20, "hit")
        events.append({"name": "speculation.hit", "at_ms": v2v - 30, "attributes": {"revision": 2}})
    else:
        span("llm", v2v * 0.4, v2v * 0.9, None, False)
        span("tts", v2v * 0.7, v2v + 900, None, False)
    span("turn_model", 20, 78, None, False)
    span("turn_model", 110, 160, None, False)
    span("asr", -1400, 60, None, False)
    if v2v > TOTAL_MS:
        events.append(
            {"name": "budget.miss", "at_ms": TOTAL_MS, "attributes": {"action": "filler"}}
        )
    if dice.random() < 0.2:
        span("tool:book_table", v2v * 0.5, v2v * 0.6, None, False)
        events.append({"name": "tool", "at_ms": v2v * 0.5, "attributes": {"name": "book_table"}})
    if dice.random() < 0.2:
        events.append({"name": "duck", "at_ms": v2v + 700, "attributes": {}})
        events.append({"name": "barge_in", "at_ms": v2v + 900, "attributes": {"words": 3}})
    for event in events:
        event["at_ms"] = round(event["at_ms"], 1)
    return spans, sorted(events, key=lambda e: float(e["at_ms"]))
