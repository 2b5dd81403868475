"""Recordings of turns: two channels, the user's and the agent's, by the media clock.

Made only where ``trace.audio`` is on: then a conversation's transport is wrapped, and what is heard
and what is played is kept for as long as a turn may take. A packet of the user's lies where it was
captured, one of the agent's where it left the transport (or, pulled ahead, where it was heard), so
that a silence in the file is as long as it was in the call.
"""

from __future__ import annotations

import io
import wave
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from voice_agent.media import HEARD_HZ, AudioSource, HeardAudio, Pcm, Transport, now_ms
from voice_agent.trace.model import Turn

HZ = HEARD_HZ
"""Sample rate of a recording, Hz."""
KEPT_MS = 120_000.0
"""Audio kept of a conversation: what is longer ago is not in the recording of a turn."""
_LEAD_MS = 300.0
"""Of what came before the user's voice, so much is in the recording."""
_TOGETHER_MS = 45.0
"""Packets that begin so soon after the end of the one before, or before it, follow it without a
gap: their times are those of a busy loop, what they carry is one stream."""


@dataclass(frozen=True, slots=True)
class _Packet:
    at_ms: float
    pcm: Pcm


class Track:
    """One side's audio with its times, the last two minutes of it."""

    def __init__(self, hz: int) -> None:
        self.hz = hz
        self._packets: deque[_Packet] = deque()

    def add(self, at_ms: float, pcm: Pcm) -> None:
        """Take audio whose first sample belongs to ``at_ms``."""
        self._packets.append(_Packet(at_ms, pcm))
        while self._packets[0].at_ms < at_ms - KEPT_MS:
            self._packets.popleft()

    def between(self, begin_ms: float, end_ms: float) -> list[_Packet]:
        """Return the packets that have something in a stretch of time, oldest first."""
        return [
            packet
            for packet in self._packets
            if packet.at_ms < end_ms
            and packet.at_ms + packet.pcm.size / self.hz * 1000.0 > begin_ms
        ]


class Recorder:
    """The audio of one conversation, cut into turns.

    Args:
        out_hz: Sample rate of the agent's voice, Hz.
        epoch_s: Wall clock, seconds since 1970, at zero of the monotonic clock.
    """

    def __init__(self, out_hz: int, epoch_s: float) -> None:
        self.user = Track(HEARD_HZ)
        self.agent = Track(out_hz)
        self._epoch_s = epoch_s

    def cut(self, turn: Turn) -> Callable[[], bytes]:
        """Return what encodes a turn's recording (WAV, 16 kHz, 16 bit), to be called elsewhere."""
        zero_ms = (turn.started_at - self._epoch_s) * 1000.0
        voices = [span.start_ms for span in turn.spans if span.name == "user"]
        begin_ms = zero_ms + min([0.0, *voices]) - _LEAD_MS
        end_ms = zero_ms + max(turn.ended_ms or 0.0, turn.v2v_ms or 0.0)
        begin_ms = max(begin_ms, end_ms - KEPT_MS)
        sides = [(track.between(begin_ms, end_ms), track.hz) for track in (self.user, self.agent)]
        return lambda: encode(sides, begin_ms, end_ms)


def encode(sides: list[tuple[list[_Packet], int]], begin_ms: float, end_ms: float) -> bytes:
    """Return a WAV with a channel a side, each packet where it belongs."""
    samples = max(1, round((end_ms - begin_ms) * HZ / 1000.0))
    channels = np.zeros((samples, len(sides)), dtype=np.int16)
    for channel, (packets, hz) in enumerate(sides):
        for run in _runs(packets, hz):
            pcm = np.concatenate([packet.pcm for packet in run])
            if hz != HZ:
                pcm = soxr.resample(pcm, hz, HZ)
            _lay(channels[:, channel], pcm, round((run[0].at_ms - begin_ms) * HZ / 1000.0))
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(len(sides))
        wav.setsampwidth(2)
        wav.setframerate(HZ)
        wav.writeframes(channels.tobytes())
    return file.getvalue()


def _runs(packets: list[_Packet], hz: int) -> list[list[_Packet]]:
    """Group packets into runs without gaps."""
    runs: list[list[_Packet]] = []
    ends_ms = float("-inf")
    for packet in packets:
        if not runs or abs(packet.at_ms - ends_ms) > _TOGETHER_MS:
            runs.append([])
            ends_ms = packet.at_ms
        runs[-1].append(packet)
        ends_ms += packet.pcm.size / hz * 1000.0
    return runs


def _lay(channel: Pcm, pcm: Pcm, at: int) -> None:
    """Put ``pcm`` into ``channel`` from sample ``at`` on, cut at both ends."""
    begin, end = max(at, 0), min(at + pcm.size, channel.size)
    if begin < end:
        channel[begin:end] = pcm[begin - at : end - at]


class RecordedTransport:
    """A transport whose audio, both ways, is kept."""

    def __init__(self, transport: Transport, recorder: Recorder) -> None:
        self._transport = transport
        self._recorder = recorder
        self.name = transport.name
        self.ids: Mapping[str, str] = transport.ids
        self.audio_out_hz = transport.audio_out_hz

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield what the transport hears, and keep it."""
        async for heard in self._transport.heard():
            pcm = np.frombuffer(heard.pcm, dtype=np.int16)
            self._recorder.user.add(heard.captured_ms, pcm)
            yield heard

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the client's messages."""
        return self._transport.messages()

    def play(self, source: AudioSource) -> None:
        """Let the transport play, and keep what it plays."""
        self._transport.play(_RecordedSource(source, self._recorder.agent))

    def figures(self) -> Mapping[str, float]:
        """Return what a trace should know of the line so far."""
        return self._transport.figures()

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the client."""
        self._transport.send(message)

    async def close(self) -> None:
        """Hang up."""
        await self._transport.close()


class _RecordedSource:
    """What a transport pulls from, noting what was heard and when."""

    def __init__(self, source: AudioSource, track: Track) -> None:
        self._source = source
        self._track = track
        self._ahead: deque[Pcm] = deque()

    def pull(self, samples: int) -> Pcm:
        block = self._source.pull(samples)
        if block.any():
            self._track.add(now_ms(), block)
        return block

    def pull_ahead(self, samples: int) -> Pcm:
        block = self._source.pull_ahead(samples)
        self._ahead.append(block)
        return block

    def played(self, samples: int) -> None:
        self._source.played(samples)
        at_ms = now_ms() - samples / self._track.hz * 1000.0
        while samples > 0 and self._ahead:
            block = self._ahead.popleft()
            now, later = block[:samples], block[samples:]
            if later.size:
                self._ahead.appendleft(later)
            if now.any():
                self._track.add(at_ms, now)
            at_ms += now.size / self._track.hz * 1000.0
            samples -= now.size

    def ready(self) -> int:
        return self._source.ready()

    def on_recall(self, recall: Callable[[], None]) -> None:
        def recall_and_forget() -> None:
            recall()  # which may say that some of it was heard after all
            self._ahead.clear()

        self._source.on_recall(recall_and_forget)

    async def wait_audible(self) -> None:
        await self._source.wait_audible()
