"""One speaker's connection to a Riva server, which may be lost and comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from loguru import logger
from riva.client.proto import riva_asr_pb2 as asr
from riva.client.proto import riva_asr_pb2_grpc as asr_grpc

from voice_agent.asr.riva_audio import BYTES_PER_MS, Owed, Request
from voice_agent.asr.riva_kind import Kind
from voice_agent.riva.words import Word, untold

_PIECE_BYTES = 100 * BYTES_PER_MS
"""Audio of one message at most: what is replayed should not come as one big lump."""
_ACK_PCM = bytes(10 * BYTES_PER_MS)
"""Sent with a request where a response is owed to messages with audio only: 10 ms of silence."""
_BACKOFF_S = (0.0, 0.1, 0.2, 0.5, 1.0)
_PERMANENT = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)
"""Nothing that trying again would help."""
_UNHEALTHY_S = 20.0
"""Somebody is told when the server could not be reached for so long; trying goes on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a stream wants to be recognised."""

    config: Any
    """A StreamingRecognitionConfig."""
    metadata: Sequence[tuple[str, str]] = ()
    final_timeout_s: float = 0.2
    """How long a final is waited for where it may not come at all; then the partial is taken."""
    replay_s: float = 60.0
    """Audio kept for a lost connection."""


class RivaStream:
    """Audio goes in, words come out through the callbacks, on the event loop.

    Every ``end`` is answered by one call of ``on_final`` with ``asked`` True. Finals that a server
    gives of its own accord come with ``asked`` False.

    Args:
        channel: To the server; may be shared.
        kind: Which server it is.
        asked: How to recognise.
        on_partial: The words of the utterance so far, whenever they change.
        on_final: The words of the utterance, and whether they were asked for.
        on_failure: What is wrong, and whether trying on is pointless.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        kind: Kind,
        asked: Asked,
        on_partial: Callable[[Sequence[Word]], None],
        on_final: Callable[[Sequence[Word], bool], None],
        on_failure: Callable[[str, bool], None],
    ) -> None:
        self.reconnects = 0
        """How often the connection had to be made again."""
        self._stub = asr_grpc.RivaSpeechRecognitionStub(channel)
        self._kind = kind
        self._asked = asked
        self._on_partial, self._on_final, self._on_failure = on_partial, on_final, on_failure
        self._owed = Owed(int(asked.replay_s * 1000) * BYTES_PER_MS)
        self._more = asyncio.Event()
        self._words: list[Word] = []
        """The server's own utterance as far as its partials go."""
        self._told: list[str] = []
        """Of those, the words given as final because the server was silent."""
        self._shown: list[str] = []
        self._begin = 0
        """Where this connection's audio begins, in bytes of the conversation."""
        self._owed_responses = 0
        """Messages with audio not yet answered (``Kind.NEMO_SPEECH``)."""
        self._acks: dict[int, int] = {}
        """By request: how many responses are still to come before it counts as answered."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._progress_bytes = 0
        self._task = asyncio.create_task(self._run(), name="riva stream")

    @property
    def lag_ms(self) -> float:
        """Audio that was taken in and whose words are not yet known, ms.

        By what the server says of its progress; where it says nothing, what is not yet sent.
        """
        known = max(self._progress_bytes, self._owed.base)
        if not self._progress_bytes:
            known = self._owed.sent
        return max(0, self._owed.end - known) / BYTES_PER_MS

    def hear(self, pcm: bytes) -> None:
        """Take in 16 kHz 16-bit mono audio of any length."""
        before = self._owed.forgotten
        self._owed.hear(pcm)
        if self._owed.forgotten and not before:
            logger.warning("ASR cannot be reached for so long that audio is given up")
        self._more.set()

    def end(self) -> None:
        """Ask for the final text of everything heard so far."""
        request = self._owed.ask()
        if not self._kind.forces:
            self._owed.requests.remove(request)
            self._answer_from_partials()
            return
        if self._kind is not Kind.VOICE_AGENT:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._asked.final_timeout_s, self._give_up_on, request)
            self._timers[request.number] = timer
        self._more.set()

    async def close(self) -> None:
        """Hang up; what is not answered never will be."""
        for timer in self._timers.values():
            timer.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # ----- connecting -----

    async def _run(self) -> None:
        failures, since = 0, time.monotonic()
        told = False
        while True:
            heard_from = False
            try:
                call = self._stub.StreamingRecognize(
                    self._requests(), metadata=self._asked.metadata, wait_for_ready=True
                )
                try:
                    async for response in call:
                        heard_from, failures, told = True, 0, False
                        self._receive(response)
                finally:
                    call.cancel()
                why = "the server ended the stream"
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
                if error.code() in _PERMANENT:
                    self._on_failure(why, True)
                    return
            if heard_from:
                since = time.monotonic()
            self.reconnects += 1
            self._owed.rewind()
            logger.warning(
                "ASR connection lost ({}); {:.1f} s of audio are sent again",
                *(why, self._owed.unsent_ms / 1000),
            )
            if time.monotonic() - since > _UNHEALTHY_S and not told:
                told = True
                self._on_failure(why, False)
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1

    async def _requests(self) -> AsyncIterator[Any]:
        """Yield what is owed as it comes; gRPC asks for the next message when there is room."""
        self._begin = self._owed.base
        self._words = []  # those told stay told: they will be said again
        self._owed_responses = 0
        self._acks.clear()
        yield asr.StreamingRecognizeRequest(streaming_config=self._asked.config)
        while True:
            self._more.clear()
            piece = self._owed.next(_PIECE_BYTES)
            if piece is None:
                await self._more.wait()
                continue
            message = asr.StreamingRecognizeRequest()
            pcm = piece.pcm
            if piece.request is not None:
                message.runtime_config["force_eou"] = "true"
                message.id.value = str(piece.request.number)
                if self._kind is Kind.NEMO_SPEECH:
                    pcm = pcm or _ACK_PCM
            if pcm:
                message.audio_content = pcm
                self._owed_responses += 1
            if piece.request is not None:
                self._acks[piece.request.number] = self._owed_responses
            yield message

    # ----- what the server says -----

    def _receive(self, response: Any) -> None:
        for result in response.results:
            if result.alternatives:
                self._hear_result(result, response.id.value)
        if self._kind is Kind.NEMO_SPEECH and not any(r.is_final for r in response.results):
            # Finals come beside the response that each message is owed.
            self._owed_responses -= 1
            for number in list(self._acks):
                self._acks[number] -= 1
                if self._acks[number] <= 0:
                    del self._acks[number]
                    self._nothing_more(number)

    def _hear_result(self, result: Any, request_id: str) -> None:
        best = result.alternatives[0]
        timed = [Word(each.word, each.start_time, each.end_time) for each in best.words]
        words = timed or [Word(text) for text in best.transcript.split()]
        if result.audio_processed:
            at = self._begin + int(result.audio_processed * 1000) * BYTES_PER_MS
            self._progress_bytes = max(self._progress_bytes, at)
        if not result.is_final:
            self._words = words
            self._show()
            return
        said = untold(words, self._told)
        self._words, self._told, self._shown = [], [], []
        request = self._request_of(request_id)
        if request is None:
            if said:
                self._on_final(said, False)
            if result.audio_processed:
                self._owed.covered_to(self._begin + int(result.audio_processed * 32_000))
            return
        self._acks.pop(request.number, None)
        answered = request.answered
        self._owed.covered(request)
        self._done(request)
        if not answered:
            self._on_final(said, True)
        elif said:
            self._on_final(said, False)

    def _request_of(self, request_id: str) -> Request | None:
        """Return the request that a final answers."""
        sent = [request for request in self._owed.requests if request.sent]
        if self._kind is Kind.VOICE_AGENT:
            return next((each for each in sent if str(each.number) == request_id), None)
        # One that was given up may never be answered. If it is after all, this is told a little
        # early, and the words of the next final come unasked: none is lost.
        waiting = [request for request in sent if not request.answered]
        return next(iter(waiting or sent), None)

    def _show(self) -> None:
        said = untold(self._words, self._told)
        texts = [word.text for word in said]
        if texts != self._shown:
            self._shown = texts
            self._on_partial(said)

    # ----- finals that do not come -----

    def _nothing_more(self, number: int) -> None:
        """The server has worked through everything before the request and had no final for it."""
        request = next((each for each in self._owed.requests if each.number == number), None)
        if request is None:
            return
        self._owed.covered(request)
        self._done(request)
        if not request.answered:
            self._answer_from_partials()
        self._words, self._told = [], []  # the server has begun anew

    def _give_up_on(self, request: Request) -> None:
        if not request.answered:
            request.answered = True
            self._answer_from_partials()

    def _answer_from_partials(self) -> None:
        said = untold(self._words, self._told)
        self._told = [word.text for word in self._words]
        self._shown = []
        self._on_final(said, True)

    def _done(self, request: Request) -> None:
        timer = self._timers.pop(request.number, None)
        if timer is not None:
            timer.cancel()


async def parameters_of(channel: grpc.aio.Channel, metadata: Any, timeout_s: float) -> Any:
    """Return what the server says of its models, by name; empty where it does not say.

    Raises:
        grpc.aio.AioRpcError: It cannot be reached, or lets nobody in.
    """
    stub = asr_grpc.RivaSpeechRecognitionStub(channel)
    try:
        answer = await stub.GetRivaSpeechRecognitionConfig(
            asr.RivaSpeechRecognitionConfigRequest(), metadata=metadata, timeout=timeout_s
        )
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
            raise
        return {}
    return {each.model_name: dict(each.parameters) for each in answer.model_config}
