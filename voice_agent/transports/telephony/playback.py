"""The agent's voice on its way to a player far away: a little ahead of time, and recallable.

The first packet of an answer leaves at once; the next ones follow until the far player has
``lead_ms`` in hand, then one a packet's time. What has been heard is what the far end's marks say:
one is sent now and then and behind the last packet. Between two marks, when the voice is recalled,
it is taken to have played on in real time: what leaves now arrives behind what it takes back by the
time that both take, so the clock here tells what is heard there. A line that has no marks, or loses
them, is believed to play in real time altogether.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from voice_agent.media import AudioSource, Pcm
from voice_agent.transports.telephony.audio import Level, encoded
from voice_agent.transports.telephony.wire import Format, Wire

LONGEST_WAY_S = 1.0
"""What is assumed of the way there and back before the first mark has come."""
LOST_MARK_MS = 1500.0
"""A mark that is later than this is taken to be lost."""


class Playback:
    """Pulls from ``source`` and sends until cancelled.

    Args:
        wire: The line's protocol.
        format: What the line plays.
        source: Where the agent's voice comes from.
        send: Sends one message, in order, without blocking.
    """

    def __init__(
        self,
        wire: Wire,
        format: Format,
        source: AudioSource,
        send: Callable[[str | bytes], None],
    ) -> None:
        self._wire = wire
        self._format = format
        self._source = source
        self._send = send
        self._step = format.hz // 50
        """Samples in 20 ms: packets are so many of these as are ready, ``packet_ms`` at most."""
        self._steps = wire.packet_ms // 20
        self._going = asyncio.Event()
        self._going.set()
        self._cut = asyncio.Event()
        self._floor = asyncio.Lock()
        """Held by what is sent now: a stretch of the agent's voice, or a sound of the line's."""
        self._generation = 0
        self._sent = 0
        """Samples sent since the last recall."""
        self._played = 0
        """Of those, known to have been heard."""
        self._plays_until = 0.0
        """When the far player has played all of them, if it plays in real time; loop's clock, s."""
        self._marks: deque[tuple[str, int, float]] = deque()
        """Marks sent and not come back: name, samples before it, when they should be heard."""
        self._overdue: asyncio.TimerHandle | None = None
        self._way_s = LONGEST_WAY_S
        """There and back: how late marks come at best."""
        self._passed: tuple[int, float] | None = None
        """The last mark that came back since the recall: samples before it, and when it came."""
        self._unmarked = 0
        """Samples sent since the last mark."""
        self._has_marks = wire.mark("") is not None
        self.level = Level()
        self.recalls = 0
        self.marks_lost = 0
        source.on_recall(self._recall)

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self._going.wait()
                await self._source.wait_audible()
                async with self._floor:
                    if self._going.is_set():
                        await self._speak()
        finally:
            if self._overdue is not None:
                self._overdue.cancel()

    def pause(self) -> None:
        """Send nothing until ``resume``."""
        self._going.clear()
        self._cut.set()

    def resume(self) -> None:
        """Go on where the voice was."""
        self._going.set()

    async def sound(self, pcm: Pcm) -> None:
        """Send a sound that is not the agent's voice, when that is silent; return when it is over.

        All of it at once: a gap in the tone of a key is the key pressed twice.
        """
        loop = asyncio.get_running_loop()
        whole = self._step * self._steps
        padded = np.append(pcm, np.zeros(-pcm.size % whole, dtype=np.int16))
        async with self._floor:
            self._plays_until = max(loop.time(), self._plays_until)
            for block in padded.reshape(-1, whole):
                self._emit(block)
            await asyncio.sleep(max(0.0, self._plays_until - loop.time()))

    def marked(self, name: str) -> None:
        """A mark has come back; those of what was recalled mean nothing."""
        generation, _, _ = name.partition(".")
        if generation != str(self._generation) or not any(name == each[0] for each in self._marks):
            return
        now = asyncio.get_running_loop().time()
        while self._marks:
            passed, samples, due = self._marks.popleft()
            if passed == name:
                self._way_s = min(self._way_s, max(0.0, now - due))
                self._passed = samples, now
                self._heard_until(samples)
                break
        self._watch_marks()

    def drained(self) -> None:
        """The far player has played everything."""
        self._marks.clear()
        self._heard_until(self._sent)
        self._watch_marks()

    # ----- one stretch of speech -----

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        self._cut.clear()
        self._plays_until = max(loop.time(), self._plays_until)
        while True:
            steps = min(max(1, self._source.ready() // self._step), self._steps)
            block = self._source.pull_ahead(steps * self._step)
            if self._cut.is_set():
                return  # recalled in the moment it was pulled
            self._put(block)
            over = not block.any() and not await self._goes_on(self._plays_until)
            if self._cut.is_set():
                return
            if over or self._unmarked >= self._wire.mark_ms / 1000.0 * self._format.hz:
                self._mark()
            if over:
                return
            await self._wait(self._plays_until - self._wire.lead_ms / 1000.0)
            # A far player that ran dry meanwhile starts again when the next packet is there.
            self._plays_until = max(loop.time(), self._plays_until)
            if self._cut.is_set():
                return

    def _put(self, block: Pcm) -> None:
        self._emit(block)
        self._sent += block.size
        self._unmarked += block.size

    def _emit(self, block: Pcm) -> None:
        self.level.take(block)
        self._send(self._wire.audio(encoded(block, self._format.encoding)))
        self._plays_until += block.size / self._format.hz

    async def _goes_on(self, until: float) -> bool:
        """Whether there is more to say by then: a pause in the voice is not its end."""
        try:
            async with asyncio.timeout_at(until):
                await self._source.wait_audible()
        except TimeoutError:
            return False
        return True

    async def _wait(self, until: float) -> None:
        if until <= asyncio.get_running_loop().time():
            return
        try:
            async with asyncio.timeout_at(until):
                await self._cut.wait()
        except TimeoutError:
            return

    def _recall(self) -> None:
        """What is on its way must not be heard, as far as it can be helped."""
        if not self._wire.recalls:
            self._heard_until(self._sent)
            return
        self._heard_until(self._heard_by_then())
        message = self._wire.clear()
        if message is not None:
            self._send(message)
        self.recalls += 1
        self._generation += 1
        self._sent = self._played = self._unmarked = 0
        self._marks.clear()
        self._passed = None
        self._plays_until = 0.0
        self._watch_marks()
        self._cut.set()

    def _heard_by_then(self) -> int:
        """Return the samples that will have been heard when what is sent now arrives."""
        now = asyncio.get_running_loop().time()
        hz = self._format.hz
        heard = self._sent - round(max(0.0, self._plays_until - now) * hz)
        if self._passed is not None:  # it may have stood still since, but not run ahead
            samples, came = self._passed
            heard = min(heard, samples + round((now - came + self._way_s) * hz))
        return max(self._played, min(heard, self._sent))

    # ----- what was heard -----

    def _mark(self) -> None:
        self._unmarked = 0
        name = f"{self._generation}.{self._sent}"
        message = self._wire.mark(name)
        if message is not None:
            self._send(message)
        self._marks.append((name, self._sent, self._plays_until))
        if len(self._marks) == 1:
            self._watch_marks()

    def _heard_until(self, samples: int) -> None:
        new, self._played = samples - self._played, max(samples, self._played)
        if new > 0:
            self._source.played(new)

    def _watch_marks(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if self._marks:
            patience_ms = LOST_MARK_MS if self._has_marks else self._wire.unmarked_ms
            loop = asyncio.get_running_loop()
            due = self._marks[0][2] + patience_ms / 1000.0
            self._overdue = loop.call_at(due, self._give_mark_up)

    def _give_mark_up(self) -> None:
        _, samples, _ = self._marks.popleft()
        self.marks_lost += self._has_marks
        self._heard_until(samples)
        self._watch_marks()

    def figures(self) -> dict[str, float]:
        """Return what a trace should know of the line."""
        return {
            "out_dbfs": round(self.level.dbfs, 1),
            "out_peak_dbfs": round(self.level.peak_dbfs, 1),
            "out_clipped": self.level.clipped,
            "out_recalls": self.recalls,
            "out_marks_lost": self.marks_lost,
        }
