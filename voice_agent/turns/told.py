"""What a client decides for itself: that the user has finished, or that nothing more is to be said.

Pure, like the rest of the machine. Clients of the realtime API may take the decisions over, one by
one: ``State.decides`` (when a turn ends) and ``State.answers`` (whether it is answered).
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from voice_agent.turns.events import (
    Action,
    Cleared,
    Committed,
    Configured,
    Drop,
    Finalize,
    Silenced,
    Stop,
    Unduck,
)
from voice_agent.turns.state import Agent, State, Step, User, close, open_turn


def told(s: State, event: Committed | Cleared | Silenced | Configured, now: float) -> Step:
    """Return what becomes of ``s`` at ``now`` because the client says so."""
    match event:
        case Committed():
            return _committed(s, now)
        case Cleared():
            return _cleared(s)
        case Silenced():
            return _silenced(s)
        case Configured():
            return _configured(s, event)
        case _:
            assert_never(event)


def _committed(s: State, now: float) -> Step:
    if s.user is User.CLOSING:
        return s, ()
    actions: list[Action] = []
    if s.user is User.QUIET:
        s = open_turn(s, User.SPEAKING, now, now)
    if s.agent is Agent.DUCKED:
        assert s.answer is not None
        actions.append(Stop(s.answer))
        s = replace(s, agent=Agent.STOPPED)
    if s.user is User.SPEAKING:
        s = replace(s, quiet_at=now)
    if s.user is User.SPEAKING or not s.final_asked:
        s = replace(s, final_asked=True, finals_owed=s.finals_owed + 1)
        actions.append(Finalize())
    return replace(s, user=User.CLOSING, closing_at=now), tuple(actions)


def _cleared(s: State) -> Step:
    actions: list[Action] = []
    if s.guess is not None:
        actions.append(Drop(s.guess))
    if s.agent is Agent.DUCKED:
        actions.append(Unduck(""))
        s = replace(s, agent=Agent.SPEAKING)
    if s.agent is Agent.STOPPED:
        s = replace(s, agent=Agent.IDLE, answer=None)
    # The words heard so far come with the next final, whoever asks for it.
    owed = s.finals_owed + 1
    return replace(close(s), finals_owed=owed, discard_finals=owed), (*actions, Finalize())


def _silenced(s: State) -> Step:
    if s.answer is None:
        return s, ()
    quiet = replace(s, agent=Agent.IDLE, answer=None, answer_final_owed=False)
    match s.agent:
        case Agent.OWING:
            return quiet, (Drop(s.answer),)
        case Agent.SPEAKING | Agent.DUCKED:
            return quiet, (Stop(s.answer),)
        case _:
            return quiet, ()


def _configured(s: State, event: Configured) -> Step:
    s = replace(s, settings=event.settings, decides=event.decides, answers=event.answers)
    actions: list[Action] = []
    if s.guess is not None and not (s.answers and s.decides):
        actions.append(Drop(s.guess))
        s = replace(s, guess=None, guess_text="")
    if s.agent is Agent.DUCKED and not s.settings.barge_in:
        actions.append(Unduck(""))
        s = replace(s, agent=Agent.SPEAKING)
    return s, tuple(actions)
