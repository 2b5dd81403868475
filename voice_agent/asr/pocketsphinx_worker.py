"""A recognition worker: one process, several streams, a loaded decoder each.

Run by ``pocketsphinx_pool`` as ``python -m voice_agent.asr.pocketsphinx_worker``, spoken to over
stdin and stdout (see ``wire``). It works through its streams in small units in turn, so that no
stream waits for another's backlog, and ends when its stdin does: a server that was killed leaves
no worker behind.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from voice_agent.asr.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Kind
from voice_agent.workers.inside import Pipe
from voice_agent.workers.wire import Message, Unpacker

_UNIT_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES // 10
"""Audio decoded in one go, 100 ms: some 10 ms of work."""
_LOOK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 6 // 100
"""The words are looked at, and what was heard acknowledged, every 60 ms of audio."""


def load_decoder(model: Path) -> Any:
    """Load a decoder with the settings of ``model``/decoder.json, its paths relative to it.

    Without ``lm`` and ``dict`` there, PocketSphinx's own English ones are taken.
    """
    from pocketsphinx import Decoder

    config: dict[str, Any] = json.loads((model / "decoder.json").read_text(encoding="utf-8"))
    for key in ("lm", "dict", "hmm"):
        if key in config:
            config[key] = str(model / config[key])
    return Decoder(samprate=SAMPLE_RATE_HZ, loglevel="FATAL", **config)


def spoken_words(decoder: Any) -> str:
    """Return the decoder's words without noises, silence and marks of alternatives."""
    hypothesis = decoder.hyp()
    if hypothesis is None:
        return ""
    words = (word.partition("(")[0] for word in hypothesis.hypstr.split())
    return " ".join(word for word in words if word and word[0] not in "<[+")


class Stream:
    """One speaker's decoder and the messages waiting for it."""

    def __init__(self, number: int, decoder: Any) -> None:
        self.waiting: deque[Message] = deque()
        self._number = number
        self._decoder = decoder
        self._initial_mean = decoder.get_cmn(False)
        self._utterance: int | None = None
        self._words = ""
        self._heard = 0
        self._looked = 0

    def warm(self) -> None:
        """Decode a second of nothing, so that every page and table is in memory."""
        self._decoder.start_utt()
        self._decoder.process_raw(bytes(SAMPLE_RATE_HZ * SAMPLE_BYTES), False, False)
        self._decoder.end_utt()
        self._decoder.set_cmn(self._initial_mean)

    def work(self) -> list[Message]:
        """Do one unit of what is waiting and return what to say about it."""
        message = self.waiting.popleft()
        match message.kind:
            case Kind.OPEN:
                self._close()
                self._decoder.set_cmn(self._initial_mean)
            case Kind.BEGIN:
                self._close()
                self._decoder.start_utt()
                self._utterance = message.number
                self._words, self._heard, self._looked = "", 0, 0
            case Kind.AUDIO if message.number == self._utterance:
                return self._hear(message.payload)
            case Kind.END if message.number == self._utterance:
                self._close()
                return [self._say(Kind.FINAL, message.number, self._final().encode())]
            case _:
                pass
        return []

    def abort(self) -> None:
        """Forget the utterance and all that waits."""
        self.waiting.clear()
        self._close()

    def _close(self) -> None:
        if self._utterance is not None:
            self._utterance = None
            self._decoder.end_utt()

    def _final(self) -> str:
        return spoken_words(self._decoder) if self._heard else ""

    def _hear(self, pcm: bytes) -> list[Message]:
        utterance = self._utterance
        assert utterance is not None
        if len(pcm) > _UNIT_BYTES:  # the rest waits for its next turn
            rest = Message(Kind.AUDIO, self._number, utterance, pcm[_UNIT_BYTES:])
            self.waiting.appendleft(rest)
            pcm = pcm[:_UNIT_BYTES]
        self._decoder.process_raw(pcm, False, False)
        self._heard += len(pcm)
        if self._heard - self._looked < _LOOK_BYTES:
            return []
        self._looked = self._heard
        said = [self._say(Kind.HEARD, utterance, self._heard.to_bytes(4, "little"))]
        words = spoken_words(self._decoder)
        if words != self._words:
            self._words = words
            said.append(self._say(Kind.PARTIAL, utterance, words.encode()))
        return said

    def _say(self, kind: Kind, utterance: int, payload: bytes) -> Message:
        return Message(kind, self._number, utterance, payload)


def serve(streams: list[Stream], pipe: Pipe) -> None:
    """Work for the server at the other end of ``pipe`` until it goes."""
    inbox: SimpleQueue[bytes] = SimpleQueue()
    pipe.read_ahead(inbox.put)
    unpacker = Unpacker()
    more = True
    turn = 0
    while True:
        busy = [stream for stream in streams if stream.waiting]
        if not busy and not more:
            return
        while more and not (busy and inbox.empty()):
            received = inbox.get()
            more = bool(received)
            for message in unpacker.feed(received):
                stream = streams[message.stream]
                if message.kind == Kind.ABORT:
                    stream.abort()
                else:
                    stream.waiting.append(message)
            busy = [stream for stream in streams if stream.waiting]
        if busy:
            turn += 1
            pipe.say(*busy[turn % len(busy)].work())


def main() -> None:
    """Load the decoders, say READY, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=1)
    arguments = parser.parse_args()
    pipe = Pipe()
    streams = [Stream(n, load_decoder(arguments.model)) for n in range(arguments.streams)]
    for stream in streams:
        stream.warm()
    try:
        pipe.say(Message(Kind.READY))
        serve(streams, pipe)
    except BrokenPipeError:  # the server has gone
        pass


if __name__ == "__main__":
    main()
