"""Everything the turn machine decides from, as plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from voice_agent.turns.events import Action, Tag
from voice_agent.turns.settings import TurnSettings


class User(Enum):
    """What the user is doing."""

    QUIET = "no turn is open"
    SPEAKING = "a turn is open and the voice is heard"
    PAUSING = "a turn is open and the voice is silent; evidence decides"
    CLOSING = "the turn is decided but for its final transcript"


class Agent(Enum):
    """What the agent is doing."""

    IDLE = "nothing is owed and nothing is said"
    OWING = "an answer is released and not heard yet"
    SPEAKING = "an answer is being heard"
    DUCKED = "an answer is being heard quietly: the user makes a sound"
    STOPPED = "an answer was cut off: the user interrupted"


@dataclass(frozen=True, slots=True)
class Remedies:
    """What may be done about a late answer, ms; None: nothing."""

    filler_after_ms: float | None = None
    """A filler when nothing is there this long after the decision."""
    words_to_sound_ms: float = 0.0
    """How long an answer whose words have begun may take to sound; a filler waits for it."""
    llm_after_ms: float | None = None
    """Another language model when this one has said nothing for so long."""
    tts_after_ms: float | None = None
    """Another voice when this one has had words for so long."""


@dataclass(frozen=True, slots=True)
class Made:
    """How far an answer has come."""

    asked_at: float = 0.0
    begun_at: float | None = None
    """The language model has said something or asked for a tool."""
    worded_at: float | None = None
    phrased_at: float | None = None
    voiced: bool = False
    """Its audio is there, or some of it."""
    fallback: bool = False
    """The other language model was asked."""
    revoiced: bool = False
    """The other voice was asked."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides; times in ms on the clock of ``now``."""

    settings: TurnSettings
    remedies: Remedies = Remedies()
    decides: bool = True
    """When the user has finished is decided here; otherwise only the client says so."""
    answers: bool = True
    """A decided turn is answered; otherwise only remembered, until an answer is asked for."""
    user: User = User.QUIET
    agent: Agent = Agent.IDLE
    turn: int = 0
    """Turns decided so far; an open turn is ``turn + 1``."""
    revision: int = 0
    """Answers started so far."""

    # The open turn.
    opened_at: float = 0.0
    voice_at: float = 0.0
    quiet_at: float = 0.0
    closing_at: float = 0.0
    segments: tuple[str, ...] = ()
    partial: str = ""
    words_at: float = 0.0
    words_p: float | None = None
    sound_p: float | None = None
    sounds_asked: int = 0
    final_asked: bool = False
    """A final was asked for, or came, in this silence."""
    finals_owed: int = 0
    discard_finals: int = 0
    """Finals still to come that belong to a backchannel, not to the next turn."""
    echo: bool = False
    hushed: bool = False
    """The agent, ducked, has been paused."""

    # The answer started on a guess.
    guess: Tag | None = None
    guess_text: str = ""
    guess_made: Made = Made()
    guesses: int = 0
    hit_rate: float = 1.0
    """Share of guesses that were right, lately."""
    strained_until: float = 0.0

    # The answer released.
    answer: Tag | None = None
    answer_text: str = ""
    answer_made: Made = Made()
    answer_since: float = 0.0
    """When it was last asked for."""
    owed_since: float = 0.0
    """When its turn was decided."""
    answer_bound: bool = False
    answer_tries: int = 0
    answer_final_owed: bool = False
    """The turn was decided on a partial; its final is still to come."""
    decided: tuple[str, ...] = ()
    """The words of the turn decided last that were final."""
    decided_partial: str = ""
    """And those that were not: what the final still to come says again."""
    filled: Tag | None = None
    """The last answer that began with a filler."""
    fillers: int = 0

    @property
    def text(self) -> str:
        """The words of the open turn so far."""
        return " ".join(part for part in (*self.segments, self.partial) if part)


Step = tuple[State, tuple[Action, ...]]
"""What a transition returns: the next state and what to do."""


def open_turn(s: State, user: User, at: float, now: float) -> State:
    """Open a turn whose voice began at ``at``."""
    return replace(
        s,
        user=user,
        opened_at=now,
        voice_at=at,
        quiet_at=at,
        segments=(),
        partial="",
        words_at=now,
        words_p=None,
        sound_p=None,
        sounds_asked=0,
        final_asked=False,
        echo=False,
        hushed=False,
        guess=None,
        guess_text="",
        guesses=0,
    )


def judged(s: State, *, right: bool) -> State:
    """Note whether a guess was right; the last few count most."""
    return replace(s, hit_rate=0.85 * s.hit_rate + (0.15 if right else 0.0))


def close(s: State) -> State:
    """Close the open turn, its words and its guess forgotten."""
    return replace(s, user=User.QUIET, segments=(), partial="", guess=None, guess_text="")


def owe(s: State, tag: Tag, text: str, now: float, made: Made | None = None) -> State:
    """Owe the user the answer ``tag`` to ``text``, asked for now or ``made`` so far."""
    return replace(
        s,
        agent=Agent.OWING,
        answer=tag,
        answer_text=text,
        answer_made=made or Made(asked_at=now),
        answer_since=now,
        owed_since=now,
    )


def made(s: State, tag: Tag, **progress: Any) -> State:
    """Note how far the answer ``tag`` has come, if it is one that counts."""
    if tag == s.guess:
        return replace(s, guess_made=replace(s.guess_made, **progress))
    if tag == s.answer:
        return replace(s, answer_made=replace(s.answer_made, **progress))
    return s
