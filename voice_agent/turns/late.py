"""An answer that is late, or will not come: a filler, another engine, once more, an apology.

Pure, like the rest of the machine. A filler is the beginning of the answer it precedes, not an
answer of its own: it is heard under the answer's tag, interrupted like it, and remembered in front
of it. So an answer whose filler was heard is never dropped; where it has to be asked for again,
the new one takes over what was heard (``Carry``).
"""

from __future__ import annotations

from dataclasses import replace

from voice_agent.turns.events import (
    Action,
    Apologise,
    Carry,
    Drop,
    Fill,
    Release,
    Revoice,
    Speculate,
    Stop,
    Tag,
)
from voice_agent.turns.state import Agent, Made, State, Step, User


def waiting(s: State) -> bool:
    """Whether the user waits for a released answer: nothing was heard of it but a filler."""
    return s.agent is Agent.OWING or (
        s.agent in (Agent.SPEAKING, Agent.DUCKED)
        and s.filled == s.answer
        and not s.answer_made.voiced
    )


def due(s: State) -> list[float | None]:
    """Return when this module has something to do."""
    if not waiting(s):
        return []
    timeout = s.answer_since + s.settings.answer_timeout_ms
    return [timeout, _llm_due(s), _voice_due(s), _fill_due(s)]


def late(s: State, now: float) -> Step:
    """Do what the time an answer has taken asks for."""
    actions: list[Action] = []
    if waiting(s) and now >= s.answer_since + s.settings.answer_timeout_ms:
        assert s.answer is not None
        s, more = failed(s, s.answer, now)
        actions.extend(more)
    for remedy in (_another_llm, _another_voice, _fill):
        s, more = remedy(s, now)
        actions.extend(more)
    return s, tuple(actions)


def failed(s: State, tag: Tag, now: float, *, voice: bool = False) -> Step:
    """Return what becomes of an answer that will not come; ``voice``: it has words but no sound.

    Its words by another voice, if that is what is missing; once more, by another language model if
    there is one; an apology; nothing.
    """
    if tag == s.guess:
        return replace(s, guess=None, guess_text=""), (Drop(tag),)
    if tag != s.answer or not waiting(s):
        return s, ()
    another_voice = s.remedies.tts_after_ms is not None and not s.answer_made.revoiced
    if voice and another_voice and _askable(s):
        return _revoice(s, now)
    tries = s.answer_tries + (2 if s.answer_bound and s.answer_tries == 0 else 1)
    if tries == 1:
        another = s.remedies.llm_after_ms is not None and not s.answer_made.fallback and not voice
        return ask_again(replace(s, answer_tries=1), s.answer_text, now, fallback=another)
    if tries == 2:
        return _apologise(s, now)
    heard = s.agent is not Agent.OWING
    return replace(s, agent=Agent.IDLE, answer=None), (Stop(tag) if heard else Drop(tag),)


def ask_again(s: State, text: str, now: float, *, fallback: bool = False) -> Step:
    """Return an answer to ``text`` in place of the one owed, of which no more than a filler was
    heard."""
    s, tag, gone = _replaced(s, now)
    s = replace(s, answer_text=text, answer_made=Made(asked_at=now, fallback=fallback))
    return s, (gone, Speculate(tag, text, fallback), Release(tag, text, s.quiet_at))


def go_on(s: State, now: float) -> Step:
    """Return how an answer goes on that stopped in its filler: it was not made any further."""
    return _apologise(s, now) if s.answer_bound else ask_again(s, s.answer_text, now)


def _apologise(s: State, now: float) -> Step:
    s, tag, gone = _replaced(s, now)
    # An apology answers no words and is not taken back.
    s = replace(s, answer_tries=2, answer_bound=True, answer_made=Made(asked_at=now))
    return s, (gone, Apologise(tag))


def _replaced(s: State, now: float) -> tuple[State, Tag, Carry | Drop]:
    """Put another answer in the place of the one owed."""
    assert s.answer is not None
    old, new = s.answer, Tag(s.answer.turn, s.revision + 1)
    heard = s.agent is not Agent.OWING
    filled = s.filled if s.filled != old else (new if heard else None)
    s = replace(s, revision=new.revision, answer=new, answer_since=now, filled=filled)
    return s, new, Carry(old, new) if heard else Drop(old)


def _askable(s: State) -> bool:
    """Whether the answer owed is one to words, and not an apology."""
    return waiting(s) and bool(s.answer_text) and s.answer_tries < 2


def _llm_due(s: State) -> float | None:
    made, after_ms = s.answer_made, s.remedies.llm_after_ms
    if after_ms is None or made.begun_at is not None or made.fallback or s.answer_bound:
        return None
    return max(s.owed_since, made.asked_at + after_ms) if _askable(s) else None


def _another_llm(s: State, now: float) -> Step:
    at = _llm_due(s)
    if at is None or now < at:
        return s, ()
    # It counts as the one more time that an answer is asked for.
    return ask_again(replace(s, answer_tries=1), s.answer_text, now, fallback=True)


def _voice_due(s: State) -> float | None:
    made, after_ms = s.answer_made, s.remedies.tts_after_ms
    if after_ms is None or made.phrased_at is None or made.voiced or made.revoiced:
        return None
    return max(s.owed_since, made.phrased_at + after_ms) if _askable(s) else None


def _another_voice(s: State, now: float) -> Step:
    at = _voice_due(s)
    return (s, ()) if at is None or now < at else _revoice(s, now)


def _revoice(s: State, now: float) -> Step:
    assert s.answer is not None
    made = replace(s.answer_made, revoiced=True)
    return replace(s, answer_made=made, answer_since=now), (Revoice(s.answer),)


def _fill_due(s: State) -> float | None:
    made, remedies = s.answer_made, s.remedies
    if (
        remedies.filler_after_ms is None
        or s.agent is not Agent.OWING
        or s.answer is None
        or made.voiced
        or not _askable(s)
        # Never twice in a row.
        or (s.filled is not None and s.filled.turn >= s.answer.turn - 1)
    ):
        return None
    at = s.owed_since + remedies.filler_after_ms
    # Its words have begun: it will be there sooner than a filler would be over.
    return at if made.worded_at is None else max(at, made.worded_at + remedies.words_to_sound_ms)


def _fill(s: State, now: float) -> Step:
    at = _fill_due(s)
    if at is None or now < at or s.user is not User.QUIET:
        return s, ()
    assert s.answer is not None
    return replace(s, filled=s.answer, fillers=s.fillers + 1), (Fill(s.answer, s.fillers),)
