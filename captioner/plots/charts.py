"""Charts as inline SVG. The page's style sheet sets colours and fonts, so that they follow light and dark mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 12, 30


class Series(NamedTuple):
    """A line or a row of bars: its class in the style sheet, its name, and a value for each x."""

    style: str
    name: str
    values: Sequence[float]


def curves(title: str, xs: Sequence[float], series: Sequence[Series], marked: float | None = None) -> str:
    """Return lines over `xs`, with a dashed line at `marked`.

    Args:
        title: label for screen readers.
        xs: the x of each value, in increasing order.
        series: the lines, with a value for each x.
        marked: an x to mark.
    """
    ticks = _ticks(min(min(line.values) for line in series), max(max(line.values) for line in series))
    low, high = ticks[0], ticks[-1]
    parts = [*_grid(ticks), *_x_labels([(x, f"{x:g}") for x in _whole_ticks(xs)], xs[0], xs[-1])]
    if marked is not None:
        at = _x(marked, xs[0], xs[-1])
        parts.append(f'<line class="marked" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for line in series:
        points = [(_x(x, xs[0], xs[-1]), _y(value, low, high)) for x, value in zip(xs, line.values, strict=True)]
        parts.append(f'<polyline class="line {line.style}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>')
        parts += [
            f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="2.5"><title>{escape(line.name)}, epoch {at:g}: '
            f"{value:.4g}</title></circle>"
            for (x, y), at, value in zip(points, xs, line.values, strict=True)
        ]
    return _svg(title, parts)


def columns(title: str, labels: Sequence[str], bars: Series, outline: Series | None = None, every: int = 5) -> str:
    """Return bars side by side, and another row of values as an outline over them.

    Args:
        title: label for screen readers.
        labels: labels of the bars, of which some are written.
        bars: a value for each label, 0 or more.
        outline: the values to compare with.
        every: write only one of this many labels.
    """
    several = [bars, *([outline] if outline else [])]
    ticks = _ticks(0.0, max(max(row.values) for row in several))
    high, count = ticks[-1], len(labels)
    step = (WIDTH - LEFT - RIGHT) / count
    parts = _grid(ticks, percent=True)
    parts += _x_labels([(index + 0.5, label) for index, label in enumerate(labels) if index % every == 0], 0, count)
    for index, (label, value) in enumerate(zip(labels, bars.values, strict=True)):
        top = _y(value, 0, high)
        others = f"; {outline.name} {outline.values[index]:.1%}" if outline else ""
        parts.append(
            f'<rect class="bar {bars.style}" x="{_number(LEFT + index * step + 0.5)}" y="{top}" '
            f'width="{_number(max(1, step - 1))}" height="{_number(HEIGHT - BOTTOM - top)}">'
            f"<title>{escape(label)}: {escape(bars.name)} {value:.1%}{escape(others)}</title></rect>"
        )
    if outline:
        points = [
            (_number(LEFT + (index + side) * step), _y(value, 0, high))
            for index, value in enumerate(outline.values)
            for side in (0, 1)
        ]
        parts.append(f'<polyline class="line {outline.style}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>')
    return _svg(title, parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(ticks: Sequence[float], percent: bool = False) -> list[str]:
    parts = []
    for tick in ticks:
        at = _y(tick, ticks[0], ticks[-1])
        written = f"{100 * tick:g} %" if percent else f"{tick:g}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{_number(at + 3.5)}" text-anchor="end">{written}</text>')
    return parts


def _x_labels(labels: Sequence[tuple[float, str]], low: float, high: float) -> list[str]:
    return [
        f'<text x="{_x(at, low, high)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(written)}</text>'
        for at, written in labels
    ]


def _x(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return _number(LEFT + share * (WIDTH - LEFT - RIGHT))


def _y(value: float, low: float, high: float) -> float:
    return _number(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM))


def _number(value: float) -> float:
    return round(value, 1)


def _ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers from one at or below `low` to one at or above `high`."""
    if not high > low:
        low, high = (low - 0.5, high + 0.5) if low else (0.0, 1.0)
    step = nice_step((high - low) / about)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """Return the next round number, 1, 2 or 5 times a power of ten, at or above `rough`."""
    size = 10.0 ** math.floor(math.log10(rough))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= rough * (1 - 1e-9))


def _whole_ticks(xs: Sequence[float]) -> list[float]:
    step = max(1, math.ceil(len(xs) / 8))
    return list(xs)[::step]
