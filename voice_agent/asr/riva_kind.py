"""Riva servers are not all alike in what "end the utterance now" does; an engine must know."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Whom we talk to, by what ``force_eou`` does there."""

    VOICE_AGENT = "voice-agent"
    """Our own: the final is decoded on a copy and always comes; the stream goes on undisturbed."""
    NEMO_SPEECH = "nemo-speech"
    """NeMo-Speech.cpp: the stream is reset, and nothing is said when there was nothing to say; but
    every message with audio gets exactly one response, so that silence can be told from delay."""
    RIVA = "riva"
    """NVIDIA's Riva and NIM: the stream is reset; whether a final comes cannot be relied on."""
    UNFORCED = "unforced"
    """It ends utterances when it thinks fit: finals are made of the partials."""

    @property
    def forces(self) -> bool:
        """Whether it is asked at all."""
        return self is not Kind.UNFORCED


def kind_of(parameters: Mapping[str, str]) -> Kind:
    """Tell the server by what it says of its model (``GetRivaSpeechRecognitionConfig``)."""
    if parameters.get("server") == "voice-agent":
        return Kind.VOICE_AGENT
    # All that NeMo-Speech.cpp says, and under a name of its own; Riva's models say much more.
    if set(parameters) == {"language_code", "sample_rate_hertz", "streaming", "type"}:
        return Kind.NEMO_SPEECH
    return Kind.RIVA
