"""Frames of our own: what the turn engine says to the services beyond Pipecat's vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipecat.frames.frames import ControlFrame, DataFrame, Frame, SystemFrame

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
    first_clause_max_words: int | None = None
    """Speak the first clause after this many words, if that is sooner than usual."""


@dataclass
class AsideFrame(SystemFrame):
    """A frame for the second of two services in a row; the first lets it pass (``fallback``)."""

    frame: Frame


@dataclass
class RevoiceFrame(SystemFrame):
    """The words of the reply under way are to be said by the other voice."""


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


@dataclass
class LLMFiguresFrame(SystemFrame):
    """What one request to a language model cost; sent when it ends, cut off or not.

    An answer with tool calls makes several requests. Engines that know send it beside Pipecat's
    own metrics; nobody has to act on it.
    """

    turn: int = 0
    """Of the ``ReplyStartFrame`` the request came behind; 0 where none did."""
    revision: int = 0
    queue_ms: float = 0.0
    """The time it waited before anything was done for it, where the engine tells."""
    cached_tokens: int = 0
    """Of the prompt, those the engine still knew from an earlier request."""
    prompt_tokens: int = 0
    """Of the prompt, those it had to work through."""
    prompt_ms: float = 0.0
    """The time that took."""
    reused_blocks: int = 0
    """Blocks of the cache that were taken over, where the engine counts those."""
    tokens: int = 0
    """Written, those of tool calls included."""
    tokens_ms: float = 0.0
    """The time that took, without the prompt's."""
    drafted_tokens: int = 0
    """Offered by speculative decoding; 0 without it."""
    accepted_tokens: int = 0
    """Of those, the ones the model would have written itself."""
    interrupted: bool = False
    """Cut off before its end; what the engine had not told by then is 0."""

    @property
    def tokens_per_s(self) -> float:
        """Speed of writing; 0 where it is not known."""
        return self.tokens / self.tokens_ms * 1000.0 if self.tokens_ms else 0.0

    @property
    def acceptance(self) -> float | None:
        """Share of the drafted tokens that were kept; None when none were drafted."""
        return self.accepted_tokens / self.drafted_tokens if self.drafted_tokens else None

    @property
    def tokens_per_step(self) -> float:
        """Tokens written for each run of the whole model; 1 without speculative decoding."""
        steps = self.tokens - self.accepted_tokens
        return self.tokens / steps if steps > 0 else 1.0
