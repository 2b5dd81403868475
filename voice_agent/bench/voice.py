"""Which voice a command means: a pipeline's own, an engine by its name, or a Riva server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    ErrorFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)

from voice_agent.bench.alone import Alone, alone
from voice_agent.config import load_pipeline
from voice_agent.engines import Engine, EngineContext, EngineError, SessionInfo, engine_class
from voice_agent.frames import SpokenWordsFrame

__all__ = ["Said", "Voice", "say", "speaking"]

PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that is asked to speak.

    Raises:
        ConfigError: By ``engine``: there is no such engine or it has no such settings.
    """

    pipeline: str = "embedded"
    engine: str = ""
    """Instead of the pipeline's own."""
    server: str = ""
    """``host:port`` of a Riva server, instead of either."""
    name: str = ""
    """Of the voice, as the engine knows it."""
    overrides: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What to call it in a table."""
        return " ".join(filter(None, (self.server or self.engine or self.pipeline, self.name)))

    def make(self) -> Engine[Any]:
        """Return the engine, not started."""
        overrides = []
        if self.server:
            overrides += ["tts.engine=riva", f'tts.server="{self.server}"']
        elif self.engine:
            overrides.append(f"tts.engine={self.engine}")
        if self.name:
            overrides.append(f'tts.voice="{self.name}"')
        pipeline = load_pipeline(self.pipeline, [*overrides, *self.overrides], os.environ)
        choice = pipeline.tts
        engine = engine_class("tts", choice.engine)
        return engine(choice.settings, EngineContext(pipeline.search_path))


@dataclass(frozen=True, slots=True)
class Said:
    """One reply, and when each part of it came."""

    audio: npt.NDArray[np.int16]
    hz: int
    words: tuple[tuple[str, int, int], ...]
    """Text, start and end, samples."""
    arrivals: tuple[tuple[float, int], ...]
    """Of the pieces: ms since the text was given, samples."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.audio) / self.hz

    @property
    def ttfb_ms(self) -> float:
        """From the text to the first audio."""
        return self.arrivals[0][0]

    @property
    def rtf(self) -> float:
        """How long it took, as a share of its own length; below 1 it keeps up."""
        return self.arrivals[-1][0] / 1000.0 / self.seconds

    @property
    def gap_ms(self) -> float:
        """The longest silence that a listener had to wait in, who heard it from its first sample
        on: how late a piece came at worst."""
        late, played_ms = 0.0, self.ttfb_ms
        for came_ms, samples in self.arrivals:
            late = max(late, came_ms - played_ms)
            played_ms = max(played_ms, came_ms) + samples * 1000.0 / self.hz
        return late


@asynccontextmanager
async def speaking(engine: Engine[Any], hz: int = 48_000) -> AsyncIterator[Alone]:
    """Make a conversation's service of a started engine, in a pipeline of its own."""
    async with alone(engine.service(SessionInfo("bench", audio_out_hz=hz)), PATIENCE_S) as pipe:
        yield pipe


async def say(pipe: Alone, text: str) -> Said:
    """Have a text said as a reply whose words are all written already.

    Raises:
        EngineError: The voice failed, or said nothing.
    """
    pipe.down.frames.clear()
    pipe.up.frames.clear()
    began = asyncio.get_running_loop().time()
    tokens = [LLMTextFrame(token) for token in text.replace(" ", "\0 ").split("\0")]
    await pipe.worker.queue_frames(
        [LLMFullResponseStartFrame(), *tokens, LLMFullResponseEndFrame()]
    )
    await pipe.down.until_true(lambda: bool(pipe.down.of(TTSStoppedFrame) or _errors(pipe)))
    if errors := _errors(pipe):
        raise EngineError(errors[0].error)
    heard = [(at, f) for at, f in pipe.down.frames if isinstance(f, TTSAudioRawFrame)]
    if not heard:
        raise EngineError(f"the voice said nothing to {text!r}")
    return Said(
        audio=np.frombuffer(b"".join(frame.audio for _, frame in heard), np.int16),
        hz=heard[0][1].sample_rate,
        words=tuple(word for frame in pipe.down.of(SpokenWordsFrame) for word in frame.words),
        arrivals=tuple(((at - began) * 1000.0, len(f.audio) // 2) for at, f in heard),
    )


def _errors(pipe: Alone) -> list[ErrorFrame]:
    return [*pipe.up.of(ErrorFrame), *pipe.down.of(ErrorFrame)]
