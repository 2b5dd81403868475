"""Two services where a pipeline has one: the usual one, and another for a turn it is late in.

Both stand in the pipeline, one behind the other, and every frame has a lane: the first service's
frames pass the second wrapped in an ``AsideFrame``, which no service looks into, and the other way
round. What comes out at the end is what the service in charge said; the other's is dropped. Who is
in charge is decided elsewhere (``turns/late.py``) and takes effect at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pipecat.frames.frames import EndFrame, Frame, InterruptionFrame, StopFrame, SystemFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService

from voice_agent.engines import SessionInfo
from voice_agent.frames import AsideFrame, ReplyStartFrame, RevoiceFrame
from voice_agent.resources import Resources
from voice_agent.turns.answers import Engines

_EVERYBODYS = (SystemFrame, EndFrame, StopFrame)


ServiceT = TypeVar("ServiceT", bound=FrameProcessor)


class Pair(Generic[ServiceT]):
    """A service, and the one that stands in for it, if there is one."""

    def __init__(self, usual: ServiceT, other: ServiceT | None) -> None:
        self.usual = usual
        self.other = other
        self.stands_in = False
        """The other service is in charge."""

    @property
    def services(self) -> list[ServiceT]:
        """The one or the two."""
        return [self.usual] if self.other is None else [self.usual, self.other]

    def take_turns(self, *, stand_in: bool) -> bool:
        """Put the other service in charge, or the usual one; return whether it is the other.

        A usual one that says it can work no more (Pipecat's ``is_usable``) is not put in charge.
        """
        self.stands_in = self.other is not None and (stand_in or not self.usual.is_usable)
        return self.stands_in

    def given_up(self, service: FrameProcessor | None) -> bool:
        """Whether ``service`` is the one of the two that is not in charge."""
        if self.other is None or service is None:
            return False
        return service is (self.usual if self.stands_in else self.other)

    def row(self) -> list[FrameProcessor]:
        """Return both as they stand in a pipeline; ``AsideFrame`` reaches the other one."""
        if self.other is None:
            return [self.usual]
        return [self.usual, _Cross(), self.other, _Merge(self)]


class VoicePair(Pair[TTSService]):
    """Two voices; the other can say a reply again that the usual one was given.

    The language model must not be asked again for words it has written, so they are kept until
    the next reply begins.
    """

    def row(self) -> list[FrameProcessor]:
        """Return both as they stand in a pipeline, behind what keeps the words."""
        if self.other is None:
            return [self.usual]
        cross = _Cross()
        return [_Repeater(self, cross), self.usual, cross, self.other, _Merge(self)]


class PairedEngines(Engines):
    """Tells the pairs of one conversation who answers."""

    def __init__(
        self,
        llms: Pair[LLMService[Any]],
        voices: VoicePair,
        first_clause_max_words: Callable[[], int | None],
    ) -> None:
        self.llms = llms
        self.voices = voices
        self._first_clause_max_words = first_clause_max_words

    @classmethod
    def of(
        cls, resources: Resources, session: SessionInfo, *, on_shorten: Callable[[int], None]
    ) -> PairedEngines:
        """Make the engines' services of one conversation; ``on_shorten`` is told of an answer that
        begins shorter than usual, and after how many words it is spoken."""

        def first_clause_max_words() -> int | None:
            words = resources.objective.first_clause_max_words
            if words is not None:
                on_shorten(words)
            return words

        return cls(
            Pair(resources.llm(session), resources.fallback_llm(session)),
            VoicePair(resources.tts(session), resources.fallback_tts(session)),
            first_clause_max_words,
        )

    def row(self) -> list[FrameProcessor]:
        """Return them as they stand in a pipeline."""
        return [*self.llms.row(), *self.voices.row()]

    def answer_with(self, fallback: bool) -> bool:
        """See ``Engines``."""
        return self.llms.take_turns(stand_in=fallback)

    def speak_with(self, fallback: bool) -> None:
        """See ``Engines``."""
        self.voices.take_turns(stand_in=fallback)

    def given_up(self, service: FrameProcessor | None) -> bool:
        """See ``Engines``."""
        return self.llms.given_up(service) or self.voices.given_up(service)

    def first_clause_max_words(self) -> int | None:
        """See ``Engines``."""
        return self._first_clause_max_words()


class _GiveUpFrame(InterruptionFrame):
    """Interrupts the usual voice alone."""


class _Cross(FrameProcessor):
    """Between two services: what was for the first passes the second, and the other way round."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, AsideFrame):
            await self.push_frame(frame.frame)
        elif isinstance(frame, _EVERYBODYS):
            if not isinstance(frame, _GiveUpFrame):
                await self.push_frame(frame)
        else:
            await self.push_frame(AsideFrame(frame))


class _Merge(FrameProcessor):
    """Behind both services: lets through what the one in charge said."""

    def __init__(self, pair: Pair[Any]) -> None:
        super().__init__(enable_direct_mode=True)
        self._pair = pair

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, AsideFrame):
            if not self._pair.stands_in:
                await self.push_frame(frame.frame)
        elif isinstance(frame, _EVERYBODYS) or self._pair.stands_in:
            await self.push_frame(frame)


class _Repeater(FrameProcessor):
    """Before two voices: keeps a reply's words, and gives them to the one in charge."""

    def __init__(self, pair: VoicePair, cross: _Cross) -> None:
        super().__init__(enable_direct_mode=True)
        self._pair = pair
        self._cross = cross
        self._reply: list[Frame] = []
        self._repeated: int | None = None
        """Frames of the reply that the other voice was given; None: it has not begun."""
        self._repeating = asyncio.Lock()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        match frame:
            case RevoiceFrame():
                if self._pair.stands_in and self._repeated is None:
                    self._repeated = 0
                    await self.push_frame(_GiveUpFrame())
                    await self._repeat()
            case InterruptionFrame():
                self._reply, self._repeated = [], None
                # The usual voice may be stuck: what is meant for others does not go through it.
                await self.push_frame(_GiveUpFrame())
                await self._cross.queue_frame(frame)
            case SystemFrame() | EndFrame() | StopFrame():
                await self.push_frame(frame)
            case _:
                if isinstance(frame, ReplyStartFrame):
                    self._reply, self._repeated = [], 0 if self._pair.stands_in else None
                self._reply.append(frame)
                if self._repeated is not None:
                    await self._repeat()
                elif not self._pair.stands_in:
                    await self.push_frame(frame)

    async def _repeat(self) -> None:
        """Give the other voice what it was not given yet, in order."""
        async with self._repeating:  # words go on coming from the language model's own task
            reply = self._reply
            while reply is self._reply and (done := self._repeated) is not None:
                if done == len(reply):
                    return
                self._repeated = done + 1
                await self._cross.queue_frame(AsideFrame(reply[done]))
