"""What is done with one utterance in a call, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from voice_agent.load import wire
from voice_agent.load.errors import NoAnswer
from voice_agent.load.playlist import Item
from voice_agent.load.score import Outcome, fate
from voice_agent.load.speaking import Speaking

ANSWER_S = 8.0
"""An answer that has not begun after this long is missed; stock Pipecat can take 3.7 s."""
OVER_S = 0.8
"""From an answer's first sound to what is played over it."""
SCRIPT_AHEAD_S = 0.2
"""A scripted ASR is told what it will hear this long before it is played."""
BARGE_IN_S = 2.5
"""An agent that still speaks this long after a barge-in began has not yielded."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The answer to a question when nothing is played over it."""

    length_s: float
    gap_s: float
    """Its longest silence inside."""


async def usual_answer(caller: Speaking, question: Item) -> Usual:
    """Ask ``question`` twice and hear both answers out."""
    answers = [await undisturbed(caller, question) for _ in range(2)]
    return Usual(median(each.length_s for each in answers), max(each.gap_s for each in answers))


async def _tell(caller: Speaking, item: Item) -> None:
    """Tell a scripted ASR what it will hear; anything that recognises speech ignores it."""
    if item.words is not None:
        caller.send(wire.script(item.words))
        await caller.wait(caller.now() + SCRIPT_AHEAD_S)


async def ask(caller: Speaking, item: Item) -> Outcome:
    """Say something while the agent listens, and hear its answer out."""
    await _tell(caller, item)
    said = await caller.play(item.speech)
    try:
        turn = await caller.answer(said, timeout_s=ANSWER_S)
    except NoAnswer:
        first_s = caller.heard.sound_after(said.asked_s)
        cut_in = first_s is not None and first_s < said.stop_s
        return Outcome(
            item.name,
            item.kind,
            cut_in_ms=(said.stop_s - first_s) * 1000 if cut_in and first_s is not None else None,
            missed=True,
            user=caller.log.user_words(said.asked_s),
        )
    return Outcome(
        item.name, item.kind, v2v_ms=turn.v2v_ms, cut_in_ms=turn.cut_in_ms, user=turn.user
    )


async def undisturbed(caller: Speaking, question: Item) -> Usual:
    """Ask ``question`` and hear the answer out."""
    await _tell(caller, question)
    said = await caller.play(question.speech)
    sound_s = await caller.sound(said.stop_s, "answer", timeout_s=ANSWER_S)
    end_s = await caller.quiet(said.stop_s)
    spans = caller.heard.spans(sound_s, 0.05)
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]
    return Usual(end_s - sound_s, max(gaps, default=0.0))


async def play_over(caller: Speaking, item: Item, question: Item, usual: Usual) -> Outcome:
    """Ask ``question`` and play ``item`` over the answer."""
    await _tell(caller, question)
    asked = await caller.play(question.speech)
    sound_s = await caller.sound(asked.stop_s, "answer", timeout_s=ANSWER_S)
    if item.words is not None:
        await caller.wait(sound_s + OVER_S - SCRIPT_AHEAD_S)
        await _tell(caller, item)
    await caller.wait(sound_s + OVER_S)
    said = await caller.play(item.speech)
    await caller.quiet(said.stop_s)
    heard = caller.heard
    if item.kind != "barge-in":
        spans = heard.spans(sound_s, max(0.2, 1.5 * usual.gap_s))
        became = fate(spans, sound_s, said.start_s, usual.length_s)
        return Outcome(item.name, item.kind, fate=became, user=caller.log.user_words(said.asked_s))
    # What comes after the answer would have ended anyway is no reaction.
    until_s = min(said.start_s + BARGE_IN_S, sound_s + usual.length_s - 0.1)
    reaction = heard.reaction(said.start_s, until_s)
    silent = reaction.silent_ms is not None
    answer_s = None
    if silent and heard.is_silent_at(said.stop_s):
        answer_s = heard.sound_after(said.stop_s)
    return Outcome(
        item.name,
        item.kind,
        v2v_ms=None if answer_s is None else (answer_s - said.stop_s) * 1000,
        missed=not silent,
        ducked_ms=reaction.ducked_ms,
        silent_ms=reaction.silent_ms,
        user=caller.log.user_words(said.asked_s),
    )
