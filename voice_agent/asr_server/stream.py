"""One caller's recognition: audio in, tokens out, chunk by chunk; and many of them side by side."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from voice_agent.asr_server.boost import Boost
from voice_agent.asr_server.mel import HOP, RATE_HZ, Floats, Mel, MelState
from voice_agent.asr_server.models import FRAME_MS, PRE_ENCODE, Chunk, Model
from voice_agent.asr_server.words import Token, words_of
from voice_agent.riva.words import Word

MAX_SYMBOLS = 10
"""Tokens at one frame at most."""
LATE_MS = 300
"""Silence appended where audio is taken to end, beyond the look-ahead: transducers emit late."""
_FAINT = 1e-4
"""Of that silence: digital silence is unlike anything a model was trained on."""


@dataclass(slots=True)
class Stream:
    """Everything recognition knows of one caller."""

    mel: MelState
    features: Floats
    """Mel frames not yet encoded, behind ``PRE_ENCODE`` frames of history once it has begun."""
    cache: Any = None
    predictor: Any = None
    begun: bool = False
    frames: int = 0
    """Encoder frames decoded."""
    tokens: list[Token] = field(default_factory=list)
    """Since the last ``forget``."""
    boost: Boost | None = None
    live: tuple[str, ...] = ()
    """Beginnings of boosted phrases the text ends with."""

    @property
    def samples(self) -> int:
        """Samples taken in."""
        return self.mel.samples

    @property
    def decoded_ms(self) -> int:
        """Audio whose words are known, ms from the start of the stream."""
        return self.frames * FRAME_MS


class Recogniser:
    """Streams of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._mel = Mel(model.bands)
        self._begin: Any = None
        seconds = LATE_MS / 1000 + (model.look_ahead + 2) * 2 * FRAME_MS / 1000
        noise = np.random.default_rng(0).standard_normal(int(RATE_HZ * seconds) + RATE_HZ)
        self._silence = (noise * _FAINT).astype(np.float32)

    def open(self, boost: Boost | None = None) -> Stream:
        """Return a stream that has heard nothing."""
        empty = np.zeros((0, self.model.bands), np.float32)
        return Stream(self._mel.new(), empty, boost=boost)

    def hear(self, stream: Stream, pcm: Floats) -> None:
        """Take in audio, 16 kHz, -1 to 1, shape (n,); computes its features and nothing else."""
        frames = self._mel.take(stream.mel, pcm)
        if len(frames):
            stream.features = np.concatenate([stream.features, frames])

    def ready(self, stream: Stream) -> bool:
        """Whether a chunk is complete."""
        return len(stream.features) >= self._wanted(stream)

    def ready_at(self, stream: Stream) -> int:
        """Return how many samples must have been taken in for the next chunk to be complete."""
        return self._mel.samples_for(stream.mel, self._wanted(stream) - len(stream.features))

    def ended(self, stream: Stream) -> Stream:
        """Return a copy of the stream as if its audio had ended here, with all it waits for.

        ``advance`` it while it is ``ready``, then its words are final. The stream itself is as it
        was.
        """
        other = self.copied(stream)
        least = LATE_MS * RATE_HZ // 1000 + self.model.look_ahead * FRAME_MS * RATE_HZ // 1000
        self.hear(other, self._silence[:least])
        short = self._wanted(other) - len(other.features)
        while short < 0:  # whole chunks beyond the first that is asked for
            short += self.model.chunk_frames
        if short:
            self.hear(other, self._silence[: short * HOP])
        return other

    def copied(self, stream: Stream) -> Stream:
        """Return an independent copy; nothing big is copied."""
        return replace(stream, mel=copy.copy(stream.mel), tokens=list(stream.tokens))

    def forget(self, stream: Stream, tokens: int) -> None:
        """Drop the first tokens: they have been told. Recognition goes on as it was."""
        del stream.tokens[:tokens]

    def words(self, stream: Stream) -> list[Word]:
        """Return the words since the last ``forget``."""
        return words_of(stream.tokens, FRAME_MS)

    def advance(self, streams: Sequence[Stream]) -> None:
        """Work through one chunk of each stream, all together; every one must be ``ready``."""
        # First chunks have another length than all others.
        groups = [[s for s in streams if s.begun is begun] for begun in (False, True)]
        for group in groups:
            size = len(group) if self.model.batches else 1
            for at in range(0, len(group), max(1, size)):
                self._advance(group[at : at + size])

    def _advance(self, streams: Sequence[Stream]) -> None:
        chunks = []
        for stream in streams:
            size = self._wanted(stream)
            chunks.append(Chunk(stream.features[:size], stream.cache))
            if size < PRE_ENCODE:  # what is not there yet is nought, as in NeMo
                missing = np.zeros((PRE_ENCODE - size, self.model.bands), np.float32)
                stream.features = np.concatenate([missing, stream.features])
                size = PRE_ENCODE
            stream.features = stream.features[size - PRE_ENCODE :]
        encoded, caches = self.model.encode(chunks)
        for stream, cache in zip(streams, caches, strict=True):
            stream.cache = cache
            stream.begun = True
        self._decode(streams, encoded)

    def _wanted(self, stream: Stream) -> int:
        if stream.begun:
            return PRE_ENCODE + self.model.chunk_frames
        return self.model.first_frames

    def _decode(self, streams: Sequence[Stream], encoded: Sequence[Any]) -> None:
        """Greedily take the likeliest token of each frame until it is the blank."""
        model = self.model
        blank = len(model.pieces)
        fresh = [stream for stream in streams if stream.predictor is None]
        if fresh:
            if self._begin is None:
                self._begin = model.predict([blank], [None])[0]
            for stream in fresh:
                stream.predictor = self._begin
        for at in range(max(len(frames) for frames in encoded)):
            pairs = zip(streams, encoded, strict=True)
            here = [(stream, frames[at]) for stream, frames in pairs if at < len(frames)]
            left = here
            for _ in range(MAX_SYMBOLS):
                logits = model.join([f for _, f in left], [s.predictor for s, _ in left])
                said = [
                    (stream, frame, self._choice(stream, row))
                    for (stream, frame), row in zip(left, logits, strict=True)
                ]
                said = [each for each in said if each[2] != blank]
                if not said:
                    break
                states = model.predict([t for _, _, t in said], [s.predictor for s, _, _ in said])
                for (stream, _, token), state in zip(said, states, strict=True):
                    stream.predictor = state
                    piece = model.pieces[token]
                    stream.tokens.append(Token(piece, stream.frames))
                    if stream.boost is not None:
                        stream.live = stream.boost.follow(stream.live, piece)
                left = [(stream, frame) for stream, frame, _ in said]
            for stream, _ in here:
                stream.frames += 1

    def _choice(self, stream: Stream, logits: Floats) -> int:
        best = int(logits.argmax())
        if stream.boost is None or best == len(logits) - 1:
            return best
        return int((logits[:-1] + stream.boost.bonus(stream.live)).argmax())


def to_floats(pcm: bytes) -> Floats:
    """Return 16-bit samples as floats from -1 to 1."""
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)
