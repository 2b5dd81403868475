"""Frames of our own: what the turn engine says to the services beyond Pipecat's vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipecat.frames.frames import ControlFrame, DataFrame, SystemFrame

NEUTRAL = "neutral"
"""A transcript frame whose ``result`` is this carries words that mean nothing: only the sound and
the clock can tell whether the turn has ended."""


@dataclass
class FinalizeTranscriptFrame(SystemFrame):
    """Ask the ASR service for a final transcript of everything heard so far.

    Travels upstream from the turn-taking processor. The service answers with exactly one
    ``TranscriptionFrame`` whose ``finalized`` is True, empty text included, and goes on listening:
    audio after this frame belongs to the next utterance.
    """


@dataclass
class ReplyStartFrame(ControlFrame):
    """Everything behind this frame answers ``turn`` as it was understood at ``revision``.

    Sent ahead of the LLM context and kept in order by the LLM and TTS services, so that the reply
    gate knows what the audio that follows belongs to.
    """

    turn: int = 0
    revision: int = 0


@dataclass
class VoicePausedFrame(SystemFrame):
    """The voice has fallen silent for now; unlike Pipecat's VAD stop it asks for no final.

    Sent by the ears behind the audio. ``VADUserStartedSpeakingFrame`` follows when it goes on.
    """


@dataclass
class ExpectedWordsFrame(SystemFrame):
    """What the scripted recogniser will "hear" next: an instrument's answer sheet.

    Recognisers that listen ignore it. ``words`` are (text, ms from the onset of the voice to the
    word's end); none means that what comes is no speech.
    """

    words: Sequence[tuple[str, float]] = field(default_factory=tuple)


@dataclass
class SpokenWordsFrame(DataFrame):
    """Words whose audio follows this frame.

    Travels in order with the reply's audio and always ahead of the audio it speaks of.
    """

    context_id: str = ""
    """The Pipecat audio context (one reply) the words belong to."""
    words: list[tuple[str, int, int]] = field(default_factory=list)
    """(text as the LLM wrote it, punctuation included; start; end). Start and end are samples at
    the rate of the reply's audio, counted from the first sample of this ``context_id``; they never
    decrease from one word to the next."""
