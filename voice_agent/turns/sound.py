"""How likely it is that a turn has ended by its sound: Smart Turn, shared by all conversations.

One inference costs about 50-75 ms of a core. Stock Pipecat loads the model for every session and
queues each question behind the last; here it is loaded once, computes in one thread of its own,
never on the event loop, and a conversation has at most one question waiting: a newer one, which
has heard more, takes the older one's place in the queue.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voice_agent.turns.smart_turn_features import HZ, SAMPLES, log_mel

__all__ = ["HZ", "SAMPLES", "Asker", "SoundModel", "SoundModelError"]

_PACKAGE = "pipecat.audio.turn.smart_turn.data"
_FILE = "smart-turn-v3.2-cpu.onnx"


class SoundModelError(RuntimeError):
    """The sound model cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Question:
    pcm: NDArray[np.int16]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[float | None]

    def give(self, end_p: float | None) -> None:
        if not self.answer.done():  # whoever asked may have stopped waiting
            self.answer.set_result(end_p)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SoundModel:
    """Smart Turn v3.2, loaded once per process. Make an :class:`Asker` per conversation."""

    def __init__(self) -> None:
        self._session: ort.InferenceSession | None = None
        self._thread = ThreadPoolExecutor(1, "turn-sound")
        self._lock = threading.Lock()
        self._waiting: OrderedDict[object, _Question] = OrderedDict()
        self._closed = False

    async def load(self) -> None:
        """Load the model and run it once, off the loop, so that the first caller does not wait.

        Raises:
            SoundModelError: The model is not where Pipecat ships it, or it was closed before.
        """
        if self._closed:
            raise SoundModelError("the sound model was closed; make a new one")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def asker(self) -> Asker:
        """Return what one conversation asks through."""
        return Asker(self)

    async def ask(self, asker: object, pcm: NDArray[np.int16]) -> float | None:
        """Return the probability that the turn is over after ``pcm``, or None; see ``Asker``.

        Raises:
            SoundModelError: Not loaded, or closed.
        """
        if self._session is None or self._closed:
            raise SoundModelError("the sound model is not loaded; await load() first")
        loop = asyncio.get_running_loop()
        question = _Question(pcm[-SAMPLES:].copy(), loop, loop.create_future())
        with self._lock:
            replaced = self._waiting.get(asker)
            self._waiting[asker] = question  # keeps the older one's place in the queue
        if replaced is None:
            self._thread.submit(self._answer_next)
        else:
            replaced.give(None)
        return await question.answer

    def close(self) -> None:
        """Stop computing; questions still waiting get None. May be called twice."""
        self._closed = True
        with self._lock:
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for question in waiting:
            question.give(None)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            with as_file(files(_PACKAGE) / _FILE) as model:
                self._session = ort.InferenceSession(
                    str(model), options, providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # onnxruntime raises types of its own
            raise SoundModelError(
                f"cannot load {_FILE} from {_PACKAGE} (pipecat-ai 1.14 ships it): {error}"
            ) from error
        self._infer(np.zeros(HZ, np.int16))

    def _infer(self, pcm: NDArray[np.int16]) -> float:
        assert self._session is not None  # load() came first
        (scores,) = self._session.run(None, {"input_features": log_mel(pcm)[np.newaxis]})
        return float(scores[0][0])

    def _answer_next(self) -> None:
        """Answer the question that has waited longest; in the model's thread."""
        with self._lock:
            if not self._waiting:
                return
            _, question = self._waiting.popitem(last=False)
        if question.answer.done():
            return
        tell: Callable[[], None]
        try:
            tell = partial(question.give, self._infer(question.pcm))
        except Exception as error:  # whatever it is, who waits must hear of it
            tell = partial(question.fail, error)
        if not question.loop.is_closed():
            question.loop.call_soon_threadsafe(tell)


class Asker:
    """One conversation's way to the model. At most one of its questions waits."""

    def __init__(self, model: SoundModel) -> None:
        self._model = model

    async def end_probability(self, pcm: NDArray[np.int16]) -> float | None:
        """Return the probability, 0 to 1, that the turn is over, or None for a stale question.

        A question is stale when a newer one came before its turn to be computed; cancelling the
        call takes it out as well.

        Args:
            pcm: The user's audio up to now, 16 kHz mono; the last 8 s count. Best the turn's own:
                from a little before its first word.
        """
        return await self._model.ask(self, pcm)
