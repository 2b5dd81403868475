"""One simulated caller in one call: it says what the scenario says, and notes what came of it."""

from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from voice_agent.load import wire
from voice_agent.load.errors import Busy, CallError, Lost, NoAnswer, Unreachable
from voice_agent.load.fleet.casts import Cast
from voice_agent.load.fleet.records import CallRecord, ErrorKind, TurnRecord
from voice_agent.load.fleet.scenario import Scenario, ScenarioTurn
from voice_agent.load.measure import ANSWER_S, BARGE_IN_S, SCRIPT_AHEAD_S
from voice_agent.load.playlist import Item
from voice_agent.load.speaking import Said, Speaking

GAP_S = 0.02
STALL_S = 0.06
"""A browser's play-out buffer bridges what is shorter."""
GREETING_S = 4.0


@dataclass(frozen=True, slots=True)
class Part:
    """What one caller does in one call."""

    scenario: Scenario
    cast: Cast
    dice: random.Random
    until_s: float
    """No further turn is begun after this, monotonic seconds."""


async def converse(speaking: Speaking, part: Part, record: CallRecord) -> CallRecord:
    """Hold one call from dialling to hanging up; return its record, whatever happened."""
    dialled_s = speaking.now()
    turns: list[TurnRecord] = []
    made = record
    whole = False
    try:
        async with speaking:
            made = replace(made, connect_ms=(speaking.now() - dialled_s) * 1000)
            whole = await _turns(speaking, part, turns)
    except CallError as error:
        made = replace(made, error=_kind(error), what=str(error))
    heard, lag = speaking.heard, speaking.lag()
    first_s = heard.sound_after(dialled_s)
    gaps = speaking.gaps(GAP_S)
    stalls = [gap for gap in gaps if gap > STALL_S]
    said = part.scenario.success.said
    got = bool(re.search(said, speaking.log.agent_words(0.0), re.IGNORECASE)) if said else None
    return replace(
        made,
        seconds=round(speaking.now() - dialled_s, 3),
        first_sound_ms=None if first_s is None else round((first_s - dialled_s) * 1000, 1),
        turns=tuple(turns),
        stalls=len(stalls),
        gaps=len(gaps),
        longest_stall_ms=round(max(stalls, default=0.0) * 1000, 1),
        lost_packets=heard.lost,
        conversation=_conversation(speaking),
        success=got if whole or made.error else None,
        lag_p99_ms=round(lag.p99_ms, 2),
        lag_max_ms=round(lag.max_ms, 2),
    )


def _conversation(speaking: Speaking) -> str:
    session = speaking.log.first("session")
    return "" if session is None else str(session.data.get("conversation", ""))


def _kind(error: CallError) -> ErrorKind:
    kinds: tuple[tuple[type[CallError], ErrorKind], ...] = (
        (Busy, "busy"),
        (Unreachable, "unreachable"),
        (Lost, "lost"),
        (NoAnswer, "no answer"),
    )
    return next((name for kind, name in kinds if isinstance(error, kind)), "bug")


async def _turns(speaking: Speaking, part: Part, done: list[TurnRecord]) -> bool:
    """Say everything; return whether the scenario came to its end."""
    if part.scenario.greeting:
        await speaking.greeting(within_s=GREETING_S)
    sequence = part.scenario.turn
    for number, turn in enumerate(sequence):
        following = sequence[number + 1] if number + 1 < len(sequence) else None
        if turn.over:
            continue  # said with the turn before it
        if speaking.now() >= part.until_s:
            return False
        await speaking.wait(speaking.now() + part.dice.uniform(*turn.think_s))
        item = part.cast[number]
        said = await _say(speaking, item)
        asked = TurnRecord(item.text, _wall(said.stop_s))
        if turn.hang_up_after_s is not None:
            done.append(await _hang_up(speaking, said, turn.hang_up_after_s, asked))
            return following is None
        if following is not None and following.over:
            over = part.cast[number + 1]
            done += await _over(speaking, said, asked, turn, following, over)
        else:
            done.append(await _answered(speaking, said, asked, turn))
    return True


async def _say(speaking: Speaking, item: Item) -> Said:
    if item.words is not None:  # for a scripted recogniser; others ignore it
        speaking.send(wire.script(item.words))
        await speaking.wait(speaking.now() + SCRIPT_AHEAD_S)
    return await speaking.play(item.speech)


async def _answered(
    speaking: Speaking, said: Said, asked: TurnRecord, turn: ScenarioTurn
) -> TurnRecord:
    try:
        answer = await speaking.answer(said, timeout_s=ANSWER_S)
    except NoAnswer:
        return replace(_told(speaking, said, asked), missed=True)
    made = replace(
        _told(speaking, said, asked),
        v2v_ms=_rounded(answer.v2v_ms),
        cut_in_ms=_rounded(answer.cut_in_ms),
    )
    if turn.expect:
        fits = bool(re.search(turn.expect, answer.agent, re.IGNORECASE))
        made = replace(made, as_expected=fits)
    return made


async def _hang_up(speaking: Speaking, said: Said, after_s: float, asked: TurnRecord) -> TurnRecord:
    try:
        sound_s = await speaking.sound(said.stop_s, "answer", timeout_s=ANSWER_S)
    except NoAnswer:
        return replace(asked, missed=True)
    await speaking.wait(sound_s + after_s)
    told = _told(speaking, said, asked)
    return replace(told, v2v_ms=_rounded((sound_s - said.stop_s) * 1000))


async def _over(
    speaking: Speaking,
    said: Said,
    asked: TurnRecord,
    turn: ScenarioTurn,
    over: ScenarioTurn,
    item: Item,
) -> list[TurnRecord]:
    """Say ``item`` over the answer to ``said``."""
    try:
        sound_s = await speaking.sound(said.stop_s, "answer", timeout_s=ANSWER_S)
    except NoAnswer:
        return [replace(asked, missed=True)]
    first = replace(_told(speaking, said, asked), v2v_ms=_rounded((sound_s - said.stop_s) * 1000))
    await speaking.wait(sound_s + max(0.0, over.after_s - SCRIPT_AHEAD_S))
    cut = await _say(speaking, item)
    second = TurnRecord(item.text, _wall(cut.stop_s), over=over.over)
    if over.over == "backchannel":
        kept = speaking.heard.reaction(cut.start_s, cut.stop_s).silent_ms is None
        await speaking.end_of_answer(cut.stop_s)
        return [first, replace(second, kept=kept)]
    reaction = speaking.heard.reaction(cut.start_s, cut.start_s + BARGE_IN_S)
    with suppress(NoAnswer):
        answer = await speaking.answer(replace(cut, asked_s=cut.stop_s), timeout_s=ANSWER_S)
        second = replace(second, v2v_ms=_rounded(answer.v2v_ms))
    return [
        first,
        replace(
            _told(speaking, cut, second),
            ducked_ms=_rounded(reaction.ducked_ms),
            silent_ms=_rounded(reaction.silent_ms),
            missed=reaction.silent_ms is None or second.v2v_ms is None,
        ),
    ]


def _told(speaking: Speaking, said: Said, record: TurnRecord) -> TurnRecord:
    """Add what the server says of the turn."""
    latency = speaking.log.last("latency", since_s=said.asked_s)
    turns = speaking.log.of("agent-turn", since_s=said.asked_s)
    return replace(
        record,
        heard=speaking.log.user_words(said.asked_s),
        trace=str(latency.data.get("id", "")) if latency is not None else "",
        answers=len({each.data.get("turn") for each in turns}),
    )


def _wall(at_s: float) -> float:
    return round(time.time() - (time.monotonic() - at_s), 3)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
