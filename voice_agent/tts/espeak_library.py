"""eSpeak NG through ctypes: text in, audio and word positions out while they are made.

The library's state (voice, rate, callback) is global to the process and not re-entrant, so every
use of it is under one lock. Calls release the GIL; the callback takes it for some microseconds
every 200 ms of audio, which is about every 0.2 ms of work.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass

import espeakng_loader
import numpy as np

from voice_agent.engines import EngineError
from voice_agent.tts.resample import Samples

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_EVENT_END, _EVENT_WORD = 0, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_BUFFER_MS = 200
# Languages people write and eSpeak files under a shorter name.
_ALIASES = {"en-gb": "en", "fr-fr": "fr", "de-de": "de", "es-es": "es", "it-it": "it"}

# Gets the next audio and the words that begin: (character in the text, sample in the audio).
# Answers whether to go on.
OnAudio = Callable[[Samples, list[tuple[int, int]]], bool]


@dataclass(frozen=True, slots=True)
class Voice:
    """How eSpeak speaks."""

    name: str
    """A voice or language, with an optional variant: "en-us", "en-gb+f3"."""
    words_per_minute: int = 175
    pitch: int = 50
    """0 to 99."""
    pitch_range: int = 50
    """0 is monotone, 100 as lively as it gets."""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
_lock = threading.Lock()
_loaded: EspeakLibrary | None = None


def espeak() -> EspeakLibrary:
    """Return the process's eSpeak NG, loaded by the first call (some ms).

    Raises:
        EngineError: The library or its voices are missing.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = EspeakLibrary()
        return _loaded


class EspeakLibrary:
    """eSpeak NG, initialized; use ``espeak()`` to get it."""

    def __init__(self) -> None:
        try:
            self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path()
        except (OSError, RuntimeError) as error:
            raise EngineError(
                f"eSpeak NG cannot be loaded: {error}; reinstall the espeakng-loader package"
            ) from error
        self.sample_rate: int = self._lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data.encode(), _DONT_EXIT
        )
        """Of the audio, Hz."""
        if self.sample_rate <= 0:
            raise EngineError(f"eSpeak NG found no voices in {data}; reinstall espeakng-loader")
        self._lib.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        self._on_audio: OnAudio | None = None
        self._error: BaseException | None = None
        self._voice: Voice | None = None
        # Kept here: ctypes does not own the callback that C calls.
        self._callback = _Callback(self._deliver)
        self._lib.espeak_SetSynthCallback(self._callback)

    def synthesize(self, text: str, voice: Voice, on_audio: OnAudio) -> None:
        """Speak ``text``, calling ``on_audio`` in this thread as audio is made.

        Returns when everything is spoken or ``on_audio`` answered False.

        Raises:
            EngineError: There is no such voice, or eSpeak failed.
        """
        encoded = text.replace("\0", " ").encode()
        with _lock:
            self._use(voice)
            self._on_audio, self._error = on_audio, None
            try:
                failed = self._lib.espeak_Synth(
                    encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None
                )
            finally:
                self._on_audio = None
            error = self._error
        if error is not None:
            raise error
        if failed:
            raise EngineError(f"eSpeak NG failed with error {failed} on a text of {len(text)}")

    def _use(self, voice: Voice) -> None:
        if voice == self._voice:
            return
        self._voice = None
        language, plus, variant = voice.name.partition("+")
        name = _ALIASES.get(language.lower(), language) + plus + variant
        if self._lib.espeak_SetVoiceByName(name.encode()):
            raise EngineError(
                f"eSpeak NG has no voice {voice.name!r}; voices are languages such as en-us, "
                "en-gb, de or es, with an optional variant such as +f3 or +m2"
            )
        for parameter, value in (
            (_RATE, voice.words_per_minute),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._voice = voice

    def _deliver(self, wave: int | None, count: int, events: ctypes.Array[_Event]) -> int:
        """Pass audio on; C calls this. Returns 1 to stop."""
        if self._on_audio is None or self._error is not None:
            return 1
        try:
            words = []
            index = 0
            while events[index].type != _EVENT_END:
                event = events[index]
                if event.type == _EVENT_WORD:
                    words.append((event.text_position - 1, event.sample))
                index += 1
            raw = ctypes.string_at(wave, count * 2) if wave and count > 0 else b""
            return 0 if self._on_audio(np.frombuffer(raw, np.int16), words) else 1
        except BaseException as error:  # raised by ``synthesize``; C cannot carry it
            self._error = error
            return 1
