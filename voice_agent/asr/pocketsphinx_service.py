"""PocketSphinx as an ordinary Pipecat STT service; the recognising is done in ``RecognitionPool``.

Audio is taken in all the time, but an utterance is begun only at a voice, with the half second
before it: PocketSphinx hears words in silence, and a word of 200 ms is over before any VAD has
said that there is a voice.
"""

from __future__ import annotations

from pipecat.frames.frames import ErrorFrame
from pipecat.transcriptions.language import Language

from voice_agent.asr.pocketsphinx_pool import RecognitionPool, RecognitionStream
from voice_agent.asr.service import StreamSTTService
from voice_agent.asr.voice_gate import VoiceGate

_TTFS_P99_S = 0.1
"""From the end of speech to the final transcript once it was asked for: measured 31 ms
p95 with all streams of a worker busy."""
_LAST_WORDS_S = 10.0


class PocketSphinxSTTService(StreamSTTService):
    """Streaming recognition of one conversation.

    Interim transcripts are sent when words change. When a ``FinalizeTranscriptFrame`` and a VAD
    stop come for the same silence, the text is sent once.
    """

    def __init__(self, pool: RecognitionPool, gate: VoiceGate, max_utterance_s: float) -> None:
        """Make the service; it takes a place in ``pool`` when its pipeline is set up."""
        super().__init__(
            "pocketsphinx-bella-notte",
            Language.EN,
            ttfs_p99_s=_TTFS_P99_S,
            last_words_s=_LAST_WORDS_S,
            direct=True,
        )
        self._pool = pool
        self._gate = gate
        self._max_utterance_s = max_utterance_s
        self._stream: RecognitionStream | None = None
        self._ends_pending = 0
        """Finals asked of the stream and not yet there."""
        self._answer_owed = False
        """Somebody waits for the next final, be it empty."""

    def _open_stream(self) -> None:
        self._stream = self._pool.open(self._on_partial, self._on_final, self._on_failure)

    async def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _voice_started(self) -> None:
        self._feed(self._gate.voice_started())

    def _voice_paused(self) -> None:
        self._gate.voice_stopped()

    def _hear(self, pcm: bytes) -> None:
        self._feed(self._gate.audio(pcm))
        length_s = self._stream.utterance_s if self._stream else 0.0
        if self._gate.ended_by_silence or length_s >= self._max_utterance_s:
            self._finalize(answer=False)

    def _feed(self, pcm: bytes) -> None:
        if pcm and self._stream is not None:
            self._stream.hear(pcm)

    def _finalize(self, *, answer: bool) -> None:
        if self._stream is None:
            return
        begun = self._stream.utterance_s > 0
        if begun:
            self._gate.utterance_ended()
            self._ends_pending += 1
            self._settled.clear()
            self._stream.end()
        if answer:
            if self._ends_pending:
                self._answer_owed = True
            else:
                self._final("")

    def _on_partial(self, text: str) -> None:
        if text:
            self._partial(text)

    def _on_final(self, text: str) -> None:
        self._ends_pending -= 1
        last = not self._ends_pending
        if text or (last and self._answer_owed):
            self._final(text)
        if last:
            self._answer_owed = False
            self._settled.set()

    def _on_failure(self, reason: str) -> None:
        self._failed(ErrorFrame(error=reason, processor=self), permanent=True)
