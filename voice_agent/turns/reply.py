"""One answer's audio and words on one line of samples, and how far it has been heard. Pure data.

A filler, where there is one, is the beginning of the line: it is heard, interrupted and remembered
like the rest. Whoever writes the answer counts from the end of the filler and need not know of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voice_agent.media import Pcm
from voice_agent.turns.events import Tag

Word = tuple[str, int, int]
"""A word as the language model wrote it, and its samples [start, end)."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech that was synthesized before, at the rate of the playout it is for."""

    pcm: Pcm
    words: tuple[Word, ...]


@dataclass(slots=True)
class Reply:
    """An answer on its way to the listener."""

    tag: Tag
    chunks: list[Pcm] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    length: int = 0
    """Samples there are, the filler's included."""
    filler: int = 0
    """Samples of the filler."""
    filler_words: int = 0
    words: deque[Word] = field(default_factory=deque)
    """Words to come."""
    heard: list[tuple[str, int]] = field(default_factory=list)
    """Words heard and where each began, in samples."""
    position: int = 0
    """Samples pulled."""
    played: int = 0
    """Samples heard; behind ``position`` only where the transport pulls ahead."""
    complete: bool = False
    audible: bool = False
    """Its first sound has been pulled, the filler's if it has one."""
    own_audible: bool = False
    """The first sound behind the filler has been pulled."""

    @property
    def text(self) -> str:
        """The words heard so far."""
        return " ".join(text.strip() for text, _ in self.heard)

    @property
    def own_length(self) -> int:
        """Samples of the answer itself."""
        return self.length - self.filler

    def write(self, pcm: Pcm) -> None:
        """Append audio."""
        if pcm.size:
            self.chunks.append(pcm)
            self.starts.append(self.length)
            self.length += pcm.size

    def clip(self) -> Clip:
        """Return what was written; the words not heard yet."""
        pcm = np.concatenate(self.chunks) if self.chunks else np.zeros(0, dtype=np.int16)
        return Clip(pcm, tuple(self.words))

    def add_words(self, words: Sequence[Word]) -> None:
        """Append words; their samples count from the end of the filler."""
        self.words.extend((text, s + self.filler, e + self.filler) for text, s, e in words)

    def fill(self, clip: Clip, pause: int) -> None:
        """Begin with ``clip`` and ``pause`` samples of silence; nothing may be written yet."""
        self.words.extend(clip.words)
        self.write(np.concatenate([clip.pcm, np.zeros(pause, dtype=np.int16)]))
        self.filler, self.filler_words = self.length, len(clip.words)

    def hold(self) -> None:
        """Return to the start, without the filler, if there was one: nothing was heard."""
        every = [*((text, start, start) for text, start in self.heard), *self.words]
        self.heard.clear()
        self.words = deque(
            (text, s - self.filler, e - self.filler) for text, s, e in every[self.filler_words :]
        )
        if self.filler:
            self.chunks.pop(0)
            self.starts = [start - self.filler for start in self.starts[1:]]
            self.length -= self.filler
        self.filler = self.filler_words = self.position = self.played = 0
        self.audible = self.own_audible = False

    def read(self, samples: int, into: Pcm) -> int:
        """Copy up to ``samples`` samples from the position on; return how many."""
        taken = min(samples, self.length - self.position)
        done = 0
        index = bisect_right(self.starts, self.position) - 1
        while done < taken:
            offset = self.position + done - self.starts[index]
            part = self.chunks[index][offset : offset + taken - done]
            into[done : done + part.size] = part
            done += part.size
            index += 1
        return taken

    def newly_heard(self) -> list[str]:
        """Take and return the words that began within what was played."""
        said = []
        while self.words and self.words[0][1] < self.played:
            text, start, _ = self.words.popleft()
            self.heard.append((text, start))
            said.append(text.strip())
        return said

    def rest_heard(self) -> list[str]:
        """Take and return all the words that are left."""
        said = [text.strip() for text, _, _ in self.words]
        self.heard.extend((text, start) for text, start, _ in self.words)
        self.words.clear()
        return said

    def rewind(self) -> None:
        """Go back to the start of the last word heard: it may have been cut."""
        if self.heard:
            text, start = self.heard.pop()
            end = self.words[0][1] if self.words else self.played
            self.words.appendleft((text, start, max(start, end)))
            self.position = self.played = min(start, self.length)
