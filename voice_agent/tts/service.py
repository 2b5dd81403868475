"""What every speech engine here has in common: clauses in, timed words and audio out.

An engine says how one clause becomes audio; this base makes an ordinary Pipecat TTS service of it.
Clauses of one reply share an audio context and are spoken one after the other. In that context's
order come ``TTSStartedFrame``, for every piece of speech its ``SpokenWordsFrame`` and then its
``TTSAudioRawFrame`` (with Pipecat's own ``TTSTextFrame`` for every word), and ``TTSStoppedFrame``
right behind the last audio.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pipecat.frames.frames import (
    CancelFrame,
    Frame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pydantic import Field

from voice_agent.engines import EngineSettings
from voice_agent.frames import ReplyStartFrame, SpokenWordsFrame
from voice_agent.tts.clauses import ClauseAggregator, ClauseRules
from voice_agent.tts.loudness import TARGET_LUFS
from voice_agent.tts.normalise import Speech, spoken
from voice_agent.tts.resample import ReplyAudio
from voice_agent.tts.words import TimedWord


class SpeechSettings(EngineSettings):
    """What the ``[tts]`` section of every engine that speaks may say."""

    loudness_lufs: float = Field(TARGET_LUFS, ge=-40.0, le=-14.0)
    """What the voice is brought to, measured as EBU R 128 does, LUFS."""
    first_clause_max_words: int = Field(ClauseRules.first_clause_max_words, ge=1)
    """The first clause of a reply is cut after this many words at the latest."""

    def clause_rules(self) -> ClauseRules:
        """Return how text is cut."""
        return ClauseRules(first_clause_max_words=self.first_clause_max_words)


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    """A piece of a reply: audio, and the words that start in it or before it."""

    audio: bytes
    """int16 mono at the service's sample rate; may be empty."""
    words: tuple[TimedWord, ...] = ()
    """In samples from the start of the reply."""


async def _drop_unspeakable(text: str, text_type: str) -> str:
    """Leave text alone unless nothing of it can be spoken, and then say nothing."""
    return text if spoken(text).text else ""


class SpeechService(TTSService):
    """A Pipecat TTS service that speaks clauses and knows when each word is heard.

    The text handed to ``run_tts`` is as the LLM wrote it; it becomes speakable only inside, so
    that what is reported as heard are the original words.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        native_hz: int | None = None,
        voice: str | None = None,
        model: str | None = None,
        language: str = "en",
        rules: ClauseRules | None = None,
    ) -> None:
        """Make the service of one conversation.

        Args:
            sample_rate: What is pushed, Hz.
            native_hz: What ``speak`` writes to the reply, Hz; ``sample_rate`` if not given.
            voice: Kept in Pipecat's settings, where ``TTSUpdateSettingsFrame`` changes it.
            model: The same.
            language: Language code of the text, such as "en".
            rules: How text is cut into clauses.
        """
        super().__init__(
            sample_rate=sample_rate,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            # Only for a reply whose LLM died; an ordinary one is stopped when its text ends.
            stop_frame_timeout_s=5.0,
            text_transforms=[("*", _drop_unspeakable)],
            settings=TTSSettings(model=model, voice=voice, language=language),
        )
        self._clauses = ClauseAggregator(rules or ClauseRules(), language=language)
        # Pipecat 1.14 takes no aggregator as an argument.
        self._text_aggregator = self._clauses  # type: ignore[assignment]
        self._native_hz = native_hz or sample_rate
        self._out_hz = sample_rate
        self._spoken_language = language
        self._replies: dict[str, ReplyAudio] = {}

    @property
    def speed(self) -> float:
        """How fast to speak, 1.0 as always; ``TTSUpdateSettingsFrame`` changes ``extra["speed"]``.

        Engines that heed it say so with ``Engine.speeds``.
        """
        speed = self._settings.extra.get("speed", 1.0)
        return float(speed) if isinstance(speed, int | float) and speed > 0 else 1.0

    @abstractmethod
    def speak(self, speech: Speech, reply: ReplyAudio) -> AsyncGenerator[SpokenAudio, None]:
        """Synthesize one clause as the next part of ``reply``, in pieces, as they are made.

        Closed early when the reply is interrupted; synthesis must stop with it.
        """

    async def finish(self, reply: ReplyAudio) -> bytes:
        """Return the end of a reply that no further clause will follow."""
        return reply.finish()

    def can_generate_metrics(self) -> bool:
        """Time to first audio is measured like that of any Pipecat service."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Begin a reply as its ``ReplyStartFrame`` says; the rest is Pipecat's."""
        if isinstance(frame, ReplyStartFrame):
            self._clauses.begin(frame.first_clause_max_words)
        await super().process_frame(frame, direction)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak one clause; Pipecat queues what this yields in the reply's audio context."""
        reply = self._reply(context_id)
        await self.start_tts_usage_metrics(text)
        async with aclosing(self.speak(spoken(text, self._spoken_language), reply)) as pieces:
            async for piece in pieces:
                await self.hand_over(context_id, piece)
                yield None

    def _reply(self, context_id: str) -> ReplyAudio:
        """Return the reply of this audio context, begun if it is new."""
        if context_id not in self._replies:
            self._replies[context_id] = ReplyAudio(self._native_hz, self._out_hz)
        return self._replies[context_id]

    async def hand_over(self, context_id: str, piece: SpokenAudio) -> None:
        """Queue a piece in the reply's audio context, its words ahead of its audio."""
        if piece.words:
            words = [(word.text, word.start, word.end) for word in piece.words]
            await self.append_to_audio_context(
                context_id, SpokenWordsFrame(context_id=context_id, words=words)
            )
            await self.add_word_timestamps(
                [(word.text, word.start / self._out_hz) for word in piece.words], context_id
            )
        if piece.audio:
            await self.append_to_audio_context(
                context_id,
                TTSAudioRawFrame(piece.audio, self._out_hz, 1, context_id=context_id),
            )

    async def on_turn_context_completed(self) -> None:
        """End the reply's audio at once: its text has ended and everything is spoken."""
        context_id = self._turn_context_id
        if context_id is not None:
            reply = self._replies.pop(context_id, None)
            if self.audio_context_available(context_id):
                tail = await self.finish(reply) if reply else b""
                if tail:
                    await self.append_to_audio_context(
                        context_id,
                        TTSAudioRawFrame(tail, self._out_hz, 1, context_id=context_id),
                    )
                await self.append_to_audio_context(
                    context_id, TTSStoppedFrame(context_id=context_id)
                )
                await self.remove_audio_context(context_id)
        self._turn_context_id = None

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Stop synthesizing a reply nobody will hear."""
        reply = self._replies.pop(context_id, None)
        if reply:
            reply.cancelled = True

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Begin anew if a reply goes on after all once Pipecat gave up waiting for more of it.

        What follows has a ``TTSStartedFrame`` of its own, and its words count from there.
        """
        self._replies.pop(context_id, None)

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop synthesizing everything."""
        self._abandon_all()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        """Release what a conversation that ended in mid-reply left behind."""
        self._abandon_all()
        await super().cleanup()  # type: ignore[no-untyped-call]

    def _abandon_all(self) -> None:
        for reply in self._replies.values():
            reply.cancelled = True
        self._replies.clear()
