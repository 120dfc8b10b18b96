"""Bars with intervals as inline SVG: one number of a comparison, a bar a contestant. Colours come from the page's style.

A bar begins at nothing. Cosines lie far from it and close to each other, so dots take the place of bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from storage.axes import round_numbers

WIDTH = 340
ROW = 40
"""Height of a bar with its name above it."""
LEFT, RIGHT, BOTTOM = 8, 56, 24
"""Space around the plot in px of the view box: names stand over their bars, values behind them."""
LONGEST = 44
"""Letters of a name above a bar; the table has the whole of it."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One contestant."""

    name: str
    mean: float | None
    """None: not measured."""
    low: float | None
    high: float | None
    said: str
    """The value for people, with its interval read aloud."""
    label: str
    """The value beside the bar."""
    is_base: bool = False


def bars(title: str, found: Sequence[Bar], *, percent: bool) -> str:
    """Shares as bars from 0, other numbers as dots on an axis of their own; empty where nothing was measured."""
    known = [x for bar in found for x in (bar.mean, bar.low, bar.high) if x is not None]
    if not known:
        return ""
    ticks = round_numbers(min(0.0, *known) if percent else min(known), max(known))
    height = ROW * len(found) + BOTTOM
    spoken = "; ".join(f"{bar.name}: {bar.said}" for bar in found)
    rows = "".join(_row(bar, number * ROW, ticks, long=percent) for number, bar in enumerate(found))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(f"{title}. {spoken}")}">'
        f"{_axis(ticks, height, percent=percent)}{rows}</svg>"
    )


def _x(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)


def _axis(ticks: Sequence[float], height: int, *, percent: bool) -> str:
    floor = height - BOTTOM
    parts = []
    for value in ticks:
        x, label = _x(value, ticks), f"{100 * value:.0f} %" if percent else f"{value:.2f}"
        anchor = "start" if value == ticks[0] else "middle"
        parts.append(f'<path class="gridline" d="M{x} 0V{floor}"/>')
        parts.append(f'<text x="{x}" y="{floor + 16}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)


def _row(bar: Bar, top: int, ticks: Sequence[float], *, long: bool) -> str:
    name = bar.name if len(bar.name) <= LONGEST else f"{bar.name[: LONGEST - 1]}…"
    head = f'<text class="name" x="{LEFT}" y="{top + 13}">{escape(name)}</text>'
    if bar.mean is None:
        return f'{head}<text x="{LEFT}" y="{top + 31}">not measured</text>'
    x, middle = _x(bar.mean, ticks), top + 27
    kind = "bar base" if bar.is_base else "bar"
    whisker, end = _whisker(bar, middle, ticks)
    if long:
        left, width = min(x, _x(0.0, ticks)), max(round(abs(x - _x(0.0, ticks)), 1), 1)
        drawn = f'<rect class="{kind}" x="{left}" y="{top + 19}" width="{width}" height="16" rx="2"/>{whisker}'
    else:
        drawn = f'{whisker}<circle class="{kind}" cx="{x}" cy="{middle}" r="6"/>'
    at = max(x + 3, end) + 6
    return f'{head}{drawn}<text class="value" x="{at}" y="{middle + 4}">{escape(bar.label)}</text>'


def _whisker(bar: Bar, middle: int, ticks: Sequence[float]) -> tuple[str, float]:
    """The interval, with a rim that keeps it apart from the bar; and where it ends."""
    if bar.low is None or bar.high is None or bar.low == bar.high:
        return "", 0.0
    low, high = _x(bar.low, ticks), _x(bar.high, ticks)
    path = f"M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8"
    return f'<path class="rim" d="{path}"/><path class="whisker" d="{path}"/>', high
