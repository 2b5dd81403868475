"""The agent's voice on its way to a player far away, in virtual time: when it leaves, what of it
was heard, and how it is taken back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest

from tests.llm.virtual_time import run_virtual
from voice_agent.transports.telephony.audio import decoded
from voice_agent.transports.telephony.playback import LOST_MARK_MS, Playback
from voice_agent.transports.telephony.wire import Encoding, Event, Format, Wire
from voice_agent.turns.events import Tag
from voice_agent.turns.playout import FirstSound, PlayedOut, Playout, PlayoutEvent, WordsPlayed

ONE = Tag(1, 1)
WORDS = "a b c d e f g h i j"
LEAD_S = Wire.lead_ms / 1000.0


class PlainWire(Wire):
    """Says what it does."""

    def __init__(self, marks: bool = True, clears: bool = True) -> None:
        self._marks = marks
        self.recalls = clears  # type: ignore[misc]

    def receive(self, message: str | bytes) -> Iterable[Event]:
        return ()

    def audio(self, payload: bytes) -> bytes:
        return payload

    def mark(self, name: str) -> str | None:
        return f"mark {name}" if self._marks else None

    def clear(self) -> str:
        return "clear"


class FarPlayer:
    """Plays 20 ms in 20 ms, ``away_s`` away each way."""

    def __init__(
        self,
        away_s: float = 0.05,
        marks: bool = True,
        returns_marks: bool = True,
        clears: bool = True,
    ) -> None:
        self.events: list[tuple[float, PlayoutEvent]] = []
        self.sent: list[tuple[float, str | bytes]] = []
        self.heard: list[tuple[float, bytes]] = []
        self.longest = 0
        self._away_s = away_s
        self._returns = returns_marks
        self._line: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue()
        self._buffer: list[str | bytes] = []
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        self.playout = Playout(8000, -18.0, lambda event: self.events.append((self.now(), event)))
        self.playback = Playback(PlainWire(marks, clears), Format(), self.playout, self._send)

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    def _send(self, message: str | bytes) -> None:
        self.sent.append((self.now(), message))
        self._line.put_nowait((self.now() + self._away_s, message))

    async def _arrive(self) -> None:
        while True:
            at, message = await self._line.get()
            await asyncio.sleep(max(0.0, at - self.now()))
            if message == "clear":
                self._buffer.clear()
            else:
                self._buffer.append(message)
                audio = [each for each in self._buffer if isinstance(each, bytes)]
                self.longest = max(self.longest, len(audio))

    async def _play(self) -> None:
        while True:
            while self._buffer and isinstance(self._buffer[0], str):
                name = self._buffer.pop(0).removeprefix("mark ")
                if self._returns:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._away_s, self.playback.marked, name)
            if self._buffer:
                packet = self._buffer.pop(0)
                assert isinstance(packet, bytes)
                self.heard.append((self.now(), packet))
                await asyncio.sleep(0.02)
            else:
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        works = (self.playback.run(), self._arrive(), self._play())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def answer(self, seconds: float = 1.0, finish: bool = True) -> None:
        self.playout.begin(ONE)
        each = round(seconds * 8000) // 10
        self.playout.words(
            ONE, [(word, i * each, (i + 1) * each) for i, word in enumerate(WORDS.split())]
        )
        self.playout.write(ONE, np.full(round(seconds * 8000), 10_000, dtype=np.int16))
        if finish:
            self.playout.finish(ONE)
        self.playout.release(ONE)

    def told(self, kind: type[PlayoutEvent]) -> list[float]:
        return [at for at, event in self.events if isinstance(event, kind)]

    def loud(self) -> list[float]:
        return [at for at, packet in self.heard if packet.strip(b"\xff\x7f")]


def test_the_first_packet_leaves_at_once_and_the_rest_a_little_ahead_of_time() -> None:
    """An idle line adds nothing to the latency; the far player is never more than the lead full."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            await asyncio.sleep(0.333)
            far.answer()
            await asyncio.sleep(2.0)
        audio = [at for at, message in far.sent if isinstance(message, bytes)]
        assert audio[0] == pytest.approx(0.333, abs=0.001)
        for number, at in enumerate(audio):
            due = 0.333 + number * 0.02
            assert due - LEAD_S - 0.001 <= at <= max(due - LEAD_S + 0.021, 0.334)
        assert far.longest <= LEAD_S / 0.02 + 1
        gaps = np.diff(far.loud())
        assert gaps.max() < 0.0211, "no gap in the voice"

    run_virtual(main())


