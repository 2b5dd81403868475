"""The reply gate: the end of the Pipecat pipeline, where synthesized audio becomes playout.

Whatever comes out of any Pipecat TTS service is filed under the tag of the ``ReplyStartFrame``
before it and held until the turn machine releases that tag; what belongs to no live tag is dropped
here. Words are mapped to samples exactly where the service times them (``SpokenWordsFrame``) and
otherwise in proportion to their length over each chunk of speech.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voice_agent.frames import ReplyStartFrame, SpokenWordsFrame
from voice_agent.turns.events import Tag
from voice_agent.turns.playout import Playout


class ReplyGate(FrameProcessor):
    """Files what was synthesized under the answer it belongs to.

    Args:
        playout: Where it is held and played.
        on_clause: Told the tag of which a chunk of text was given to the voice.
        on_audio: Told the tag whose audio has arrived, and how much, ms.
        on_round_ended: Told the tag whose LLM round has been synthesized to its end. Another
            round may follow, when a tool was called.
    """

    def __init__(
        self,
        playout: Playout,
        *,
        on_clause: Callable[[Tag], None],
        on_audio: Callable[[Tag, float], None],
        on_round_ended: Callable[[Tag], None],
    ) -> None:
        super().__init__()
        self._playout = playout
        self._on_clause = on_clause
        self._on_audio = on_audio
        self._on_round_ended = on_round_ended
        self._tag: Tag | None = None
        self._offset = 0
        self._timed = False
        self._untimed: list[tuple[str, int]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """File speech; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case ReplyStartFrame():
                self._tag = Tag(frame.turn, frame.revision)
                self._offset, self._timed, self._untimed = 0, False, []
            case InterruptionFrame():
                self._tag = None
            case LLMFullResponseStartFrame() | TTSStartedFrame():
                if self._tag is not None:
                    self._offset = self._playout.length(self._tag)
            case SpokenWordsFrame() if self._tag is not None:
                self._timed = True
                self._playout.words(
                    self._tag,
                    [
                        (text, start + self._offset, end + self._offset)
                        for text, start, end in frame.words
                    ],
                )
            case TTSAudioRawFrame():
                self._file_audio(frame)
            case AggregatedTextFrame() if self._tag is not None and not isinstance(
                frame, TTSTextFrame
            ):
                # Announces a chunk of speech: untimed words of those before lie behind us, unless
                # their audio is still to come, from a service that is told of several at once.
                self._on_clause(self._tag)
                if self._untimed and self._playout.length(self._tag) > self._untimed[0][1]:
                    self._spread_untimed()
                if not self._timed:
                    self._untimed.append((frame.text, self._playout.length(self._tag)))
            case LLMFullResponseEndFrame() if self._tag is not None:
                self._spread_untimed()
                self._on_round_ended(self._tag)
        if not isinstance(frame, TTSAudioRawFrame):
            await self.push_frame(frame, direction)

    def _file_audio(self, frame: TTSAudioRawFrame) -> None:
        if self._tag is None:
            return
        if frame.sample_rate != self._playout.rate_hz or frame.num_channels != 1:
            raise ValueError(
                f"the TTS service delivers {frame.sample_rate} Hz x {frame.num_channels}, "
                f"the transport plays {self._playout.rate_hz} Hz mono: pass the service "
                "`sample_rate=session.audio_out_hz`"
            )
        pcm = np.frombuffer(frame.audio, dtype=np.int16)
        self._playout.write(self._tag, pcm)
        self._on_audio(self._tag, pcm.size / frame.sample_rate * 1000.0)

    def _spread_untimed(self) -> None:
        if self._tag is None or self._timed or not self._untimed:
            self._untimed = []
            return
        start, end = self._untimed[0][1], self._playout.length(self._tag)
        words = [word for text, _ in self._untimed for word in text.split()]
        characters = sum(len(word) + 1 for word in words)
        timed = []
        passed = 0
        for word in words:
            begin = start + (end - start) * passed // max(1, characters)
            passed += len(word) + 1
            timed.append((word, begin, start + (end - start) * passed // max(1, characters)))
        self._playout.words(self._tag, timed)
        self._untimed = []
