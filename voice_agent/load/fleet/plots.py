"""Plots as SVG text, just what the report needs: lines over a number, and a histogram. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 26
BINS = 40


@dataclass(frozen=True, slots=True)
class Series:
    """A named line; ``colour`` is a CSS variable of the report."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str


def lines(series: Sequence[Series], unit: str, height: int = HEIGHT) -> str:
    """Return lines over a common axis from 0 up; ``unit`` labels the axis below."""
    points = [point for each in series for point in each.points]
    if not points:
        return "<p>nothing was measured</p>"
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top = nice(max(y for _, y in points))
    span = (right - left) or 1.0

    def at(x: float, y: float) -> str:
        across = LEFT + (x - left) / span * (WIDTH - LEFT - RIGHT)
        up = height - BOTTOM - y / top * (height - TOP - BOTTOM)
        return f"{across:.1f},{up:.1f}"

    drawn = [_axes(left, right, top, unit, height)]
    for number, each in enumerate(series):
        path = " ".join(at(x, y) for x, y in each.points)
        stroke = f"stroke:var(--{each.colour})"
        drawn.append(f'<polyline points="{path}" style="fill:none;{stroke};stroke-width:2"/>')
        if len(each.points) <= 20:
            drawn += [
                f'<circle cx="{at(x, y).split(",")[0]}" cy="{at(x, y).split(",")[1]}" r="3" '
                f'style="fill:var(--{each.colour})"/>'
                for x, y in each.points
            ]
        drawn.append(
            f'<text x="{LEFT + 6 + number * 80}" y="{TOP + 10}" '
            f'style="fill:var(--{each.colour})">{each.name}</text>'
        )
    return _svg(drawn, height)


def bars(values: Sequence[float], unit: str) -> str:
    """Return a histogram; the last bar holds everything beyond the 99.5th percentile."""
    if not values:
        return "<p>nothing was measured</p>"
    right = nice(float(np.percentile(values, 99.5)))
    counts, edges = np.histogram(np.minimum(values, right), np.linspace(0.0, right, BINS + 1))
    top = nice(float(counts.max()))
    width = (WIDTH - LEFT - RIGHT) / BINS
    drawn = [_axes(0.0, right, top, unit, HEIGHT)]
    for number, count in enumerate(counts):
        tall = count / top * (HEIGHT - TOP - BOTTOM)
        drawn.append(
            f'<rect x="{LEFT + number * width:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" '
            f'width="{width - 1:.1f}" height="{tall:.1f}" style="fill:var(--one)">'
            f"<title>{edges[number]:.0f} to {edges[number + 1]:.0f}: {count}</title></rect>"
        )
    return _svg(drawn, HEIGHT)


def nice(most: float) -> float:
    """Return a round number at or above ``most``."""
    if most <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(most))
    steps = (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10))
    return float(next(step for step in steps if step >= most))


def _axes(left: float, right: float, top: float, unit: str, height: int) -> str:
    base = height - BOTTOM
    made = [
        f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" '
        'style="stroke:var(--rule)"/>'
    ]
    for part in (0.0, 0.5, 1.0):
        up = base - part * (height - TOP - BOTTOM)
        made.append(
            f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{top * part:g}</text>'
            f'<line x1="{LEFT}" y1="{up:.1f}" x2="{WIDTH - RIGHT}" y2="{up:.1f}" '
            'style="stroke:var(--rule);stroke-dasharray:2 4"/>'
        )
    made.append(f'<text x="{LEFT}" y="{height - 8}">{left:g}</text>')
    made.append(
        f'<text x="{WIDTH - RIGHT}" y="{height - 8}" text-anchor="end">{right:g} {unit}</text>'
    )
    return "".join(made)


def _svg(drawn: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(drawn)}</svg>'
