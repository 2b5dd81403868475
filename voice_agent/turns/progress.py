"""Tells the turn machine how an answer comes on: its first words, its first clause, its first
audio. In: what passes the services and the reply gate; out: one event each, once an answer."""

from __future__ import annotations

from collections.abc import Callable

from pipecat.frames.frames import Frame, LLMTextFrame
from pipecat.processors.frame_processor import FrameProcessor

from voice_agent.frames import ReplyStartFrame
from voice_agent.turns.events import Event, Phrased, Tag, Voiced, Worded


class Progress:
    """The progress of one conversation's answers.

    Args:
        tell: Tells the turn machine.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._writing: Tag | None = None
        self._worded: Tag | None = None
        self._phrased: Tag | None = None
        self._voiced: Tag | None = None

    async def on_llm_push(self, _llm: FrameProcessor, frame: Frame) -> None:
        """Take a frame that the language model's service is about to push."""
        match frame:
            case ReplyStartFrame(turn=turn, revision=revision):
                self._writing = Tag(turn, revision)
            case LLMTextFrame(text=text) if self._writing != self._worded and not text.isspace():
                self._worded = self._writing
                if self._writing is not None:
                    self._tell(Worded(self._writing))
            case _:
                pass

    def clause(self, tag: Tag) -> None:
        """Some text was given to the voice."""
        if tag != self._phrased:
            self._phrased = tag
            self._tell(Phrased(tag))

    def audio(self, tag: Tag) -> None:
        """Some audio has come."""
        if tag != self._voiced:
            self._voiced = tag
            self._tell(Voiced(tag))
