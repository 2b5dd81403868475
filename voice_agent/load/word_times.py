"""When each word of an utterance has been said, where only its text and its sound are known.

A scripted ASR is told these times. Inside a stretch of voice they are shared out by the words'
letters; a pause falls between the two words whose share of the voice it is nearest to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voice_agent.load.wav import (
    FRAME,
    HZ,
    QUIETEST_SPEECH_DBFS,
    SPEECH_BELOW_PEAK_DB,
    Speech,
    frame_dbfs,
)

PAUSE_MS = 200.0
"""Silence this long is a pause between words; a shorter one may be inside of one."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it has been said, ms from the first voice."""

    text: str
    at_ms: float


def word_times(text: str, begin_ms: float, end_ms: float) -> list[Word]:
    """Share the time of a piece without pauses out among its words, by their letters."""
    words = text.split()
    ends = begin_ms + (end_ms - begin_ms) * _shares(words)
    return [
        Word(word.strip(".,?!").lower(), round(float(at), 1))
        for word, at in zip(words, ends, strict=True)
    ]


def spoken_word_times(text: str, speech: Speech) -> list[Word]:
    """Return the words of ``text``, spoken in ``speech``, with times from its first voice."""
    words = text.split()
    spans = _spans(speech)
    voiced_ms = sum(end - begin for begin, end in spans)
    shares = _shares(words) * voiced_ms
    made: list[Word] = []
    said, done_ms = 0, 0.0
    for number, (begin, end) in enumerate(spans, start=1):
        done_ms += end - begin
        left = len(spans) - number
        until = len(words) if not left else int(np.argmin(np.abs(shares - done_ms))) + 1
        until = max(said, min(until, len(words)))
        made += word_times(" ".join(words[said:until]), begin, end)
        said = until
    return made


def _shares(words: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how much of the whole has been said at the end of each word, 0 to 1."""
    weights = np.array([len(word) + 1.5 for word in words])
    return np.asarray(np.cumsum(weights) / max(weights.sum(), 1e-9), dtype=np.float64)


def _spans(speech: Speech) -> list[tuple[float, float]]:
    """Return the stretches of voice between pauses, ms from the first voice."""
    first, last = (round(ms / 1000 * HZ) for ms in (speech.start_ms, speech.end_ms))
    levels = frame_dbfs(np.pad(speech.samples[first:last], (0, FRAME)))
    threshold = max(QUIETEST_SPEECH_DBFS, float(levels.max()) - SPEECH_BELOW_PEAK_DB)
    spans: list[tuple[float, float]] = []
    for frame in np.flatnonzero(levels > threshold):
        begin, end = float(frame) * 10.0, float(frame) * 10.0 + 10.0
        if spans and begin - spans[-1][1] < PAUSE_MS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans
