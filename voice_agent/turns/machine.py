"""Who speaks next: one pure function over plain data.

``step(state, event, now)`` returns the next state and what to do. There is no clock, no task and
no engine here: time is an argument, and ``wake_at`` says when to call again with ``Tick`` if
nothing else happens. What holds after any order of events (see tests/turns/test_machine.py):

- at most one answer is released per turn, and only a released answer can be heard;
- what was started on a guess and not released is dropped, and leaves no trace;
- whenever something is owed to the user, ``wake_at`` is not None;
- a voice over the agent's ends in exactly one of: the agent goes on, or a new turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from voice_agent.turns.barge_in import same_words
from voice_agent.turns.deciding import advance
from voice_agent.turns.events import (
    Action,
    Audible,
    Bound,
    Called,
    Cleared,
    Committed,
    Configured,
    Correct,
    Drop,
    Duck,
    Ended,
    Event,
    Failed,
    Greet,
    Greeting,
    Heard,
    Phrased,
    Release,
    Retract,
    Silenced,
    SoundScore,
    Speculate,
    Stop,
    Strained,
    Tag,
    Tick,
    Typed,
    Voiced,
    VoiceStarted,
    VoiceStopped,
    Worded,
)
from voice_agent.turns.late import ask_again, failed, waiting
from voice_agent.turns.state import Agent, State, Step, User, close, judged, made, open_turn, owe
from voice_agent.turns.told import told

BREATH_MS = 200.0
"""Over the agent's voice, a silence no longer than this is part of the same sound."""

STRAIN_MS = 5000.0
"""A late timer makes guesses scarce for this long."""


def step(state: State, event: Event, now: float) -> Step:
    """Return what becomes of ``state`` at ``now`` because of ``event``, and what to do."""
    state, actions = _apply(state, event, now)
    advanced, more = advance(state, now)
    return advanced, (*actions, *more)


def _apply(s: State, event: Event, now: float) -> Step:
    match event:
        case VoiceStarted(at):
            return _voice_started(s, at, now)
        case VoiceStopped(at):
            if s.user is not User.SPEAKING:
                return s, ()
            return replace(
                s,
                user=User.PAUSING,
                quiet_at=max(at, s.voice_at),
                sound_p=None,
                sounds_asked=0,
                final_asked=False,
            ), ()
        case Heard():
            return _heard(s, event, now)
        case SoundScore(silence_began, end_p):
            if s.user is User.PAUSING and silence_began == s.quiet_at:
                return replace(s, sound_p=end_p), ()
            return s, ()
        case Typed(text):
            return _typed(s, text, now)
        case Greeting():
            tag = Tag(s.turn, s.revision + 1)
            greeted = replace(s, revision=tag.revision, answer_bound=True, answer_tries=2)
            return owe(greeted, tag, "", now), (Greet(tag),)
        case Committed() | Cleared() | Silenced() | Configured():
            return told(s, event, now)
        case Called(tag):
            return made(s, tag, begun_at=now), ()
        case Worded(tag):
            return made(s, tag, begun_at=now, worded_at=now), ()
        case Phrased(tag):
            return made(s, tag, phrased_at=now), ()
        case Voiced(tag):
            return made(s, tag, voiced=True), ()
        case Audible(tag):
            if tag != s.answer or s.agent is not Agent.OWING:
                return s, ()
            if tag != s.filled:
                s = made(s, tag, voiced=True)
            if s.user is User.QUIET or not s.settings.barge_in:
                return replace(s, agent=Agent.SPEAKING), ()
            return replace(s, agent=Agent.DUCKED), (Duck(),)
        case Ended(tag):
            if tag != s.answer or s.agent is Agent.STOPPED:
                return s, ()
            return replace(s, agent=Agent.IDLE, answer=None), ()
        case Failed(tag, voice):
            return failed(s, tag, now, voice=voice)
        case Bound(tag):
            return replace(s, answer_bound=s.answer_bound or tag == s.answer), ()
        case Strained():
            return replace(s, strained_until=now + STRAIN_MS), ()
        case Tick():
            return s, ()
        case _:
            assert_never(event)


