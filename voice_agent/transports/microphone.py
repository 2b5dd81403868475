"""This machine's microphone and speaker as a transport, through PortAudio (``sounddevice``).

PortAudio calls back on a thread of its own. What it recorded is handed to the event loop; what it
plays was pulled on the loop shortly before, ``AHEAD`` packets of 20 ms, so that the agent falls
silent that fast. There is no echo cancellation: with a loudspeaker the agent hears itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from voice_agent.media import HEARD_HZ, AudioSource, HeardAudio, now_ms

OUT_HZ = 48_000
PACKET = OUT_HZ // 50
"""Samples pulled at a time: 20 ms."""
HEARD_PACKET = HEARD_HZ // 50
AHEAD = 2
"""Packets that lie ready for PortAudio."""
_SILENCE = bytes(2 * PACKET)
_UNHEARD_MAX = 500
"""Packets nobody has taken (10 s) after which the oldest are dropped."""


class NoSound(RuntimeError):
    """This machine cannot record or play; the message says what to do."""


def load_sounddevice() -> Any:
    """Import ``sounddevice`` and see that there is something to record from and to play on.

    Raises:
        NoSound: It is not installed, or has no PortAudio, or there is no device.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise NoSound(
            "the package sounddevice is not installed; in a checkout: "
            "uv run --extra talk voice-agent talk; else: pip install 'voice-agent[talk]'"
        ) from error
    except OSError as error:
        raise NoSound(
            "the library PortAudio is not installed; Debian and Ubuntu: "
            "apt install libportaudio2; Fedora: dnf install portaudio"
        ) from error
    for kind, name in (("input", "microphone"), ("output", "speaker")):
        try:
            sounddevice.query_devices(kind=kind)
        except (sounddevice.PortAudioError, ValueError) as error:
            raise NoSound(
                f"there is no {name} on this machine ({error}); use the page instead: "
                "voice-agent serve, opened in a browser on a machine that has one"
            ) from error
    return sounddevice


class Microphone:
    """The transport of one conversation; make it on the event loop, then ``open`` it.

    Args:
        on_message: Told of every message of the conversation to its client.
    """

    name = "microphone"
    audio_out_hz = OUT_HZ

    def __init__(self, on_message: Callable[[dict[str, Any]], None]) -> None:
        self.ids: Mapping[str, str] = {}
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._heard: asyncio.Queue[HeardAudio | None] = asyncio.Queue()
        self._ready: deque[bytes] = deque()
        self._source: AudioSource | None = None
        self._streams = contextlib.ExitStack()

    def open(self, sounddevice: Any) -> None:
        """Start recording and playing on the default devices.

        Raises:
            NoSound: The devices cannot be used this way.
        """
        try:
            for stream in (
                sounddevice.RawInputStream(
                    samplerate=HEARD_HZ,
                    blocksize=HEARD_PACKET,
                    channels=1,
                    dtype="int16",
                    latency="low",
                    callback=self._recorded,
                ),
                sounddevice.RawOutputStream(
                    samplerate=OUT_HZ,
                    blocksize=PACKET,
                    channels=1,
                    dtype="int16",
                    latency="low",
                    callback=self._plays,
                ),
            ):
                self._streams.enter_context(stream)
        except sounddevice.PortAudioError as error:
            self._streams.close()
            raise NoSound(f"the microphone or the speaker cannot be used: {error}") from error

    # ----- on PortAudio's thread -----

    def _recorded(self, recorded: Any, _frames: int, time: Any, _status: object) -> None:
        arrived_ms = now_ms()
        age_ms = max(0.0, (time.currentTime - time.inputBufferAdcTime) * 1000.0)
        self._soon(self._hear, HeardAudio(bytes(recorded), arrived_ms - age_ms, arrived_ms))

    def _plays(self, played: Any, _frames: int, _time: Any, _status: object) -> None:
        try:
            played[:] = self._ready.popleft()
        except IndexError:
            played[:] = _SILENCE
        self._soon(self._refill)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: the call is over
            self._loop.call_soon_threadsafe(call, *arguments)

    # ----- on the event loop -----

    def _hear(self, audio: HeardAudio) -> None:
        if self._heard.qsize() >= _UNHEARD_MAX:
            self._heard.get_nowait()
        self._heard.put_nowait(audio)

    def _refill(self) -> None:
        while self._source is not None and len(self._ready) < AHEAD:
            self._ready.append(self._source.pull(PACKET).tobytes())

    async def heard(self) -> AsyncIterator[HeardAudio]:
        """Yield what the microphone records; ends when closed."""
        while (audio := await self._heard.get()) is not None:
            yield audio

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Say that the client listens; it has nothing more to say."""
        yield {"id": "microphone", "label": "rtvi-ai", "type": "client-ready"}
        await self._closed.wait()

    def play(self, source: AudioSource) -> None:
        """Play what ``source`` has to say, until closed."""
        self._source = source
        self._refill()

    def figures(self) -> dict[str, float]:
        """Return nothing: there is no line to know of."""
        return {}

    def send(self, message: dict[str, Any]) -> None:
        """Hand a message to whoever shows it."""
        if not self._closed.is_set():
            self._on_message(message)

    async def close(self) -> None:
        """Stop recording and playing; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._source = None
        await asyncio.to_thread(self._streams.close)  # waits for PortAudio's thread
        self._heard.put_nowait(None)
