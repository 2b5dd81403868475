"""Keys pressed on a telephone, collected until they mean something.

Pure: time is an argument, ms. ``#`` ends an entry, and so does a pause; what was entered is then
said as the user's words.
"""

from __future__ import annotations

PAUSE_MS = 2000.0
"""Without a key for this long the entry is over; people look numbers up while they type."""
LONGEST = 64
"""Keys of one entry at most."""


class Keypad:
    """Collects one caller's keys."""

    def __init__(self, pause_ms: float = PAUSE_MS) -> None:
        self._pause_ms = pause_ms
        self._keys = ""
        self._last_at = 0.0

    @property
    def open(self) -> bool:
        """Whether an entry has begun and is not over."""
        return bool(self._keys)

    def press(self, key: str, now: float) -> str | None:
        """Take a key; return the entry if it is over. A lone ``#`` is an entry too."""
        if key == "#" and self._keys:
            return self._take()
        self._keys += key
        self._last_at = now
        return self._take() if key == "#" or len(self._keys) >= LONGEST else None

    def due_at(self) -> float | None:
        """Return when the entry is over if no key comes; None while there is none."""
        return self._last_at + self._pause_ms if self._keys else None

    def paused(self, now: float) -> str | None:
        """Return the entry if it is over by now."""
        due = self.due_at()
        return self._take() if due is not None and now >= due else None

    def _take(self) -> str:
        keys, self._keys = self._keys, ""
        return keys
