"""Who is computed next: the streams of all callers in batches, by the clock, fairly.

Audio is taken in on the event loop and worked on in one thread. A batch is the next chunk of every
stream that has one; a stream that is behind gets no more than one of them, so that no caller pays
for another. Finals are waited for by somebody and go first. With ``tick_ms`` streams whose chunks
are complete at nearly the same time share a batch; while one is computed the next one gathers by
itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from loguru import logger
from prometheus_client import CollectorRegistry, Counter, Histogram

from voice_agent.asr_server.boost import Boost
from voice_agent.asr_server.mel import RATE_HZ
from voice_agent.asr_server.stream import Recogniser, Stream, to_floats
from voice_agent.asr_server.words import whole_words
from voice_agent.riva.words import Word

_Result = TypeVar("_Result")
_SAMPLE_BYTES = 2
_MS = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a stream has understood so far."""

    words: Sequence[Word]
    """Of all that the stream has kept."""
    decoded_ms: int
    """Audio whose words are among them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a final knows."""

    words: Sequence[Word]
    """Of all that the stream had kept when it was asked for."""
    forgotten: int
    """How many of those it keeps no longer."""
    heard_ms: int
    """Audio that was taken in before it was asked for."""


@dataclass(slots=True, eq=False)
class _Final:
    """A final under way: ``stream`` is the copy, once there is one."""

    done: asyncio.Future[Ended]
    asked_s: float
    stream: Stream | None = None
    forgotten: int = 0
    heard_ms: int = 0


@dataclass(slots=True, eq=False)
class Live:
    """One caller's stream; made by the scheduler."""

    stream: Stream
    on_heard: Callable[[Heard], None]
    waiting: deque[bytes | _Final] = field(default_factory=deque)
    """Audio, and requests for a final, in their order."""
    waiting_samples: int = 0
    taken: deque[bytes | _Final] = field(default_factory=deque)
    """What of it the batch that is being computed works on."""
    finals: list[_Final] = field(default_factory=list)
    """Begun in the batch that is being computed."""
    ready_s: float | None = None
    """Since when a chunk is complete."""
    busy: bool = False
    """In the batch that is being computed."""
    closed: bool = False
    room: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> bool:
        """A final is waited for."""
        return any(isinstance(each, _Final) for each in self.waiting)


