"""A turn drawn in a terminal: what was waited for, what ran beside it, and what happened. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from voice_agent.trace.model import TOTAL, Event, Segment, Span, Turn

NARROWEST = 60
"""Columns below which nothing is drawn narrower; longer lines then wrap."""
_LABEL = 24
_MS = 9
_BEFORE_MS = 1200.0
"""Of what came before the zero point, so much is shown at most."""
_BEYOND = 1.25
"""What comes after the first sound is shown as far as this part of the whole."""


@dataclass(frozen=True, slots=True)
class Ink:
    """What is drawn with."""

    waited: str = "█"
    work: str = "▓"
    guess: str = "▒"
    lost: str = "░"
    goes_on: str = "▶"
    came_from: str = "◀"
    zero: str = "│"
    colour: bool = False

    def red(self, text: str) -> str:
        """Return what stands out."""
        return f"\x1b[31m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        """Return what stands back."""
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text


UNICODE = Ink()
ASCII = Ink("#", "=", "-", ".", ">", "<", "|")


def draw(turn: Turn, width: int = 100, ink: Ink = UNICODE) -> list[str]:
    """Return the lines that show a turn in ``width`` columns."""
    width = max(width, NARROWEST)
    axis = _Axis(turn, width - _LABEL - _MS - 2)
    lines = [*_head(turn, width, ink), "", axis.scale(ink)]
    if turn.segments:
        lines += ["waited for", *_waited(turn.segments, axis, turn.guilty or "", width, ink)]
    if turn.spans:
        lines += ["beside it", *(_beside(span, axis, ink) for span in turn.spans)]
    if turn.events:
        lines += ["what happened", *_happened(turn.events, width)]
    if turn.figures:
        lines += ["figures", *_wrapped(_figures(turn), width)]
    if turn.words is not None:
        lines += ["words", *_said("user", turn.words.user, width)]
        lines += _said("heard", turn.words.heard, width)
    return lines


class _Axis:
    """Lays ms on columns."""

    def __init__(self, turn: Turn, columns: int) -> None:
        began = min((span.start_ms for span in turn.spans), default=0.0)
        first = turn.v2v_ms if turn.v2v_ms is not None else turn.ended_ms or 1000.0
        self.begin_ms = max(began, -max(_BEFORE_MS, first)) if began < 0 else 0.0
        self.end_ms = max(first * _BEYOND, 1.0)
        self.columns = columns
        self.zero = self.column(0.0)

    def column(self, ms: float) -> int:
        """Return the column of a moment, within the drawing."""
        share = (ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        return min(max(round(share * self.columns), 0), self.columns)

    def bar(self, start_ms: float, end_ms: float, mark: str, ink: Ink) -> str:
        """Return a bar; what leaves the drawing ends in an arrow, what is short is still seen."""
        start, end = self.column(start_ms), self.column(end_ms)
        start = min(start, self.columns - 1)
        cells = [" "] * self.columns
        for column in range(start, max(end, start + 1)):
            cells[column] = mark
        if end_ms > self.end_ms:
            cells[-1] = ink.goes_on
        if start_ms < self.begin_ms:
            cells[0] = ink.came_from
        if 0 < self.zero < self.columns and cells[self.zero] == " ":
            cells[self.zero] = ink.dim(ink.zero)
        return "".join(cells).rstrip()

    def scale(self, ink: Ink) -> str:
        """Return the line of the scale: where it begins, the zero point, the end."""
        cells = [" "] * (self.columns + 12)

        def write(column: int, text: str) -> None:
            column = min(max(column, 0), self.columns - len(text))
            if all(cell == " " for cell in cells[max(0, column - 1) : column + len(text) + 1]):
                cells[column : column + len(text)] = text

        write(self.zero, "0 ms")
        write(self.columns, f"{self.end_ms:.0f}")
        if self.begin_ms < 0:
            write(0, f"{self.begin_ms:.0f}")
        write((self.zero + self.columns) // 2, f"{self.end_ms / 2:.0f}")
        return ink.dim(" " * (_LABEL + _MS + 1) + "".join(cells).rstrip())


def _head(turn: Turn, width: int, ink: Ink) -> Iterator[str]:
    when = datetime.fromtimestamp(turn.started_at).astimezone()
    yield from _wrapped(
        [
            f"turn {turn.turn},",
            f"{turn.kind},",
            f"{turn.pipeline} over {turn.transport},",
            f"{when:%Y-%m-%d %H:%M:%S},",
            f"id {turn.id}",
        ],
        width,
        indent="",
    )
    if turn.v2v_ms is None:
        yield "nothing of an answer was heard"
        return
    took = f"{turn.v2v_ms:.1f} ms from voice to voice"
    if (budget := turn.budgets.get(TOTAL)) is not None:
        took += f", budget {budget:g} ms"
    if turn.verdict is not None:
        took += ": kept" if turn.verdict == "ok" else f": missed, guilty: {turn.guilty}"
    for line in _wrapped(took.split(), width, indent=""):
        yield ink.red(line) if turn.verdict == "missed" else line


def _waited(
    segments: Sequence[Segment], axis: _Axis, guilty: str, width: int, ink: Ink
) -> Iterator[str]:
    for segment in segments:
        label = f"  {segment.stage}"
        if segment.name not in (segment.stage, "silence", "llm", "tts", "final", "release"):
            label += f" ({segment.name})"
        bar = axis.bar(segment.start_ms, segment.start_ms + segment.ms, ink.waited, ink)
        if segment.stage == guilty:
            bar = ink.red(bar)
        yield _row(label, f"{segment.ms:.1f}", bar)
        yield from (ink.dim(line) for line in _wrapped([segment.cause], width, indent="    "))


def _beside(span: Span, axis: _Axis, ink: Ink) -> str:
    mark = ink.work
    if span.outcome in ("miss", "dropped"):
        mark = ink.lost
    elif span.speculative:
        mark = ink.guess
    label = f"  {span.name}" + (f" ({span.outcome})" if span.outcome else "")
    bar = axis.bar(span.start_ms, span.end_ms, mark, ink)
    return _row(label, f"{span.end_ms - span.start_ms:.1f}", bar)


def _happened(events: Sequence[Event], width: int) -> Iterator[str]:
    parts = []
    for name, run in groupby(events, key=lambda event: event.name):
        same = list(run)
        times = f" x{len(same)}" if len(same) > 1 else ""
        parts.append(f"{same[0].at_ms:+.0f} {name}{times},")
    if parts:
        parts[-1] = parts[-1].rstrip(",")
    yield from _wrapped(parts, width)


def _figures(turn: Turn) -> list[str]:
    made = [f"{name} {value:g}," for name, value in sorted(turn.figures.items()) if value]
    return [*made[:-1], made[-1].rstrip(",")] if made else ["nothing"]


def _said(who: str, text: str, width: int) -> Iterator[str]:
    yield from _wrapped([f"{who}:", *text.split()], width)


def _row(label: str, ms: str, bar: str) -> str:
    if len(label) > _LABEL:
        label = label[: _LABEL - 1] + "…" if bar.isascii() is False else label[:_LABEL]
    return f"{label:<{_LABEL}}{ms:>{_MS}} {bar}".rstrip()


def _wrapped(parts: Sequence[str], width: int, indent: str = "  ") -> Iterator[str]:
    line = indent
    for part in parts:
        for word in part.split() if len(indent + part) > width else [part]:
            if line != indent and len(line) + len(word) + 1 > width:
                yield line.rstrip()
                line = indent
            line += word + " "
    if line.strip():
        yield line.rstrip()