def test_what_was_heard_is_what_the_marks_say() -> None:
    """Words and the end are told when they have been played far away, not when they left."""

    async def main() -> None:
        far = FarPlayer(away_s=0.2)
        async with far.playing():
            far.answer()
            await asyncio.sleep(2.0)
        [first] = far.told(FirstSound)
        assert first == pytest.approx(0.0, abs=0.001)
        words = far.told(WordsPlayed)
        assert words[0] == pytest.approx(0.4 + 0.1, abs=0.03), "there, 100 ms of it, and back"
        [end] = far.told(PlayedOut)
        assert end == pytest.approx(0.4 + 1.02, abs=0.03)

    run_virtual(main())


@pytest.mark.parametrize("away_s", [0.0, 0.05, 0.15])
def test_a_stopped_voice_is_silent_as_soon_as_the_far_player_hears_of_it(away_s: float) -> None:
    """It does not play to the end what it had in hand; and nothing it cleared is remembered."""

    async def main() -> None:
        far = FarPlayer(away_s)
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.5)
            heard = far.playout.stop().split()
            await asyncio.sleep(1.0)
        assert max(far.loud()) <= 0.5 + away_s + 0.001
        played_s = len(far.loud()) * 0.02
        assert len(heard) == pytest.approx(played_s / 0.1, abs=1)

    run_virtual(main())


def test_marks_of_what_was_cleared_mean_nothing() -> None:
    """Carriers send them back at once when they clear; they would say that all was heard."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.3)
            stale = [m.removeprefix("mark ") for _, m in far.sent if isinstance(m, str)]
            heard = far.playout.stop()
            far.playout.resume()
            for name in stale:
                far.playback.marked(name)
            assert len(far.playout.heard(ONE)) <= len(heard)
            far.playback.marked("nonsense")
            await asyncio.sleep(2.0)
        assert [e.text for _, e in far.events if isinstance(e, PlayedOut)] == [WORDS]

    run_virtual(main())


@pytest.mark.parametrize("away_s", [0.0, 0.05, 0.15])
def test_a_ducked_voice_is_quiet_as_soon_as_the_far_player_hears_of_it(away_s: float) -> None:
    """What was on its way is replaced by the same, quieter: nothing is lost, nothing said again."""

    async def main() -> None:
        far = FarPlayer(away_s)
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.41)
            far.playout.duck()
            await asyncio.sleep(2.0)
        levels = [(at, np.abs(decoded(packet, Encoding.PCMU)).max()) for at, packet in far.heard]
        full = [at for at, level in levels if level > 5000]
        quiet = [at for at, level in levels if 500 < level < 2000]
        assert max(full) <= 0.41 + away_s + 0.021
        assert len(quiet) * 0.02 == pytest.approx(1.0 - 0.41 - 0.02, abs=0.05)
        assert np.diff(far.loud()).max() < 0.0411
        assert (len(full) + len(quiet)) * 0.02 == pytest.approx(1.0, abs=0.041)
        assert [e.text for _, e in far.events if isinstance(e, PlayedOut)] == [WORDS]

    run_virtual(main())


def test_what_cannot_be_taken_back_is_heard() -> None:
    """A line that clears nothing plays what it was sent, and that is remembered."""

    async def main() -> None:
        far = FarPlayer(clears=False)
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.49)
            heard = far.playout.stop().split()
            await asyncio.sleep(1.0)
        assert len(far.loud()) * 0.02 == pytest.approx(0.49 + LEAD_S, abs=0.021)
        assert len(heard) == 6

    run_virtual(main())


def test_a_paused_voice_goes_on_at_its_last_word() -> None:
    """Hushed while it is not known what the caller wants: a word is said again, none is lost."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.5)
            far.playout.hush()
            await asyncio.sleep(0.4)
            far.playout.unduck()
            await asyncio.sleep(2.0)
        loud = far.loud()
        pauses = [(a, b) for a, b in pairwise(loud) if b - a > 0.021]
        assert len(pauses) == 1
        assert 0.3 < pauses[0][1] - pauses[0][0] < 0.5
        assert len(loud) * 0.02 == pytest.approx(1.0 + 0.2, abs=0.15), "a word or two again"
        assert [e.text for _, e in far.events if isinstance(e, PlayedOut)] == [WORDS]

    run_virtual(main())


