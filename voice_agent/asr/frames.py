"""What the turn machine may ask of a recogniser beyond Pipecat's own frames."""

from dataclasses import dataclass

from pipecat.frames.frames import SystemFrame


@dataclass
class FinalizeTranscriptFrame(SystemFrame):
    """Ask the ASR service for a final transcript of everything heard so far.

    Travels upstream from the turn-taking processor. The service answers with exactly one
    ``TranscriptionFrame`` whose ``finalized`` is True, empty text included, and goes on listening:
    audio after this frame belongs to the next utterance.
    """
