"""A Riva server as an ordinary Pipecat STT service.

Not built on Pipecat's NvidiaSTTService: that one has a thread a stream, cannot force the end of an
utterance, and loses what was said while its connection was down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipecat.frames.frames import ErrorFrame
from pipecat.transcriptions.language import Language

from voice_agent.asr.riva_stream import RivaStream
from voice_agent.asr.service import StreamSTTService
from voice_agent.riva.words import Word

_TTFS_P99_S = 0.25
_LAST_WORDS_S = 3.0

Open = Callable[
    [
        Callable[[Sequence[Word]], None],
        Callable[[Sequence[Word], bool], None],
        Callable[[str, bool], None],
    ],
    RivaStream,
]
"""Opens a stream with these callbacks: partial, final, failure."""


class RivaSTTService(StreamSTTService):
    """Streaming recognition of one conversation.

    Words carry their times in ``result``, as a list of ``voice_agent.riva.words.Word``, where the
    server tells them.
    """

    def __init__(self, open_stream: Open, model: str, language: Language) -> None:
        """Make the service; it connects when its pipeline is set up."""
        super().__init__(model, language, ttfs_p99_s=_TTFS_P99_S, last_words_s=_LAST_WORDS_S)
        self._open = open_stream
        self._stream: RivaStream | None = None
        self._owed = 0
        """Finals asked for and not yet there."""
        self._unanswered = 0
        """Of those, how many must be answered even if nothing was said."""

    def figures(self) -> dict[str, float]:
        """Return what a trace should know: ``asr_lag_ms``, audio whose words are not known yet."""
        if self._stream is None:
            return {}
        return {
            "asr_lag_ms": round(self._stream.lag_ms, 1),
            "asr_reconnects": float(self._stream.reconnects),
        }

    def _open_stream(self) -> None:
        self._stream = self._open(self._on_partial, self._on_final, self._on_failure)

    async def _close_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()

    def _last_words(self) -> None:
        self._finalize(answer=False)

    def _hear(self, pcm: bytes) -> None:
        if self._stream is not None and pcm:
            self._stream.hear(pcm)

    def _finalize(self, *, answer: bool) -> None:
        if self._stream is None:
            return
        self._owed += 1
        self._unanswered += answer
        self._settled.clear()
        self._stream.end()

    def _on_partial(self, words: Sequence[Word]) -> None:
        if words:
            self._partial(_text(words))

    def _on_final(self, words: Sequence[Word], asked: bool) -> None:
        answers = asked and self._unanswered > 0
        if asked:
            self._owed -= 1
        if words or answers:
            self._final(_text(words), list(words))
        if answers:
            self._unanswered -= 1
        if not self._owed:
            self._settled.set()

    def _on_failure(self, reason: str, permanent: bool) -> None:
        error = f"speech recognition cannot be reached ({reason})"
        self._failed(ErrorFrame(error=error, processor=self, fatal=permanent), permanent=permanent)


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
