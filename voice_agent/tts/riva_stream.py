"""One reply over ``SynthesizeOnline``: its clauses go into one stream as they are written, and the
audio comes out of it as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from riva.client.proto import riva_audio_pb2, riva_tts_pb2, riva_tts_pb2_grpc

from voice_agent.engines import EngineError
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import Onset, ReplyAudio, Samples
from voice_agent.tts.service import SpokenAudio
from voice_agent.tts.words import TimedWord, WordEstimate, WordMatch

__all__ = ["ReplyStream", "VoiceAsked", "failure"]


class VoiceAsked:
    """What every request of a stream says.

    Args:
        stub: The server.
        metadata: What every call carries.
        voice: Its full name; empty is the server's first for the language.
        language: BCP-47.
        hz: Of the audio, Hz.
    """

    def __init__(
        self, stub: Any, metadata: tuple[tuple[str, str], ...], voice: str, language: str, hz: int
    ) -> None:
        self.hz = hz
        self._stub = stub
        self._metadata = metadata
        self._voice = voice
        self._language = language

    def call(self) -> Any:
        """Open a stream."""
        return self._stub.SynthesizeOnline(metadata=self._metadata)

    def request(self, text: str, number: int) -> Any:
        """Return the request that adds ``text``."""
        request = riva_tts_pb2.SynthesizeSpeechRequest(
            text=text,
            language_code=self._language,
            encoding=riva_audio_pb2.LINEAR_PCM,
            sample_rate_hz=self.hz,
            voice_name=self._voice,
            enable_word_time_offsets=True,
        )
        request.id.value = str(number)
        return request


class _Clause:
    """A clause in the stream, and where its words are."""

    def __init__(self, speech: Speech, pace: float | None) -> None:
        self.start = 0
        """Its first sample in the stream."""
        self._told = WordMatch(speech) if pace is None else None
        self._estimate = WordEstimate(speech.words, pace or 0.0)

    def heard(self, words: Any, hz: int, lead: int, until: int) -> list[TimedWord]:
        """Return written words that are known now, in samples of the stream.

        Args:
            words: What the server says of its words.
            hz: Of the audio.
            lead: Samples that were cut off at the stream's beginning.
            until: Where in the stream the audio ends that has come.
        """
        if self._told is None:
            return self._placed(self._estimate.until(until - self.start))
        known: list[TimedWord] = []
        for word in words:
            start, end = (
                max(0, ms * hz // 1000 - lead - self.start)
                for ms in (word.start_time, word.end_time)
            )
            known += self._told.spoken(word.word, start, end)
        return self._placed(known)

    def known_until(self, until: int) -> int:
        """Return the sample of the stream up to which every word that is spoken is known."""
        opened = self._told.open_from if self._told is not None else None
        return until if opened is None else min(until, self.start + opened)

    def finish(self, sample: int) -> list[TimedWord]:
        """Return the words that are left, in samples of the stream."""
        return self._placed((self._told or self._estimate).finish(sample - self.start))

    def _placed(self, words: list[TimedWord]) -> list[TimedWord]:
        return [TimedWord(w.text, self.start + w.start, self.start + w.end) for w in words]


class ReplyStream:
    """A stream under way. Say clauses, read ``pieces`` meanwhile, then ``close`` or ``cancel``.

    Args:
        voice: Who is asked.
        reply: Where the audio is written.
        pace: Samples of audio a character takes, of a server that does not time words; else None.
    """

    def __init__(self, voice: VoiceAsked, reply: ReplyAudio, pace: float | None) -> None:
        self._voice = voice
        self._reply = reply
        self._pace = pace
        self._call = voice.call()
        self._clauses: list[_Clause] = []
        self._current = 0
        self.received = 0
        """Samples that have come, the lead not counted."""
        self._onset = Onset(voice.hz)
        self._held: Samples = np.zeros(0, np.int16)
        self._writing = asyncio.Lock()

    async def say(self, speech: Speech) -> None:
        """Send a clause at once."""
        self._clauses.append(_Clause(speech, self._pace))
        request = self._voice.request(speech.text, len(self._clauses) - 1)
        async with self._writing:
            await self._call.write(request)

    async def close(self) -> None:
        """No further clause will come."""
        async with self._writing:
            await self._call.done_writing()

    def cancel(self) -> None:
        """Stop the server's work; nothing more comes."""
        self._call.cancel()

    async def pieces(self) -> AsyncIterator[SpokenAudio]:
        """Yield the audio as it comes, until everything said is spoken and the stream closed."""
        async for answer in self._call:
            piece = self._heard(answer)
            if piece.audio or piece.words:
                yield piece
        if self._clauses:
            words = self._go_on_to(len(self._clauses) - 1)
            words += self._clauses[-1].finish(self.received)
            yield self._piece(words, self.received)

    def _heard(self, answer: Any) -> SpokenAudio:
        words: list[TimedWord] = []
        number = answer.id.value
        # Servers that do not give the number back are taken to be at the first clause still.
        if number.isdecimal() and self._current < int(number) < len(self._clauses):
            words += self._go_on_to(int(number))
        samples = np.frombuffer(answer.audio[: len(answer.audio) // 2 * 2], np.int16)
        samples = self._onset(samples)
        self.received += len(samples)
        self._held = np.concatenate([self._held, samples])
        clause = self._clauses[self._current]
        words += clause.heard(answer.meta.words, self._voice.hz, self._onset.cut, self.received)
        return self._piece(words, clause.known_until(self.received))

    def _go_on_to(self, number: int) -> list[TimedWord]:
        """Be at clause ``number`` from here on; return the words that are left before it."""
        words: list[TimedWord] = []
        while self._current < number:
            words += self._clauses[self._current].finish(self.received)
            self._current += 1
            self._clauses[self._current].start = self.received
        return words

    def _piece(self, words: list[TimedWord], until: int) -> SpokenAudio:
        """Return the words, and the audio up to sample ``until`` of the stream: no word's audio
        goes ahead of the word."""
        count = max(0, len(self._held) - (self.received - until))
        samples, self._held = self._held[:count], self._held[count:]
        place = self._reply.place
        timed = tuple(TimedWord(w.text, place(w.start), place(w.end)) for w in words)
        return SpokenAudio(self._reply.write(samples), timed)


def failure(error: Any) -> EngineError:
    """Return what a failed call means to a person."""
    return EngineError(f"the speech server failed: {error.details()} ({error.code().name})")


def stub(channel: Any) -> Any:
    """Return the service behind a channel."""
    return riva_tts_pb2_grpc.RivaSpeechSynthesisStub(channel)
