"""What the agent says word for word, synthesized once per voice: greeting, fillers, apology.

Kept by engine, its settings, the text and the sample rate. Whoever greets then waits for no
voice: the first sound is there before the call is. Each text goes once through an ordinary
pipeline of the voice's service and the reply gate, as any reply does, at the highest rate any
transport pulls; the other rates are made of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from voice_agent.config import EngineChoice
from voice_agent.engines import SessionInfo
from voice_agent.frames import ReplyStartFrame
from voice_agent.media import HEARD_HZ
from voice_agent.turns.events import Tag
from voice_agent.turns.gate import ReplyGate
from voice_agent.turns.playout import AUDIBLE, Playout
from voice_agent.turns.reply import Clip

RATES_HZ = (8_000, 16_000, 24_000, 48_000)
"""What transports pull at: telephones, wideband, OpenAI's Realtime API, WebRTC."""
PATIENCE_S = 30.0
"""The longest that one phrase may take; a large voice on a small machine is slow."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What a phrase sounds like depends on."""

    engine: str
    settings: str

    @classmethod
    def of(cls, choice: EngineChoice) -> Voice:
        """Return the voice that an engine's section makes."""
        return cls(choice.engine, choice.settings.model_dump_json())


class Phrases:
    """The phrases of one process."""

    def __init__(self) -> None:
        self._clips: dict[tuple[Voice, str, int], Clip] = {}

    def clip(self, choice: EngineChoice, text: str, rate_hz: int) -> Clip | None:
        """Return ``text`` in the voice of ``choice``; None: it was not made, say it live."""
        return self._clips.get((Voice.of(choice), text, rate_hz))

    async def make(
        self,
        choice: EngineChoice,
        service: Callable[[SessionInfo], TTSService],
        texts: Sequence[str],
    ) -> None:
        """Synthesize the texts that this voice has not said yet, at every rate.

        A voice that fails at it is not an error here: it will be heard when it is asked again.
        """
        voice, hz = Voice.of(choice), max(RATES_HZ)
        new = [text for text in dict.fromkeys(texts) if (voice, text, hz) not in self._clips]
        if not new:
            return
        session = SessionInfo("phrases", HEARD_HZ, hz)
        spoken = await _speak(service(session), new, hz)
        if len(spoken) < len(new):
            logger.warning(f"{len(new) - len(spoken)} phrases could not be synthesized beforehand")
        for text, clip in spoken.items():
            for rate_hz in RATES_HZ:
                made = await asyncio.to_thread(_at_rate, _trimmed(clip, hz), hz, rate_hz)
                self._clips[voice, text, rate_hz] = made


async def _speak(service: TTSService, texts: Sequence[str], hz: int) -> dict[str, Clip]:
    """Let ``service`` say each text as a reply; what it fails to say is left out."""
    said: asyncio.Queue[Tag | None] = asyncio.Queue()
    playout = Playout(hz, 0.0, lambda _: None)
    gate = ReplyGate(
        playout,
        on_clause=lambda _: None,
        on_audio=lambda _, __: None,
        on_round_ended=said.put_nowait,
    )
    worker = PipelineWorker(
        Pipeline([service, gate]),
        params=PipelineParams(audio_in_sample_rate=HEARD_HZ, audio_out_sample_rate=hz),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
        check_dangling_tasks=False,
    )

    async def on_error(_: PipelineWorker, frame: ErrorFrame) -> None:
        logger.warning(f"the voice failed at a phrase: {frame.error}")
        said.put_nowait(None)

    worker.add_event_handler("on_pipeline_error", on_error)
    runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run(), name="phrases")
    clips = {}
    try:
        for number, text in enumerate(texts):
            tag = Tag(0, number)
            playout.begin(tag)
            await worker.queue_frames(
                [
                    ReplyStartFrame(turn=tag.turn, revision=tag.revision),
                    LLMFullResponseStartFrame(),
                    LLMTextFrame(text),
                    LLMFullResponseEndFrame(),
                ]
            )
            async with asyncio.timeout(PATIENCE_S):
                if await said.get() is None:
                    break
            clip = playout.clip(tag)
            if clip.pcm.size:
                clips[text] = clip
    except TimeoutError:
        logger.warning(f"the voice took more than {PATIENCE_S:.0f} s for a phrase")
    finally:
        await worker.cancel()
        await running
    return clips


def _trimmed(clip: Clip, hz: int) -> Clip:
    """Return ``clip`` without the silence around it: waiting that nobody asked for."""
    sounds = np.flatnonzero(np.abs(clip.pcm.astype(np.int32)) >= AUDIBLE * 32768.0)
    if not sounds.size:
        return clip
    margin = hz // 200
    start = max(0, int(sounds[0]) - margin)
    end = min(clip.pcm.size, int(sounds[-1]) + 1 + 4 * margin)
    words = ((text, max(0, s - start), max(0, e - start)) for text, s, e in clip.words)
    return Clip(clip.pcm[start:end], tuple(words))


def _at_rate(clip: Clip, hz: int, rate_hz: int) -> Clip:
    if rate_hz == hz:
        return clip
    words = tuple((text, s * rate_hz // hz, e * rate_hz // hz) for text, s, e in clip.words)
    return Clip(soxr.resample(clip.pcm, hz, rate_hz), words)