class Scheduler:
    """The streams of one recogniser, which ``start`` brings.

    Args:
        registry: Where the figures go.
        tick_ms: Batches begin at multiples of this; 0: as soon as there is something to do.
        max_batch: Streams computed at once.
        backlog_s: Audio a stream may have waiting; more is not read from its client.
        on_death: Told when the model has failed: no stream will get any further.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        tick_ms: float = 10.0,
        max_batch: int = 64,
        backlog_s: float = 2.0,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self._recogniser_: Recogniser | None = None
        self._tick_s = tick_ms / 1000.0
        self._max_batch = max_batch
        self._on_death = on_death
        self._backlog = int(backlog_s * RATE_HZ)
        self._lives: set[Live] = set()
        self._finals: list[_Final] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recognition")
        self._task: asyncio.Task[None] | None = None
        self._steps = Histogram(
            "asr_step_ms", "Computing one batch", buckets=_MS, registry=registry
        )
        self._sizes = Histogram(
            "asr_batch_streams", "Streams in a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=registry,
        )  # fmt: skip
        self._lags = Histogram(
            "asr_chunk_wait_ms", "From a complete chunk to its words", buckets=_MS,
            registry=registry,
        )  # fmt: skip
        self._final_ms = Histogram(
            "asr_final_ms", "From the request to the final", buckets=_MS, registry=registry
        )
        self._audio_s = Counter("asr_audio_seconds", "Audio taken in", registry=registry)

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._lives)

    def start(self, recogniser: Recogniser) -> None:
        """Begin to work with a model that is loaded and warm."""
        self._recogniser_ = recogniser
        self._task = asyncio.create_task(self._run(), name="recognition")
        self._task.add_done_callback(self._died)

    async def stop(self) -> None:
        """End; finals that are waited for are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True)

    @property
    def _recogniser(self) -> Recogniser:
        assert self._recogniser_ is not None, "start it first"
        return self._recogniser_

    def _died(self, task: asyncio.Task[None]) -> None:
        """A model that fails is not asked again: the process is to be started anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.opt(exception=error).critical("recognition failed; the server ends")
        for final in self._finals:
            final.done.cancel()
        for live in list(self._lives):
            self.close(live)
        self._on_death()

    async def in_thread(self, work: Callable[[], _Result]) -> _Result:
        """Run something in the thread that computes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def open(self, on_heard: Callable[[Heard], None], boost: Boost | None = None) -> Live:
        """Return a new stream; ``on_heard`` is called on the event loop after each chunk."""
        live = Live(self._recogniser.open(boost), on_heard)
        self._lives.add(live)
        return live

    def forget(self, live: Live) -> int:
        """Drop the words that cannot change any more, and return how many they were.

        Only from ``on_heard``, when nothing is being computed for the stream.
        """
        words, tokens = whole_words(live.stream.tokens)
        self._recogniser.forget(live.stream, tokens)
        return words

    def close(self, live: Live) -> None:
        """Forget a stream; a final that is under way is cancelled."""
        live.closed = True
        self._lives.discard(live)
        for each in (*live.waiting, *live.taken, *live.finals):
            if isinstance(each, _Final):
                each.done.cancel()
        live.waiting.clear()
        live.room.set()

    async def hear(self, live: Live, pcm: bytes) -> None:
        """Take in 16 kHz 16-bit mono audio; waits while too much of it is waiting."""
        live.waiting.append(pcm)
        live.waiting_samples += len(pcm) // _SAMPLE_BYTES
        self._audio_s.inc(len(pcm) / _SAMPLE_BYTES / RATE_HZ)
        self._mark_ready(live)
        while live.waiting_samples > self._backlog and not live.closed:
            live.room.clear()
            await live.room.wait()

    async def final(self, live: Live) -> Ended:
        """Return what has been said so far as if nothing came after it; the stream goes on."""
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        live.waiting.append(_Final(future, time.monotonic()))
        self._mark_ready(live)
        return await future

    def _mark_ready(self, live: Live) -> None:
        if live.busy or live.closed:
            return
        have = live.stream.samples + live.waiting_samples
        if live.asked or have >= self._recogniser.ready_at(live.stream):
            if live.ready_s is None:
                live.ready_s = time.monotonic()
            self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._tick_s and not self._urgent():
                await asyncio.sleep(self._tick_s - time.monotonic() % self._tick_s)
            while batch := self._batch():
                finals, lives = batch
                began = time.monotonic()
                for live in lives:
                    live.busy = True
                    live.taken, live.waiting = live.waiting, deque()
                    live.waiting_samples = 0
                work = loop.run_in_executor(self._thread, self._work, finals, lives)
                try:
                    advanced = await asyncio.shield(work)
                except asyncio.CancelledError:
                    await asyncio.gather(work, return_exceptions=True)
                    raise
                self._steps.observe((time.monotonic() - began) * 1000)
                self._sizes.observe(len(finals) + len(lives))
                self._settle(lives, advanced)

    def _urgent(self) -> bool:
        return bool(self._finals) or any(live.asked for live in self._lives)

    def _batch(self) -> tuple[list[_Final], list[Live]] | None:
        """Return what to compute next: finals first, then the streams that wait the longest."""
        self._finals = [final for final in self._finals if not final.done.done()]
        waiting = [live for live in self._lives if live.ready_s is not None and not live.busy]

        def order(live: Live) -> tuple[bool, float]:
            return not live.asked, live.ready_s or 0.0

        finals = self._finals[: self._max_batch]
        lives = sorted(waiting, key=order)[: max(1, self._max_batch - len(finals))]
        return (finals, lives) if finals or lives else None

    def _work(self, finals: Sequence[_Final], lives: Sequence[Live]) -> set[Live]:
        """Compute one batch; in the thread. Returns the streams that got further."""
        recogniser = self._recogniser
        copies = [final.stream for final in finals if final.stream is not None]
        for live in lives:
            copies += self._take_in(live)
        advanced = [live for live in lives if recogniser.ready(live.stream)]
        recogniser.advance([*copies, *(live.stream for live in advanced)])
        return set(advanced)

    def _take_in(self, live: Live) -> list[Stream]:
        """Work audio into the stream; return copies of it where a final was asked for.

        A final waits until the stream itself is done with what came before it: its copy would only
        do the same work again.
        """
        copies: list[Stream] = []
        while live.taken:
            pcm = b""
            while live.taken and isinstance(audio := live.taken[0], bytes):
                pcm += audio
                live.taken.popleft()
            self._recogniser.hear(live.stream, to_floats(pcm))
            if self._recogniser.ready(live.stream) or not live.taken:
                break
            final = live.taken.popleft()
            assert isinstance(final, _Final)
            final.heard_ms = live.stream.samples * 1000 // RATE_HZ
            final.stream = self._recogniser.ended(live.stream)
            final.forgotten, tokens = whole_words(live.stream.tokens)
            self._recogniser.forget(live.stream, tokens)
            live.finals.append(final)
            copies.append(final.stream)
        return copies

    def _settle(self, lives: Sequence[Live], advanced: set[Live]) -> None:
        """Tell what came of a batch; on the event loop."""
        now = time.monotonic()
        for live in lives:
            self._finals += live.finals
            live.finals.clear()
            if not live.closed:
                live.waiting.extendleft(reversed(live.taken))
                left = sum(len(each) for each in live.taken if isinstance(each, bytes))
                live.waiting_samples += left // _SAMPLE_BYTES
            live.taken = deque()
        for final in list(self._finals):
            if final.stream is None or self._recogniser.ready(final.stream):
                continue
            self._finals.remove(final)
            self._final_ms.observe((now - final.asked_s) * 1000)
            if not final.done.done():
                words = self._recogniser.words(final.stream)
                final.done.set_result(Ended(words, final.forgotten, final.heard_ms))
        for live in lives:
            if live.ready_s is not None and live in advanced:
                self._lags.observe((now - live.ready_s) * 1000)
            live.busy, live.ready_s = False, None
            live.room.set()
            if live.closed:
                continue
            if live in advanced:
                words = self._recogniser.words(live.stream)
                live.on_heard(Heard(words, live.stream.decoded_ms))
            self._mark_ready(live)