@pytest.mark.parametrize(("marks", "after_s"), [(True, LOST_MARK_MS / 1000.0), (False, 0.1)])
def test_a_line_without_marks_is_believed_to_play_in_real_time(marks: bool, after_s: float) -> None:
    """No marks, or none that come back: the answer still ends, and the turn with it."""

    async def main() -> None:
        far = FarPlayer(marks=marks, returns_marks=False)
        async with far.playing():
            far.answer()
            await asyncio.sleep(4.0)
        [end] = far.told(PlayedOut)
        assert end == pytest.approx(1.02 + after_s, abs=0.02)
        assert far.playback.figures()["out_marks_lost"] == (11 if marks else 0)

    run_virtual(main())


def test_an_engine_that_is_late_makes_a_gap_and_no_more() -> None:
    """What comes late is played from then on, the first packet of it at once."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            far.answer(0.2, finish=False)
            await asyncio.sleep(0.7)
            far.playout.write(ONE, np.full(1600, 10_000, dtype=np.int16))
            far.playout.finish(ONE)
            await asyncio.sleep(1.0)
        loud = far.loud()
        assert len(loud) == 20
        assert loud[10] == pytest.approx(0.7 + 0.05, abs=0.003)
        assert far.told(PlayedOut)

    run_virtual(main())


def test_nothing_is_sent_while_there_is_nothing_to_say() -> None:
    """An idle line is silent, and costs nobody anything."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            await asyncio.sleep(60.0)
            far.answer(0.1)
            await asyncio.sleep(60.0)
        audio = [message for _, message in far.sent if isinstance(message, bytes)]
        assert len(audio) == 6, "five packets of voice, and one of silence that ends it"

    run_virtual(main())


def test_while_keys_are_entered_the_voice_waits() -> None:
    """Paused at once but for what is under way, and gone on with afterwards."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.3)
            far.playback.pause()
            await asyncio.sleep(1.0)
            assert max(far.loud()) < 0.3 + LEAD_S + 0.06
            far.playback.resume()
            await asyncio.sleep(2.0)
        assert len(far.loud()) == 50
        assert far.told(PlayedOut)

    run_virtual(main())


def test_keys_sound_when_the_voice_is_silent() -> None:
    """Behind what the agent is saying, whole, in real time; and nothing of it counts as words."""

    async def main() -> None:
        far = FarPlayer()
        async with far.playing():
            far.answer()
            await asyncio.sleep(0.5)
            await far.playback.sound(np.full(1000, 3000, dtype=np.int16))
            assert far.now() >= 1.0
            await asyncio.sleep(1.0)
        assert [e.text for _, e in far.events if isinstance(e, PlayedOut)] == [WORDS]
        assert len(far.loud()) * 0.02 == pytest.approx(1.0 + 0.14, abs=0.021)
        assert max(far.loud()) <= 1.0 + 0.14 + 0.15

    run_virtual(main())


def test_it_can_be_ended_at_any_moment() -> None:
    """Cancelled while idle, while speaking, while paused: it ends, and leaves no timer."""

    async def main() -> None:
        for wait_s in (0.0, 0.01, 0.1, 0.5):
            far = FarPlayer()
            running = asyncio.create_task(far.playback.run())
            far.answer()
            await asyncio.sleep(wait_s)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert far.playback._overdue is None or far.playback._overdue.cancelled()

    run_virtual(main())
