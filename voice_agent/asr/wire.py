"""What the server and its recognition workers say to each other, in ``workers.wire``'s messages.

``stream`` is the speaker's place at the worker, ``number`` that of the utterance. Imports nothing
but the standard library: the worker loads it.
"""

from __future__ import annotations

from enum import IntEnum

SAMPLE_RATE_HZ = 16_000
SAMPLE_BYTES = 2


class Kind(IntEnum):
    """Who says what; the first group goes to the worker, the second comes from it."""

    OPEN = 1
    """A new speaker uses this stream: forget what was learned about the last one's channel."""
    BEGIN = 2
    """An utterance begins."""
    AUDIO = 3
    """Payload: PCM of the utterance, 16 kHz, 16-bit, mono."""
    END = 4
    """Answer with FINAL; the utterance is over."""
    ABORT = 5
    """The stream is no longer wanted; drop what is queued for it, answer nothing."""

    READY = 16
    """All decoders are loaded."""
    PARTIAL = 17
    """Payload: the words of the utterance so far, UTF-8; sent when they change."""
    HEARD = 18
    """Payload: unsigned 32-bit, bytes of the utterance that have been decoded."""
    FINAL = 19
    """Payload: the words of the utterance, UTF-8, empty when there were none."""
