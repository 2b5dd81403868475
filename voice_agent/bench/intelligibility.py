"""``voice-agent bench intelligibility``: what a recogniser understands of a voice.

A recogniser is no human, and one with a small language model knows what it expects. But voices are
compared by the same ears on the same sentences, so the ratio means something where the number alone
does not.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import InputAudioRawFrame, TranscriptionFrame

from voice_agent.bench.alone import Alone, alone
from voice_agent.bench.voice import say, speaking
from voice_agent.engines import Engine, SessionInfo
from voice_agent.frames import FinalizeTranscriptFrame
from voice_agent.paths import models_dir

__all__ = ["heard_errors", "misheard", "sentences", "word_errors"]

HZ = 16_000
_SILENCE_MS = 300
_NOISE_RMS = 20.0
"""Of the line, int16: recognisers are not made for digital silence."""
_WORD = re.compile(r"[a-z0-9']+")


def sentences(path: Path | None, count: int) -> list[str]:
    """Return the sentences of a file, one a line; of callers of the default agent without one.

    Raises:
        OSError: The file cannot be read.
    """
    default = models_dir() / "pocketsphinx-bella-notte" / "evaluation" / "held-out.txt"
    lines = (path or default).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()][:count]


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Return the words to change, add or leave out to make one of the other, and those said."""
    wanted, got = _WORD.findall(said.lower()), _WORD.findall(heard.lower())
    row = list(range(len(got) + 1))
    for count, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], count
        for at, other in enumerate(got, 1):
            diagonal, row[at] = (
                row[at],
                min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other)),
            )
    return row[-1], len(wanted)


async def heard_errors(
    voice: Engine[Any],
    ears: Engine[Any],
    texts: Sequence[str],
    told: Callable[[str], object],
) -> tuple[int, int, list[tuple[str, str]]]:
    """Say every sentence with ``voice`` and have ``ears`` write it down; both are started.

    Returns:
        The errors, the words, and the sentences that were heard otherwise.

    Raises:
        EngineError: One of them failed.
    """
    sounds = []
    async with speaking(voice, HZ) as mouth:
        for number, text in enumerate(texts):
            if number % 10 == 0:
                told(f"sentence {number + 1} of {len(texts)} ...")
            sounds.append((text, (await say(mouth, f"{text[:1].upper()}{text[1:]}.")).audio))
    return await misheard(ears, sounds)


async def misheard(
    ears: Engine[Any], sounds: Sequence[tuple[str, npt.NDArray[np.int16]]]
) -> tuple[int, int, list[tuple[str, str]]]:
    """Let a started recogniser hear sounds of 16 kHz whose texts are known, as one caller's.

    Returns:
        The errors, the words, and the texts that were heard otherwise.

    Raises:
        TimeoutError: It did not answer.
    """
    errors = words = 0
    otherwise = []
    rng = np.random.default_rng(0)
    async with alone(ears.service(SessionInfo("bench", audio_in_hz=HZ)), 60.0) as ear:
        for text, audio in sounds:
            heard = await _hear(ear, audio, rng)
            wrong, count = word_errors(text, heard)
            errors, words = errors + wrong, words + count
            if wrong:
                otherwise.append((text, heard))
    return errors, words, otherwise


async def _hear(ear: Alone, audio: npt.NDArray[np.int16], rng: np.random.Generator) -> str:
    ear.down.frames.clear()
    silence = np.zeros(HZ * _SILENCE_MS // 1000)
    sound = np.concatenate([silence, audio.astype(np.float64), silence])
    sound += rng.normal(0.0, _NOISE_RMS, len(sound))
    pcm = np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16).tobytes()
    step = HZ // 50 * 2
    frames = [InputAudioRawFrame(pcm[at : at + step], HZ, 1) for at in range(0, len(pcm), step)]
    await ear.worker.queue_frames(frames)
    await ear.worker.queue_frame(FinalizeTranscriptFrame())
    await ear.down.until_true(
        lambda: any(frame.finalized for frame in ear.down.of(TranscriptionFrame))
    )
    await asyncio.sleep(0)
    return " ".join(frame.text for frame in ear.down.of(TranscriptionFrame))
