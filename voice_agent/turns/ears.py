"""The front of the pipeline: everything the agent hears goes through here, once.

Audio takes the short way: from the transport to the VAD and to recognition, and no further. The
turn machine hears of voice directly, not by frames behind the audio's queue; recognition gets
every packet, whatever the VAD thinks, and Pipecat's own frame at the onset of voice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    StartFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voice_agent.deadline import Deadline
from voice_agent.frames import VoicePausedFrame
from voice_agent.media import HEARD_HZ, HeardAudio, Pcm, Transport, now_ms
from voice_agent.turns.settings import VadSettings
from voice_agent.turns.vad import WINDOW, WINDOW_MS, VadStream, Voice, VoiceTracker

STARVED_MS = 120.0
"""No packet for this long while the voice is on: the microphone is muted or the network has
stalled, and the voice counts as stopped; a VAD that hears nothing would say "speaking" for ever."""

REMEMBERED_MS = 8000.0
"""Audio kept for the sound model, which wants the last 8 s."""


class Ears(FrameProcessor):
    """Listens to one caller.

    Args:
        transport: Whom to listen to.
        vad: The caller's own stream of the shared model.
        settings: ``[vad]`` of the pipeline.
        on_voice: Told at once when the voice starts and stops.
        on_gone: Told once when the caller has gone.
    """

    def __init__(
        self,
        transport: Transport,
        vad: VadStream,
        settings: VadSettings,
        *,
        on_voice: Callable[[Voice], None],
        on_gone: Callable[[], None],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._vad = vad
        self._tracker = VoiceTracker(settings)
        self._settings = settings
        self._on_voice = on_voice
        self._on_gone = on_gone
        self._listening: asyncio.Task[None] | None = None
        self._starved = Deadline(self._starve)
        self._starved_ms = STARVED_MS
        self._unscored = np.empty(0, dtype=np.int16)
        self._remembered: deque[tuple[float, float, Pcm]] = deque()
        """When each packet was captured, when it arrived, and what was in it."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on; the audio comes from the transport."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._listening = self.create_task(self._listen(), "ears")

    async def cleanup(self) -> None:
        """Stop listening."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        self._starved.cancel()
        if self._listening is not None:
            await self.cancel_task(self._listening)
            self._listening = None

    def configure(self, settings: VadSettings, *, starved_ms: float = STARVED_MS) -> None:
        """Go by other settings from now on; ``starved_ms``: see ``STARVED_MS``."""
        self._tracker.configure(settings)
        self._starved_ms = starved_ms

    def remembered(self, since_ms: float) -> Pcm:
        """Return the audio captured since then, the last 8 s at most; 16 kHz mono, shape (n,)."""
        packets = [pcm for captured_ms, _, pcm in self._remembered if captured_ms >= since_ms]
        return np.concatenate(packets) if packets else self._unscored[:0]

    def arrived_ms(self, at_ms: float) -> float | None:
        """Return when the packet with the sound of this moment came; None: not remembered."""
        for captured_ms, arrived_ms, _ in reversed(self._remembered):
            if captured_ms < at_ms:
                return arrived_ms
        return None

    async def _listen(self) -> None:
        async for heard in self._transport.heard():
            await self.push_frame(
                InputAudioRawFrame(audio=heard.pcm, sample_rate=HEARD_HZ, num_channels=1)
            )
            await self._score(heard)
            if self._tracker.on:
                self._starved.put_off(self._starved_ms / 1000.0)
            else:
                self._starved.cancel()
        self._starve()
        self._on_gone()

    async def _score(self, heard: HeardAudio) -> None:
        pcm = np.frombuffer(heard.pcm, dtype=np.int16)
        self._remembered.append((heard.captured_ms, heard.arrived_ms, pcm))
        while self._remembered[0][0] < heard.captured_ms - REMEMBERED_MS:
            self._remembered.popleft()
        voice = self._tracker.packet(pcm, heard.captured_ms)
        if voice is not None:
            self._on_voice(voice)
            await self._tell_recogniser(voice)
        pending = np.concatenate([self._unscored, pcm]) if self._unscored.size else pcm
        began_ms = heard.captured_ms - self._unscored.size / HEARD_HZ * 1000.0
        while pending.size >= WINDOW:
            window, pending = pending[:WINDOW], pending[WINDOW:]
            voice = self._tracker.window(began_ms, self._vad.score(window))
            began_ms += WINDOW_MS
            if self._tracker.due_reset():
                self._vad.reset()
            if voice is not None:
                self._on_voice(voice)
                await self._tell_recogniser(voice)
        self._unscored = pending

    async def _tell_recogniser(self, voice: Voice) -> None:
        if voice.on:
            since_s = max(0.0, now_ms() - voice.at_ms) / 1000.0
            await self.push_frame(VADUserStartedSpeakingFrame(start_secs=since_s))
        else:
            await self.push_frame(VoicePausedFrame())

    def _starve(self) -> None:
        voice = self._tracker.silence()
        if voice is not None:
            self._on_voice(voice)
