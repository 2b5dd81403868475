"""PocketSphinx with the restaurant's language model: recognition on any CPU, nothing to download.

``PocketSphinxEngine`` serves conversations; ``transcribe`` is for a recording that is complete.
Both recognise in processes of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from voice_agent.asr.pocketsphinx_pool import RecognitionPool
from voice_agent.asr.pocketsphinx_service import PocketSphinxSTTService
from voice_agent.asr.voice_gate import VoiceGate
from voice_agent.asr.wire import SAMPLE_RATE_HZ, Kind
from voice_agent.engines import Engine, EngineContext, EngineError, EngineSettings, SessionInfo
from voice_agent.paths import models_dir
from voice_agent.workers.wire import Message, Unpacker

DEFAULT_MODEL = "pocketsphinx-bella-notte"
_PAUSE_MS = 400
_QUIET = 0.03
"""Below this share of the loudest 20 ms it is a pause."""


class PocketSphinxSettings(EngineSettings):
    """``[asr]`` with ``engine = "pocketsphinx"``."""

    model: str = DEFAULT_MODEL
    """A folder with a ``decoder.json``, among the shipped models or a path of one's own."""
    workers: int = Field(2, ge=1, le=64)
    """Recognition processes; a core is enough for eight callers who speak at once."""
    streams_per_worker: int = Field(4, ge=1, le=32)
    """Conversations a process carries; each costs 12 MB, loaded at the start."""
    gate: Literal["vad", "energy"] = "vad"
    """Who finds the voice: the pipeline's VAD, or the level of the audio in bots without one."""
    preroll_ms: int = Field(500, ge=100, le=3000)
    """Audio before the voice was found that belongs to the utterance."""
    silence_ms: int = Field(700, ge=100, le=5000)
    """With ``gate = "energy"``: silence that ends an utterance."""
    max_utterance_s: float = Field(30.0, ge=2.0, le=120.0)
    """Somebody who speaks on gets a final transcript this often."""
    max_lag_s: float = Field(5.0, ge=0.5, le=60.0)
    """Audio that may wait for a busy worker; what is older is dropped, counted and logged."""


class PocketSphinxEngine(Engine[PocketSphinxSettings]):
    """A pool of recognition processes, loaded and warm before ``start`` returns."""

    Settings = PocketSphinxSettings

    def __init__(self, settings: PocketSphinxSettings, context: EngineContext) -> None:
        super().__init__(settings, context)
        self._pool: RecognitionPool | None = None

    @property
    def pids(self) -> list[int]:
        """The worker processes."""
        return self._pool.pids if self._pool else []

    async def start(self) -> None:
        """Start the workers.

        Raises:
            EngineError: The model is missing or a worker does not start.
        """
        model = self.context.find(self.settings.model)
        if not (model / "decoder.json").is_file():
            raise EngineError(f"{model} is not a PocketSphinx model: it has no decoder.json")
        self._pool = RecognitionPool(
            model.resolve(),
            workers=self.settings.workers,
            streams_per_worker=self.settings.streams_per_worker,
            max_lag_s=self.settings.max_lag_s,
        )
        await self._pool.start()

    def service(self, session: SessionInfo) -> PocketSphinxSTTService:
        """Make the service of one conversation.

        Raises:
            EngineError: The engine is not started, or every recogniser is taken.
        """
        if self._pool is None:
            raise EngineError("the PocketSphinx engine is not started")
        self._pool.require_free()
        return PocketSphinxSTTService(
            self._pool,
            VoiceGate(self.settings.gate, self.settings.preroll_ms, self.settings.silence_ms),
            max_utterance_s=self.settings.max_utterance_s,
        )

    async def stop(self) -> None:
        """End the workers; no process is left."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.stop()


def transcribe(pcm: NDArray[np.int16], model: Path | None = None) -> str:
    """Return the words of a complete recording, recognised in a process of its own.

    Blocks for about a tenth of the recording's length. The recording is cut at its pauses.

    Args:
        pcm: 16 kHz mono, shape (n,), int16.
        model: A folder with a decoder.json; the shipped model if None.

    Raises:
        EngineError: The worker failed.
    """
    messages = [Message(Kind.OPEN)]
    for number, piece in enumerate(_spoken_pieces(pcm), 1):
        messages.append(Message(Kind.BEGIN, 0, number))
        messages.append(Message(Kind.AUDIO, 0, number, piece.tobytes()))
        messages.append(Message(Kind.END, 0, number))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "voice_agent.asr.pocketsphinx_worker"),
            *("--model", str(model or models_dir() / DEFAULT_MODEL)),
        ],
        input=b"".join(message.pack() for message in messages),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(f"the PocketSphinx worker failed: {done.stderr.decode()[-500:]}")
    answers = Unpacker().feed(done.stdout)
    finals = [m.payload.decode() for m in answers if m.kind == Kind.FINAL]
    return " ".join(text for text in finals if text)


def _spoken_pieces(pcm: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Cut at pauses, keeping half of each, so that every piece has silence around it."""
    frame = SAMPLE_RATE_HZ // 50
    frames = np.abs(pcm[: len(pcm) // frame * frame].reshape(-1, frame).astype(np.int32)).max(1)
    if not len(frames) or not frames.max():
        return []
    loud = np.flatnonzero(frames > max(100, _QUIET * frames.max()))
    if not len(loud):
        return []
    gaps = np.flatnonzero(np.diff(loud) > _PAUSE_MS // 20)
    starts = np.concatenate([[loud[0]], loud[gaps + 1]])
    ends = np.concatenate([loud[gaps], [loud[-1]]]) + 1
    margin = _PAUSE_MS // 20 // 2
    return [
        pcm[max(0, start - margin) * frame : (end + margin) * frame]
        for start, end in zip(starts, ends, strict=True)
    ]
