"""The client's audio on its way in, ours on its way out: formats, rates, and whose clock it is.

The API's audio carries no time: a client appends what it recorded, in pieces of any length, or a
whole recording at once. What comes as it is recorded is heard at once. What comes faster is let
through twice as fast as it was spoken: the turn engine and recognition keep up with that, and a
line that was held up catches up. Pure; time is an argument.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import numpy as np

from voice_agent.media import HEARD_HZ, HeardAudio, Pcm
from voice_agent.transports.jitter import MediaClock
from voice_agent.transports.telephony.audio import MEDIA_HZ, Resampler, decoded, encoded
from voice_agent.transports.telephony.wire import Encoding

API_HZ = 24_000
"""Of the API's linear audio, and of our voice before it is encoded."""
PIECE_MS = 100.0
"""Longer appends are heard in pieces of this length."""
AHEAD_MS = 1000.0
"""Audio that may come at once: what a network has held back. Recognition gives up audio that it
has been given too early (``max_lag_s`` of PocketSphinx is 2 s)."""
FASTER = 2.0
"""Beyond that, how many times faster than it was spoken audio is heard."""
PAUSE_MS = 500.0
"""Nothing came for this long: the client has paused, and its clock begins anew."""
REMEMBERED_MS = 120_000.0
"""How far back a moment can be found in the audio."""

_ENCODINGS = {
    "audio/pcm": (Encoding.L16, API_HZ),
    "audio/pcmu": (Encoding.PCMU, 8000),
    "audio/pcma": (Encoding.PCMA, 8000),
}


class Listening:
    """The audio of one client, in the order it was appended."""

    def __init__(self) -> None:
        self._encoding = Encoding.L16
        self._hz = API_HZ
        self._resampler = Resampler(API_HZ, HEARD_HZ)
        self._pieces: deque[tuple[Pcm, float]] = deque()
        self._clock = MediaClock(0.0)
        self._sample = 0
        """Media time of the next sample, 1/48000 s since the clock began."""
        self._recorded = False
        """The last piece was part of a recording, sent faster than it was spoken."""
        self._recorded_until_ms = 0.0
        """When that was: what had come by then is part of it."""
        self._until_ms: float | None = None
        """When the last piece was over."""
        self._ahead_ms = 0.0
        self._ahead_at_ms = 0.0
        self._heard_ms = 0.0
        self._places: deque[tuple[float, float]] = deque()
        """(moment, ms of all the audio before it), one for each piece."""
        self.waiting_ms = 0.0
        """Audio appended and not heard yet."""

    def format(self, name: str) -> None:
        """Audio appended from now on is in this format of the API."""
        encoding, hz = _ENCODINGS[name]
        if (encoding, hz) != (self._encoding, self._hz):
            self._encoding, self._hz = encoding, hz
            self._resampler = Resampler(hz, HEARD_HZ)

    def append(self, audio: bytes, arrived_ms: float) -> None:
        """Take in audio."""
        pcm = self._resampler.write(decoded(audio, self._encoding))
        step = int(PIECE_MS * HEARD_HZ / 1000.0)
        for start in range(0, pcm.size, step):
            self._pieces.append((pcm[start : start + step], arrived_ms))
        self.waiting_ms += pcm.size / HEARD_HZ * 1000.0

    def clear(self) -> None:
        """Forget what was not heard yet."""
        for pcm, _ in self._pieces:
            self._heard_ms += pcm.size / HEARD_HZ * 1000.0
        self._pieces.clear()
        self.waiting_ms = 0.0

    def due(self, now: float) -> float | None:
        """Return when the next piece is to be heard; None while there is none."""
        if not self._pieces:
            return None
        over = self._level(now) - AHEAD_MS
        return now + max(0.0, over) / FASTER

    def next(self, now: float) -> HeardAudio:
        """Take the next piece; there must be one."""
        pcm, arrived_ms = self._pieces.popleft()
        ms = pcm.size / HEARD_HZ * 1000.0
        # A recording says nothing of when it was spoken: it is as if it were spoken now.
        much = max(self._ahead_ms, self.waiting_ms) > AHEAD_MS
        recorded = much or arrived_ms < self._recorded_until_ms
        self._recorded_until_ms = now if recorded else self._recorded_until_ms
        self._ahead_ms, self._ahead_at_ms = self._level(now) + ms, now
        self.waiting_ms = max(0.0, self.waiting_ms - ms)
        begins, at_ms = self._sample, now if recorded else arrived_ms
        self._sample += round(pcm.size * MEDIA_HZ / HEARD_HZ)
        paused = self._until_ms is None or at_ms - self._until_ms > PAUSE_MS + ms
        if paused or recorded != self._recorded:
            begins, self._sample = 0, self._sample - begins
            self._clock = MediaClock(0.0)
            self._clock.arrived(0, at_ms)
        self._recorded = recorded
        # What waits behind it was captured by the time that the last of it came.
        behind = 0 if recorded else round(self.waiting_ms * MEDIA_HZ / 1000.0)
        came_ms = self._pieces[-1][1] if behind and self._pieces else at_ms
        self._clock.arrived((self._sample + behind) & 0xFFFFFFFF, came_ms)
        captured_ms = self._clock.captured_ms(begins)
        self._until_ms = captured_ms + ms
        self._places.append((captured_ms, self._heard_ms))
        while self._places[0][0] < captured_ms - REMEMBERED_MS:
            self._places.popleft()
        self._heard_ms += ms
        return HeardAudio(pcm.tobytes(), captured_ms, at_ms)

    def position(self, moment_ms: float) -> float:
        """Return how much of all the audio, ms, lies before a moment."""
        index = bisect_right(self._places, moment_ms, key=lambda place: place[0]) - 1
        if index < 0:
            return self._places[0][1] if self._places else 0.0
        began_ms, before_ms = self._places[index]
        return min(before_ms + moment_ms - began_ms, self._heard_ms)

    def _level(self, now: float) -> float:
        """How much audio was heard ahead of its time."""
        return max(0.0, self._ahead_ms - (now - self._ahead_at_ms) * FASTER)


class Speaking:
    """Our voice as a client wants it; one stream, whatever it is cut into."""

    def __init__(self) -> None:
        self._narrow = Resampler(API_HZ, 8000)

    def encoded(self, pcm: bytes, format: str) -> bytes:
        """Return samples at ``API_HZ`` in a format of the API."""
        encoding, hz = _ENCODINGS[format]
        if hz == API_HZ:
            return pcm
        return encoded(self._narrow.write(np.frombuffer(pcm, dtype=np.int16)), encoding)