def _voice_started(s: State, at: float, now: float) -> Step:
    if s.user is User.SPEAKING:
        return s, ()
    if not s.settings.barge_in and s.agent in (Agent.OWING, Agent.SPEAKING):
        return s, ()
    if s.user is not User.QUIET:
        spoken = replace(s, user=User.SPEAKING, sound_p=None, sounds_asked=0)
        if s.agent is Agent.DUCKED and at - s.quiet_at > BREATH_MS:
            return replace(spoken, voice_at=at), ()
        return spoken, ()
    if s.agent is Agent.OWING and s.answer is not None and not s.answer_bound:
        # Nothing was heard of the answer: the turn goes on. A cough must not cost the answer, so
        # it is kept as a guess and released again if the words stay what they were.
        back = replace(_taken_back(s), user=User.SPEAKING, voice_at=at)
        return replace(back, sound_p=None, sounds_asked=0), (Retract(s.answer),)
    opened = open_turn(s, User.SPEAKING, at, now)
    if s.agent is Agent.SPEAKING:
        return replace(opened, agent=Agent.DUCKED), (Duck(),)
    return opened, ()


def _taken_back(s: State) -> State:
    """Return to the turn that was decided last; the answer to it becomes a guess again."""
    return replace(
        s,
        agent=Agent.IDLE,
        turn=s.turn - 1,
        # What is still a partial gives way to its final.
        segments=s.decided if s.answer_final_owed else (s.answer_text,),
        partial=s.decided_partial if s.answer_final_owed else "",
        answer_final_owed=False,
        guess=s.answer,
        guess_text=s.answer_text,
        guess_made=s.answer_made,
        answer=None,
        filled=None if s.filled == s.answer else s.filled,
    )


def _heard(s: State, event: Heard, now: float) -> Step:
    if event.final:
        s = replace(s, finals_owed=max(0, s.finals_owed - 1))
        if s.discard_finals:
            return replace(s, discard_finals=s.discard_finals - 1), ()
    if s.user is User.QUIET:
        if not event.text.strip():
            return replace(s, answer_final_owed=s.answer_final_owed and not event.final), ()
        if s.answer_final_owed:
            return _late_final(s, event, now) if event.final else (s, ())
        if s.discard_finals or (s.agent is not Agent.IDLE and (event.echo or not event.final)):
            return s, ()
        if s.agent in (Agent.OWING, Agent.SPEAKING) and not s.settings.barge_in:
            return s, ()
        # Words without a voice: too soft for the VAD, or a final that comes late. They are a turn.
        s = open_turn(s, User.PAUSING, now, now)
        if s.agent is Agent.SPEAKING:
            opened, actions = _heard(replace(s, agent=Agent.DUCKED), event, now)
            return opened, (Duck(), *actions)
        if s.agent is Agent.OWING and s.answer is not None and not s.answer_bound:
            reopened, actions = _heard(_taken_back(s), event, now)
            return reopened, (Retract(s.answer), *actions)
    before = s.text
    if event.final:
        # It came in this silence, asked for or not: there is nothing more to ask for.
        segments = (*s.segments, event.text) if event.text else s.segments
        s = replace(s, segments=segments, partial="", final_asked=True)
    else:
        s = replace(s, partial=event.text)
    s = replace(s, words_p=event.end_p if s.text else None, echo=event.echo)
    if same_words(before, s.text):
        return s, ()
    s = replace(s, words_at=now)
    if s.user is User.PAUSING and not event.final and s.quiet_at < now and not s.finals_owed:
        s = replace(s, sounds_asked=min(s.sounds_asked, 1))
    if s.guess is not None and not same_words(s.guess_text, s.text):
        dropped = s.guess
        return judged(replace(s, guess=None, guess_text=""), right=False), (Drop(dropped),)
    return s, ()


def _late_final(s: State, event: Heard, now: float) -> Step:
    s = replace(s, answer_final_owed=False)
    text = " ".join((*s.decided, event.text))
    if s.answer is None:
        return s, () if s.answers else (Correct(s.turn, text),)
    if same_words(text, s.answer_text):
        return s, ()
    if s.answer_bound or not waiting(s):
        return s, (Correct(s.turn, text),)
    return ask_again(s, text, now)


def _typed(s: State, text: str, now: float) -> Step:
    actions: list[Action] = []
    if s.guess is not None:
        actions.append(Drop(s.guess))
    if s.answer is not None:
        if s.agent in (Agent.SPEAKING, Agent.DUCKED):
            actions.append(Stop(s.answer))
        elif s.agent is Agent.OWING:
            actions.append(Drop(s.answer))
    tag = Tag(s.turn + 1, s.revision + 1)
    s = replace(close(s), turn=tag.turn, revision=tag.revision, answer_bound=False, answer_tries=0)
    s = replace(owe(s, tag, text, now), quiet_at=now)
    return s, (*actions, Speculate(tag, text), Release(tag, text, now))
