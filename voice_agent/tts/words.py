"""When each word of a reply is heard, in samples of the reply's own audio.

Pipecat times words by the wall clock of the moment the audio is pushed. A reply that is held back,
ducked or resumed needs them relative to its audio instead: samples played so far say which words
were heard, whenever that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voice_agent.tts.normalise import Speech, SpokenWord

# What may stand at the end of a word and is not spoken.
_MARKS = ".,;:!?…\"')]}”’»"


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of the reply and the samples that carry it."""

    text: str
    start: int
    end: int


class WordTimer:
    """Turns "the voice is now at this character" into times of the words as they were written.

    A synthesizer reports the start of what it speaks, by position in the spoken text. A word is
    complete when a later one starts. Words it never reports (two spoken as one, an emoji) share
    the time up to the next report by their spoken length.
    """

    def __init__(self, words: Sequence[SpokenWord]) -> None:
        self._words = words
        self._done = 0
        self.complete_until = 0
        """Sample up to which every word is complete; the next one begins there."""

    def reached(self, position: int, sample: int) -> list[TimedWord]:
        """Note that the text from ``position`` (characters) on is spoken from ``sample`` on.

        Returns:
            The words that ended by this, in order.
        """
        upto = self._done
        while upto < len(self._words) and self._words[upto].end <= position:
            upto += 1
        return self._share(upto, sample)

    def finish(self, sample: int) -> list[TimedWord]:
        """Return the words that are left; the last of them ends at ``sample``."""
        return self._share(len(self._words), sample)

    def _share(self, upto: int, sample: int) -> list[TimedWord]:
        words = self._words[self._done : upto]
        if not words:
            return []
        start, length = self.complete_until, max(0, sample - self.complete_until)
        weight = sum(word.end - word.start for word in words) or 1
        timed = []
        passed = 0
        for word in words:
            begin = start + length * passed // weight
            passed += word.end - word.start
            timed.append(TimedWord(word.original, begin, start + length * passed // weight))
        self._done = upto
        self.complete_until = start + length
        return timed


class WordEstimate:
    """Where words are in speech whose synthesizer does not say: by length, at the voice's own pace.

    Args:
        words: Of one clause.
        samples_per_char: The voice's pace, as it was in speech whose length is known.
    """

    def __init__(self, words: Sequence[SpokenWord], samples_per_char: float) -> None:
        self._words = words
        self._pace = samples_per_char
        self._done = 0
        self._at = 0

    def until(self, sample: int) -> list[TimedWord]:
        """Return the further words that begin before ``sample`` of the clause.

        Nothing returned lies behind ``sample``: later words may come sooner than they should.
        """
        timed = []
        while self._done < len(self._words) and self._at < sample:
            word = self._words[self._done]
            begin = self._at
            self._at += round((word.end - word.start + 1) * self._pace)
            timed.append(TimedWord(word.original, begin, min(self._at, sample)))
            self._done += 1
        return timed

    def finish(self, sample: int) -> list[TimedWord]:
        """Return the words that are left; they share what is left of the clause."""
        words = self._words[self._done :]
        begin = min(self._at, sample)
        weight = sum(word.end - word.start for word in words) or 1
        timed, passed = [], 0
        for word in words:
            start = begin + (sample - begin) * passed // weight
            passed += word.end - word.start
            timed.append(
                TimedWord(word.original, start, begin + (sample - begin) * passed // weight)
            )
        self._done = len(self._words)
        return timed


class WordMatch:
    """Finds written words in what a synthesizer says it speaks, word by word with its own times.

    A written word ("7:30") may be several spoken ones, and is known when the last of them is.
    """

    def __init__(self, speech: Speech) -> None:
        self._text = speech.text
        self._words = speech.words
        self._done = 0
        self._read = 0
        self._at = 0
        self.open_from: int | None = None
        """Sample from which a written word is spoken whose end is not known yet."""

    def spoken(self, word: str, start: int, end: int) -> list[TimedWord]:
        """Note that ``word`` is spoken from sample ``start`` to ``end``; return what that ends.

        One that is not in the text is left out: the next one will be found again.
        """
        at = self._text.find(word, self._read)
        if at < 0:
            return []
        done = self._until(at, start)
        if self.open_from is None:
            self.open_from = self._at = max(self._at, start)
        self._read = at + len(word)
        rest = self._text[self._read :]
        self._read += len(rest) - len(rest.lstrip(_MARKS))
        return done + self._until(self._read, end)

    def finish(self, sample: int) -> list[TimedWord]:
        """Return the words that are left; they end at ``sample``."""
        return self._until(len(self._text) + 1, sample)

    def _until(self, position: int, sample: int) -> list[TimedWord]:
        """Return the words that end at or before the character ``position``."""
        timed = []
        while self._done < len(self._words) and self._words[self._done].end <= position:
            # Without an open word nothing of it was spoken: it takes no time.
            start = self._at if self.open_from is None else self.open_from
            self._at = max(start, sample) if self.open_from is not None else start
            timed.append(TimedWord(self._words[self._done].original, start, self._at))
            self.open_from = None
            self._done += 1
        return timed
