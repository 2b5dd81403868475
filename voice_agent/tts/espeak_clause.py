"""One clause through eSpeak NG, in the one thread that may use it.

Synthesis runs in one thread for all conversations. Each has at most one clause under way, so first
come, first served is fair: a clause takes about a thousandth of its length.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from voice_agent.tts.espeak_library import EspeakLibrary, Voice
from voice_agent.tts.loudness import REFERENCE, gain_to
from voice_agent.tts.normalise import Speech
from voice_agent.tts.resample import ReplyAudio, Samples
from voice_agent.tts.service import SpokenAudio
from voice_agent.tts.words import TimedWord, WordTimer

__all__ = ["LevelLibrary", "speak_clause"]

# Quieter than this is silence, which eSpeak puts before a clause: waiting that nobody asked for.
_SILENCE = 100
_LEAD_MS = 2
_TAIL_MS = 20
# After its first word, a clause is handed over in pieces of this length: fewer frames.
_PIECE_MS = 300


class LevelLibrary:
    """eSpeak with every voice at one loudness; used by one thread.

    Args:
        library: The process's eSpeak.
        lufs: What every voice is brought to.
    """

    def __init__(self, library: EspeakLibrary, lufs: float) -> None:
        self.synthesize = library.synthesize
        self.sample_rate = library.sample_rate
        self._lufs = lufs
        self._gains: dict[Voice, float] = {}

    def gain(self, voice: Voice) -> float:
        """Return the gain of a voice; measured when it is first used, which takes some ms."""
        known = replace(voice, words_per_minute=0)  # how fast it speaks hardly matters
        if known not in self._gains:
            parts: list[Samples] = []

            def keep(samples: Samples, words: object) -> bool:
                parts.append(samples)
                return True

            for sentence in REFERENCE:
                self.synthesize(sentence, voice, keep)
            self._gains[known] = gain_to(self._lufs, np.concatenate(parts), self.sample_rate)
        return self._gains[known]


async def speak_clause(
    thread: ThreadPoolExecutor,
    library: LevelLibrary,
    speech: Speech,
    reply: ReplyAudio,
    voice: Voice,
    pause_after_ms: float,
) -> AsyncGenerator[SpokenAudio, None]:
    """Synthesize one clause as the next part of ``reply``; closed early, the work stops.

    Args:
        thread: Of one worker; nothing else may use eSpeak meanwhile.
        library: See there.
        speech: What to say.
        reply: The stream it becomes a part of.
        voice: How to say it.
        pause_after_ms: Silence owed to the next clause, ms.

    Raises:
        EngineError: There is no such voice, or eSpeak failed.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[SpokenAudio | None] = asyncio.Queue()
    clause = _Clause(
        speech,
        reply,
        voice,
        lambda piece: loop.call_soon_threadsafe(pieces.put_nowait, piece),
        pause_after_ms,
    )
    work = loop.run_in_executor(thread, clause.synthesize, library)
    work.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await work
    finally:
        clause.cancelled = True


class _Clause:
    """One clause on its way through eSpeak; everything but ``cancelled`` is the thread's."""

    def __init__(
        self,
        speech: Speech,
        reply: ReplyAudio,
        voice: Voice,
        post: Callable[[SpokenAudio], object],
        pause_after_ms: float,
    ) -> None:
        self.cancelled = False
        self._speech = speech
        self._reply = reply
        self._voice = voice
        self._post = post
        self._pause_after_ms = pause_after_ms
        self._timer = WordTimer(speech.words)
        self._held = np.zeros(0, np.int16)
        self._held_from = 0  # sample of the clause, its silent lead not counted
        self._lead = 0
        self._begun = False
        self._ready: list[TimedWord] = []
        self._from = 0  # sample of the reply

    def synthesize(self, library: LevelLibrary) -> None:
        """Speak the clause, posting pieces that end where a word does."""
        if self._gone():
            return
        self._reply.gain = library.gain(self._voice)
        pause = self._reply.write_silence(self._reply.pause_ms)
        self._reply.pause_ms = self._pause_after_ms
        self._from = self._reply.position
        if pause:
            self._post(SpokenAudio(pause))
        text = self._speech.text
        # eSpeak lowers its voice at the end of a text; a clause cut between words goes on.
        going_on = text[-1:].isalnum()
        library.synthesize(f"{text}," if going_on else text, self._voice, self._on_audio)
        if self._gone():
            return
        loud = (
            np.flatnonzero(np.abs(self._held) > _SILENCE) if self._begun else np.zeros(0, np.int64)
        )
        tail = self._reply.in_hz * _TAIL_MS // 1000
        end = self._held_from + (min(len(self._held), int(loud[-1]) + 1 + tail) if len(loud) else 0)
        self._ready += self._timer.finish(end)
        self._hand_over(end)

    def _gone(self) -> bool:
        return self.cancelled or self._reply.cancelled

    def _on_audio(self, samples: Samples, words: list[tuple[int, int]]) -> bool:
        if self._gone():
            return False
        if not self._begun:
            samples = self._skip_lead(samples)
        self._held = np.concatenate([self._held, samples])
        for position, sample in words:
            self._ready += self._timer.reached(position, max(0, sample - self._lead))
            # Up to a written word, which may be several spoken ones ("7:30").
            until = self._timer.complete_until
            long_enough = until - self._held_from >= self._reply.in_hz * _PIECE_MS // 1000
            if self._begun and self._ready and (long_enough or not self._held_from):
                self._hand_over(until)
        return True

    def _skip_lead(self, samples: Samples) -> Samples:
        loud = np.flatnonzero(np.abs(samples) > _SILENCE)
        skip = len(samples)
        if len(loud):
            self._begun = True
            skip = max(0, int(loud[0]) - self._reply.in_hz * _LEAD_MS // 1000)
        self._lead += skip
        return samples[skip:]

    def _hand_over(self, until: int) -> None:
        """Post the audio up to sample ``until`` of the clause, and the words that ended in it."""
        count = until - self._held_from
        samples, self._held = self._held[:count], self._held[count:]
        self._held_from = until
        place = self._reply.place
        words = tuple(
            TimedWord(word.text, place(self._from + word.start), place(self._from + word.end))
            for word in self._ready
        )
        self._ready.clear()
        self._post(SpokenAudio(self._reply.write(samples), words))
