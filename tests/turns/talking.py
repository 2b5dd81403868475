"""A talk as the turn machine sees it: events at times, its own timers in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Action,
    Audible,
    Event,
    Heard,
    Tag,
    Tick,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.machine import step
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import Remedies, State


@dataclass
class Talk:
    """Plays events at times, firing the machine's own timers in between, and keeps the record."""

    settings: TurnSettings = field(default_factory=TurnSettings)
    remedies: Remedies = field(default_factory=Remedies)
    now: float = 0.0
    record: list[tuple[float, Action]] = field(default_factory=list)
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = State(self.settings, self.remedies)

    def at(self, when: float, event: Event) -> Talk:
        """Let time run to ``when``, timers included, then tell ``event``."""
        self.until(when)
        self._step(event)
        return self

    def until(self, when: float) -> Talk:
        """Let time run to ``when``, firing every timer on the way."""
        while (wake := wake_at(self.state, self.now)) is not None and wake <= when:
            self.now = wake
            self._step(Tick())
        self.now = max(self.now, when)
        return self

    def _step(self, event: Event) -> None:
        self.state, actions = step(self.state, event, self.now)
        self.record += [(self.now, action) for action in actions]

    def actions(self, kind: type[Action]) -> list[Action]:
        return [action for _, action in self.record if isinstance(action, kind)]

    def when(self, kind: type[Action]) -> float:
        return next(at for at, action in self.record if isinstance(action, kind))

    @property
    def answer(self) -> Tag:
        assert self.state.answer is not None
        return self.state.answer


def said(text: str, p: float | None, *, until: float = 1000.0, final: bool = True) -> Talk:
    """A user who spoke ``text`` from 0 to ``until``; words look complete with ``p``."""
    talk = Talk().at(60, VoiceStarted(0)).at(until - 100, Heard(text, False, p))
    talk.at(until + 64, VoiceStopped(until))
    if final:
        talk.until(until + 100).at(until + 130, Heard(text, True, p))
    return talk


def answering(text: str = "what time do you open") -> Talk:
    """An agent whose answer has been audible since 1.4 s."""
    talk = said(text, 0.97).until(1400)
    return talk.at(1400, Audible(talk.answer))
