"""A conversation without engines, traced: the real turn machine, a fake clock, and an assembly."""

from __future__ import annotations

from voice_agent.trace.assembly import Assembly, Origin
from voice_agent.trace.model import Turn
from voice_agent.turns.deciding import wake_at
from voice_agent.turns.events import (
    Action,
    Audible,
    Ended,
    Event,
    Heard,
    Release,
    Speculate,
    Tag,
    Tick,
    VoiceStarted,
    VoiceStopped,
)
from voice_agent.turns.machine import step
from voice_agent.turns.playout import FirstSound, PlayedOut, PlayoutEvent
from voice_agent.turns.settings import TurnSettings
from voice_agent.turns.state import State

ORIGIN = Origin("s", "r", "fixed", "webrtc", epoch_s=1_000_000.0)


class Talk:
    """Plays events at times, the machine's own timers in between; keeps the turns told last."""

    def __init__(self, settings: TurnSettings | None = None, origin: Origin = ORIGIN) -> None:
        self.now = 0.0
        self.state = State(settings or TurnSettings(sound_model=False))
        self.assembly = Assembly(origin)
        self.turns: dict[str, Turn] = {}
        self.told: list[Turn] = []
        self.actions: list[Action] = []

    def at(self, when: float, event: Event) -> Talk:
        """Let time run to ``when``, then tell the machine ``event``."""
        self.until(when)
        self._step(event)
        return self

    def until(self, when: float) -> Talk:
        """Let time run, firing the machine's timers."""
        while (due := wake_at(self.state, self.now)) is not None and due <= when:
            self.now = due
            self._step(Tick())
        self.now = max(self.now, when)
        return self

    def played(self, when: float, event: PlayoutEvent) -> Talk:
        """Tell what playout did, and the machine what follows from it."""
        self.until(when)
        self.tell(self.assembly.event(self.now, event, (), self.state))
        match event:
            case FirstSound(tag):
                self._step(Audible(tag))
            case PlayedOut(tag, _):
                self._step(Ended(tag))
            case _:
                pass
        return self

    def tell(self, turns: list[Turn]) -> None:
        """Note turns that came out."""
        self.told += turns
        self.turns |= {turn.id: turn for turn in turns}

    def _step(self, event: Event) -> None:
        self.state, actions = step(self.state, event, self.now)
        self.actions += actions
        self.tell(self.assembly.event(self.now, event, actions, self.state))

    # ----- the services, with fixed latencies -----

    def says(self, text: str, p: float | None, *, until: float) -> Talk:
        """The user says ``text`` and falls silent at ``until``, noticed 60 ms later.

        Words that look complete start an answer while the voice goes on, 20 ms before its end.
        """
        self.at(until - 500, VoiceStarted(until - 500))
        self.at(until - 300, Heard(text, False, p))
        return self.at(until + 60, VoiceStopped(until))

    def thinks(self, *, token: float, clause: float, audio: float) -> Talk:
        """The answer asked for last comes from the services at these moments."""
        tag = self.tag
        self.until(token)
        began = next(
            (s for s in reversed(self.actions) if isinstance(s, Speculate)), Speculate(tag, "")
        )
        assert began.tag == tag
        self.assembly.work.llm_began(tag, token - 100)
        self.assembly.work.llm_token(tag, token)
        self.until(clause)
        self.assembly.work.llm_token(tag, clause)
        self.assembly.work.clause(tag, clause)
        self.until(audio)
        self.assembly.work.audio(tag, audio, 400.0)
        return self

    @property
    def tag(self) -> Tag:
        """The answer started last."""
        return next(a.tag for a in reversed(self.actions) if isinstance(a, Speculate))

    @property
    def released_at(self) -> bool:
        """Whether an answer has been released."""
        return any(isinstance(action, Release) for action in self.actions)

    @property
    def turn(self) -> Turn:
        """The turn told last."""
        return self.told[-1]
