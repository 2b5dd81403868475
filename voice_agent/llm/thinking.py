"""Keeps a model's reasoning out of its speech, however the stream is cut into chunks."""

from __future__ import annotations

__all__ = ["ThinkFilter"]

OPEN, CLOSE = "<think>", "</think>"


class ThinkFilter:
    """Removes ``<think>...</think>`` spans from streamed text.

    Text is passed on as soon as it cannot be part of a tag. White space that a span leaves at the
    start or doubles is dropped. A ``</think>`` nobody opened is dropped alone: what came before it
    has been spoken already. Where the server's template writes the opening tag into the prompt,
    so that only the closing one is streamed, say ``starts_open``.
    """

    def __init__(self, *, starts_open: bool = False) -> None:
        self._thinking = starts_open
        self._held = ""
        """The end of the stream so far, which may be the start of a tag."""
        self._after_span = True
        """Nothing was spoken since a span or the start."""
        self._spaced = True
        """What was spoken last ends in white space, or nothing was."""

    def feed(self, chunk: str) -> str:
        """Take the next piece of the stream; return what may be spoken, maybe nothing."""
        text = self._held + chunk
        spoken = ""
        while True:
            tags = (CLOSE,) if self._thinking else (OPEN, CLOSE)
            found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
            if not found:
                break
            at, tag = min(found)
            if not self._thinking:
                spoken += self._speak(text[:at])
            self._thinking = tag == OPEN
            self._after_span = True
            text = text[at + len(tag) :]
        keep = max(_started(text, tag) for tag in tags)
        self._held = text[len(text) - keep :]
        if not self._thinking:
            spoken += self._speak(text[: len(text) - keep])
        return spoken

    def finish(self) -> str:
        """Return what was held back when the stream ends; an unclosed span is never spoken."""
        held, self._held = self._held, ""
        return "" if self._thinking else self._speak(held)

    def _speak(self, text: str) -> str:
        if self._after_span and self._spaced:
            text = text.lstrip()
        if text:
            self._after_span = False
            self._spaced = text[-1].isspace()
        return text


def _started(text: str, tag: str) -> int:
    """How many characters at the end of ``text`` begin ``tag``."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(tag[:length])), 0)
