"""Frames of our own: what the turn engine says to the services beyond Pipecat's vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipecat.frames.frames import ControlFrame, SystemFrame

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
