"""The recognition workers of a server, and the streams they carry.

PocketSphinx keeps the GIL while it decodes, so it lives in processes of its own. Everything here
runs on the event loop and only shovels bytes. A stream keeps the audio of every utterance that is
not yet answered: when a worker dies, it is replayed into another one and no word is lost.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from loguru import logger

from voice_agent.asr.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Kind
from voice_agent.engines import EngineError
from voice_agent.workers.process import WorkerProcess
from voice_agent.workers.wire import Message

_WORKER = "voice_agent.asr.pocketsphinx_worker"
_BYTES_PER_S = SAMPLE_RATE_HZ * SAMPLE_BYTES
_IN_FLIGHT_BYTES = _BYTES_PER_S
"""Audio given to a worker and not yet decoded: a second; the rest waits here, where it can be
counted and dropped."""
_CHUNK_BYTES = _BYTES_PER_S // 2
_START_TIMEOUT_S = 30.0
_RESTARTS = 3
"""Attempts to replace a dead worker, and deaths one utterance may be present at."""


@dataclass(slots=True)
class _Utterance:
    """Audio from its first sound to its answer, and how far the worker has got with it."""

    number: int
    pcm: bytearray = field(default_factory=bytearray)
    begun: bool = False
    ended: bool = False
    """The caller has asked for the final text."""
    end_sent: bool = False
    sent: int = 0
    heard: int = 0
    deaths: int = 0

    def rewind(self) -> None:
        """Be as new to the next worker."""
        self.begun = self.end_sent = False
        self.sent = self.heard = 0


class RecognitionStream:
    """One speaker. Audio goes in, words come out through the two callbacks, on the event loop.

    The first ``hear`` after an ``end`` begins the next utterance; every ``end`` is answered by one
    call of ``on_final``, in order.
    """

    def __init__(
        self,
        pool: RecognitionPool,
        on_partial: Callable[[str], None],
        on_final: Callable[[str], None],
        on_failure: Callable[[str], None],
        max_lag_s: float,
    ) -> None:
        self.on_partial = on_partial
        self.on_final = on_final
        self.on_failure = on_failure
        self.dropped_bytes = 0
        """Audio given up because the workers were too slow."""
        self._pool = pool
        self._max_lag_bytes = int(max_lag_s * _BYTES_PER_S)
        self._utterances: deque[_Utterance] = deque()
        self._worker: _Worker | None = None
        self._slot = 0

    @property
    def lag_s(self) -> float:
        """Audio that was taken in and is not yet decoded, seconds."""
        return sum(len(u.pcm) - u.heard for u in self._utterances) / _BYTES_PER_S

    @property
    def utterance_s(self) -> float:
        """Length of the utterance that is being heard, seconds; 0 between utterances."""
        if not self._utterances or self._utterances[-1].ended:
            return 0.0
        return len(self._utterances[-1].pcm) / _BYTES_PER_S

    def hear(self, pcm: bytes) -> None:
        """Take in 16 kHz 16-bit mono audio of any length."""
        if not self._utterances or self._utterances[-1].ended:
            self._utterances.append(_Utterance(self._pool.next_utterance()))
        self._utterances[-1].pcm += pcm
        self._pump()
        self._bound()

    def end(self) -> None:
        """Ask for the final text of the utterance; without one, of nothing (answered "")."""
        if not self._utterances or self._utterances[-1].ended:
            self._utterances.append(_Utterance(self._pool.next_utterance()))
        self._utterances[-1].ended = True
        self._pump()

    def close(self) -> None:
        """Give the place back; what is not answered never will be. May be called twice."""
        self._utterances.clear()
        self._pool.release(self)

    # What follows is for the pool and its workers.

    @property
    def worker(self) -> _Worker | None:
        """The worker that carries this stream; None while there is none."""
        return self._worker

    def attach(self, worker: _Worker, slot: int) -> None:
        """Go on at this worker, with everything unanswered from its beginning."""
        self._worker, self._slot = worker, slot
        worker.say(Message(Kind.OPEN, slot))
        for utterance in self._utterances:
            utterance.rewind()
        self._pump()

    def detach(self) -> None:
        """The worker is gone, or no longer ours."""
        if self._worker is not None:
            self._worker.say(Message(Kind.ABORT, self._slot))
        self._worker = None

    def orphaned(self) -> None:
        """The worker has died; an utterance that keeps killing them is given up, as empty."""
        self._worker = None
        if self._utterances:
            first = self._utterances[0]
            first.deaths += 1
            if first.deaths > _RESTARTS:
                logger.error("ASR gives up an utterance that {} workers died of", first.deaths)
                first.pcm.clear()

    def receive(self, message: Message) -> None:
        """Handle what the worker says about this stream."""
        if not self._utterances or self._utterances[0].number != message.number:
            return  # about an utterance of someone who has left
        match message.kind:
            case Kind.HEARD:
                self._utterances[0].heard = int.from_bytes(message.payload, "little")
                self._pump()
            case Kind.PARTIAL:
                self.on_partial(message.payload.decode())
            case Kind.FINAL:
                self._utterances.popleft()
                self._pump()
                self.on_final(message.payload.decode())
            case _:
                pass

    def _pump(self) -> None:
        """Send what the worker has room for. Utterances go one after the other."""
        worker = self._worker
        if worker is None or not self._utterances:
            return
        first = self._utterances[0]
        if not first.begun:
            first.begun = True
            worker.say(Message(Kind.BEGIN, self._slot, first.number))
        while first.sent < len(first.pcm) and first.sent - first.heard < _IN_FLIGHT_BYTES:
            chunk = bytes(first.pcm[first.sent : first.sent + _CHUNK_BYTES])
            first.sent += len(chunk)
            worker.say(Message(Kind.AUDIO, self._slot, first.number, chunk))
        if first.ended and first.sent == len(first.pcm) and not first.end_sent:
            first.end_sent = True
            worker.say(Message(Kind.END, self._slot, first.number))

    def _bound(self) -> None:
        """Drop the oldest audio that nobody has yet taken, when too much of it waits."""
        waiting = sum(len(u.pcm) - u.sent for u in self._utterances)
        excess = waiting - self._max_lag_bytes
        if excess <= 0:
            return
        if not self.dropped_bytes:
            logger.warning("ASR is {:.1f} s behind and drops audio: add workers", self.lag_s)
        for utterance in self._utterances:
            cut = min(excess, len(utterance.pcm) - utterance.sent)
            cut -= cut % SAMPLE_BYTES
            del utterance.pcm[utterance.sent : utterance.sent + cut]
            self.dropped_bytes += cut
            excess -= cut


class _Worker:
    """One process and the streams it carries, by slot."""

    def __init__(self, process: WorkerProcess, slots: int) -> None:
        self.process = process
        self.say = process.say
        self.streams: list[RecognitionStream | None] = [None] * slots

    @property
    def free(self) -> int:
        return self.streams.count(None)


class RecognitionPool:
    """``workers`` processes with ``streams_per_worker`` loaded decoders each."""

    def __init__(
        self, model: Path, workers: int, streams_per_worker: int, max_lag_s: float
    ) -> None:
        self._model = model
        self._slots = streams_per_worker
        self._count = workers
        self._max_lag_s = max_lag_s
        self._workers: list[_Worker] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._homeless: list[RecognitionStream] = []
        self._numbers = count(1)
        self._stopping = False

    @property
    def pids(self) -> list[int]:
        """The processes that are up."""
        return [worker.process.pid for worker in self._workers]

    @property
    def free(self) -> int:
        """Streams that can still be opened; a worker that is being replaced counts as there."""
        taken = sum(self._slots - worker.free for worker in self._workers)
        return self._count * self._slots - taken - len(self._homeless)

    def next_utterance(self) -> int:
        """Return a number no utterance of this pool has had."""
        return next(self._numbers) & 0xFFFFFFFF

    async def start(self) -> None:
        """Start the workers side by side and wait until every decoder is loaded.

        Raises:
            EngineError: One of them does not start.
        """
        try:
            async with asyncio.TaskGroup() as group:
                starting = [group.create_task(self._spawn()) for _ in range(self._count)]
        except* EngineError as errors:
            await self.stop()
            raise errors.exceptions[0] from None
        self._keepers = [
            asyncio.create_task(self._keep(task.result()), name=f"asr-worker-{n}")
            for n, task in enumerate(starting)
        ]

    async def stop(self) -> None:
        """End every worker and wait until it is gone."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        await asyncio.gather(*(worker.process.end() for worker in self._workers))
        self._workers = []

    def open(
        self,
        on_partial: Callable[[str], None],
        on_final: Callable[[str], None],
        on_failure: Callable[[str], None],
    ) -> RecognitionStream:
        """Return a stream at the worker with the most room.

        Raises:
            EngineError: All are taken.
        """
        self.require_free()
        stream = RecognitionStream(self, on_partial, on_final, on_failure, self._max_lag_s)
        self._place(stream)
        return stream

    def require_free(self) -> None:
        """Do nothing when a stream can be opened.

        Raises:
            EngineError: All are taken.
        """
        if self.free <= 0:
            raise EngineError(
                f"all {self._count * self._slots} speech recognisers are taken: raise asr.workers "
                "or asr.streams_per_worker, or lower sessions.max"
            )

    def release(self, stream: RecognitionStream) -> None:
        """Free the stream's place."""
        if stream in self._homeless:
            self._homeless.remove(stream)
        for worker in self._workers:
            if stream in worker.streams:
                stream.detach()
                worker.streams[worker.streams.index(stream)] = None

    def _place(self, stream: RecognitionStream) -> None:
        worker = max(self._workers, key=lambda worker: worker.free, default=None)
        if worker is None or not worker.free:
            self._homeless.append(stream)
            return
        slot = worker.streams.index(None)
        worker.streams[slot] = stream
        stream.attach(worker, slot)

    async def _spawn(self) -> _Worker:
        process = await WorkerProcess.spawn(
            _WORKER, "--model", str(self._model), "--streams", str(self._slots)
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await process.receive()
        except (asyncio.IncompleteReadError, TimeoutError):
            status = await process.end()
            raise EngineError(
                f"a PocketSphinx worker did not start (exit status {status}, model "
                f"{self._model}): try `{sys.executable} -m {_WORKER} --model {self._model}`"
            ) from None
        except asyncio.CancelledError:
            await process.end()
            raise
        worker = _Worker(process, self._slots)
        self._workers.append(worker)
        return worker

    async def _keep(self, worker: _Worker | None) -> None:
        """Hand on what a worker says; replace it when it dies, until that is hopeless."""
        while worker is not None:
            try:
                while True:
                    message = await worker.process.receive()
                    stream = worker.streams[message.stream]
                    if stream is not None:
                        stream.receive(message)
            except asyncio.IncompleteReadError:
                worker = await self._replace(worker)

    async def _replace(self, dead: _Worker) -> _Worker | None:
        self._workers.remove(dead)
        orphans = [stream for stream in dead.streams if stream is not None]
        status = await dead.process.end()
        logger.error(
            "PocketSphinx worker {} died (exit status {}) with {} streams; they go on elsewhere",
            *(dead.process.pid, status, len(orphans)),
        )
        for stream in orphans:
            stream.orphaned()
            self._place(stream)
        reason = ""
        for _ in range(_RESTARTS):
            try:
                worker = await self._spawn()
            except (EngineError, OSError) as error:
                reason = str(error)
                continue
            waiting, self._homeless = self._homeless, []
            for stream in waiting:
                self._place(stream)
            return worker
        logger.error("PocketSphinx worker cannot be restarted: {}", reason)
        self._count -= 1
        lost, self._homeless = self._homeless, []
        for stream in lost:
            stream.on_failure(f"speech recognition has stopped: {reason}")
        return None
