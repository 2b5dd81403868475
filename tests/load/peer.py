"""A voice agent small enough to know what it did: hears a voice end, answers with a tone."""

import asyncio
import json
import time
from fractions import Fraction

import av
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

HZ = 48_000
FRAME = 960
LOUD = 1000
VOICE_MS = 100
"""Loud sounds shorter than this are no voice."""


def tone(seconds):
    """A sound that is far louder than -45 dBFS from its first sample on."""
    return (8000 * np.cos(2 * np.pi * 440 * np.arange(int(HZ * seconds)) / HZ)).astype(np.int16)


class AgentTrack(MediaStreamTrack):
    """Silence, and whatever is put into ``pending``, in 20 ms frames on a clock."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.pending = np.zeros(0, np.int16)
        self.silent = asyncio.Event()
        self.frame = 0
        self.sound_frames = []
        """(frame number, monotonic seconds) of every frame handed over that begins a sound."""
        self._was_loud = False

    async def recv(self):
        if self.frame == 0:
            self.origin = time.monotonic()
        await asyncio.sleep(max(0.0, self.origin + self.frame * 0.02 - time.monotonic()))
        samples, self.pending = self.pending[:FRAME], self.pending[FRAME:]
        if not len(samples):
            self.silent.set()
        samples = np.pad(samples, (0, FRAME - len(samples)))
        loud = bool(np.abs(samples).max() > LOUD)
        if loud and not self._was_loud:
            self.sound_frames.append((self.frame, time.monotonic()))
        self._was_loud = loud
        frame = av.AudioFrame.from_ndarray(samples[None, :], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = HZ, self.frame * FRAME, Fraction(1, HZ)
        self.frame += 1
        return frame


class Peer:
    """The agent behind ``/api/offer``; ``async with`` runs it on a free port.

    Args:
        busy: Answer 503.
        greeting: Say hello with a tone.
        deaf: Never answer.
        wait_ms: Silence heard before it answers.
        answer_s: Length of its answers.
    """

    def __init__(self, *, busy=False, greeting=False, deaf=False, wait_ms=300, answer_s=1.0):
        self.busy, self.greeting, self.deaf, self.wait_ms = busy, greeting, deaf, wait_ms
        self.answer_s = answer_s
        self.calls = []
        self.gave_way_s = []
        """Monotonic seconds at which it stopped because somebody spoke."""
        self.voice_ends = []
        """Monotonic seconds at which a loud frame arrived that silence followed."""
        self.pings = 0
        self.received = []
        self._tasks = []

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/api/offer", self._offer)
        self._server = TestServer(app)
        await self._server.start_server()
        self.url = str(self._server.make_url("/"))
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pc in self.calls:
            await pc.close()
        await self._server.close()

    async def _offer(self, request):
        if self.busy:
            return web.json_response(
                {"error": "all 8 lines are taken"}, status=503, headers={"Retry-After": "7"}
            )
        offer = await request.json()
        pc = RTCPeerConnection()
        self.calls.append(pc)
        self.track = AgentTrack()
        pc.on("track", lambda track: self._spawn(self._listen(track)))
        pc.on("datachannel", self._on_channel)
        await pc.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        pc.addTrack(self.track)
        await pc.setLocalDescription(await pc.createAnswer())
        local = pc.localDescription
        return web.json_response({"sdp": local.sdp, "type": local.type, "pc_id": "1"})

    def _spawn(self, coroutine):
        self._tasks.append(asyncio.create_task(coroutine))

    def _on_channel(self, channel):
        self._channel = channel
        channel.on("message", self._on_message)

    def _on_message(self, text):
        if text.startswith("ping"):
            self.pings += 1
            return
        message = json.loads(text)
        self.received.append(message)
        if message["type"] == "client-ready":
            self.send("bot-ready", {"version": "2.2.0"})
            if self.greeting:
                self._spawn(self._speak("Hello."))

    def send(self, kind, data=None):
        self._channel.send(
            json.dumps({"label": "rtvi-ai", "type": kind, "id": "1", "data": data or {}})
        )

    def hang_up(self, text):
        self.send("server-message", {"type": "goodbye", "reason": "idle", "text": text})

    async def _listen(self, track):
        quiet_ms, loud_ms = 0, 0
        while True:
            frame = await track.recv()
            now = time.monotonic()
            if int(np.abs(frame.to_ndarray().astype(np.int32)).max()) > LOUD:
                loud_ms, quiet_ms, ended = loud_ms + 20, 0, now
            else:
                quiet_ms += 20
            if loud_ms == VOICE_MS and len(self.track.pending) and quiet_ms == 0:
                self.track.pending = self.track.pending[:0]
                self.gave_way_s.append(now)
            if loud_ms and quiet_ms >= self.wait_ms:
                was_voice, loud_ms = loud_ms >= VOICE_MS, 0
                if was_voice and not self.deaf:
                    self.voice_ends.append(ended)
                    self.send("server-message", {"type": "user-turn", "turn": 1, "text": "I said"})
                    self._spawn(self._speak("You said so."))

    async def _speak(self, words):
        self.send("bot-started-speaking")
        self.track.silent.clear()
        self.track.pending = tone(self.answer_s)
        await self.track.silent.wait()
        self.send("bot-stopped-speaking")
        self.send("server-message", {"type": "agent-turn", "text": words, "interrupted": False})
