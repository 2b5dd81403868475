"""What a voice server can be made of: texts of one stream in, its audio out."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from voice_agent.tts.service import SpokenAudio

__all__ = ["Backend", "Made", "ServedVoice", "Text", "Texts"]


@dataclass(frozen=True, slots=True)
class ServedVoice:
    """A voice that callers may ask for."""

    name: str
    """As in ``voice_name`` behind the model's name: "EN-US.Aria"."""
    language: str
    """BCP-47: "en-US"."""


@dataclass(frozen=True, slots=True)
class Text:
    """One request of a stream."""

    text: str
    number: str = ""
    """The request's id, given back with its audio."""


@dataclass(frozen=True, slots=True)
class Made:
    """A piece of a stream, and the request it belongs to."""

    text: Text
    piece: SpokenAudio
    """At the rate asked for; words in samples of the whole stream."""


class Texts:
    """The texts of one stream, as they come."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Text | None] = asyncio.Queue()

    def put(self, text: Text) -> None:
        """Add a text."""
        self._waiting.put_nowait(text)

    def close(self) -> None:
        """No further text will come."""
        self._waiting.put_nowait(None)

    async def take(self) -> Text | None:
        """Return the next text; None at the end."""
        return await self._waiting.get()


class Backend(ABC):
    """One model in this process."""

    model: str
    """What callers know it by; the part of a voice's full name before the first dot."""
    sample_rate: int
    """Of the audio as it is made, Hz; callers who ask for another have it resampled."""
    voices: Sequence[ServedVoice]
    streams: int
    """How many it can make in real time at once."""
    cut_texts: int = 0
    """Texts that were ended by force: their audio had become far too long for them."""

    @abstractmethod
    async def warm(self) -> None:
        """Load, and speak a word nobody hears.

        Raises:
            EngineError: Something is missing; the message says what to do.
        """

    @abstractmethod
    def speak(self, texts: Texts, voice: ServedVoice, out_hz: int) -> AsyncGenerator[Made, None]:
        """Make the audio of one stream, text by text; closed early, the work stops.

        Raises:
            EngineError: The model failed.
        """

    async def close(self) -> None:
        """Release everything."""
        return None
