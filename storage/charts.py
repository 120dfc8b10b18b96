"""Small line charts as inline SVG, for the page of an order. Colours come from the page's style, so dark and light both work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 190
TICKS = 4
"""About so many numbers stand at the upright axis."""
SPOKEN = 10
"""Points that are read aloud of a long curve."""
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 20, 30
"""Space around the plot in px of the view box, for the numbers of the axes."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured curve."""

    title: str
    """Read aloud by screen readers, with the numbers."""
    points: Sequence[tuple[float, float]]
    """(x, y), ascending in x; each is a dot."""
    fitted: Sequence[tuple[float, float]] = ()
    """A curve to draw in place of straight lines between the points."""
    marked: float | None = None
    """The x that was chosen."""
    mark: str = "chosen"
    """The word beside it."""
    band: tuple[float, float] | None = None
    """A range of x to shade."""
    percent: bool = False
    """Whether y is a share."""
    x_name: str = "step"
    dots: bool = True
    """Whether every point is drawn and read aloud; of a log with hundreds, ten are read and none is drawn."""


def chart(line: Line) -> str:
    """The curve with its axes, its values as text and, where given, the chosen x and a band. Empty without points."""
    if not line.points:
        return ""
    frame = _Frame.around(line)
    spoken = "; ".join(f"{line.x_name} {x:g}: {_number(y, percent=line.percent)}" for x, y in _read_aloud(line))
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{line.title}. {spoken}")}">',
        _band(frame, line),
        _axes(frame, line),
        _marked(frame, line),
        _curve(frame, line),
        "</svg>",
    ]
    return "".join(parts)


def _read_aloud(line: Line) -> Sequence[tuple[float, float]]:
    if line.dots or len(line.points) <= SPOKEN:
        return line.points
    return [line.points[round(k * (len(line.points) - 1) / (SPOKEN - 1))] for k in range(SPOKEN)]


@dataclass(frozen=True, kw_only=True)
class _Frame:
    x_low: float
    x_high: float
    ticks: tuple[float, ...]
    """The round numbers at the upright axis; the first and the last are its ends."""

    @classmethod
    def around(cls, line: Line) -> _Frame:
        xs = [x for x, _ in line.points]
        ys = [y for _, y in (*line.points, *line.fitted)]
        return cls(x_low=min(xs), x_high=max(xs), ticks=round_numbers(min(ys), max(ys)))

    @property
    def y_low(self) -> float:
        return self.ticks[0]

    @property
    def y_high(self) -> float:
        return self.ticks[-1]

    def x(self, value: float) -> float:
        share = (value - self.x_low) / ((self.x_high - self.x_low) or 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / ((self.y_high - self.y_low) or 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def round_numbers(low: float, high: float) -> tuple[float, ...]:
    """Numbers a reader can count by (steps of 1, 2 or 5 times a power of ten) that enclose low and high, at least 0.01 apart."""
    rough = max((high - low) / (TICKS - 1), 0.01)
    power = 10.0 ** math.floor(math.log10(rough) + 1e-9)
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(k * step, 10) for k in range(first, max(last, first + 1) + 1))


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:.0f} %" if percent else f"{value:.2f}"


def _axes(frame: _Frame, line: Line) -> str:
    floor = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/>']
    for value in frame.ticks:
        y = frame.y(value)
        parts.append(f'<path class="gridline" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        label = _number(value, percent=line.percent)
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4}" text-anchor="end">{label}</text>')
    parts += [
        f'<text x="{frame.x(x)}" y="{floor + 17}" text-anchor="middle">{x:g}</text>' for x in _labelled(frame, line)
    ]
    return "".join(parts)


def _labelled(frame: _Frame, line: Line) -> list[float]:
    """The x values that get a number: those that leave 28 px to the one before; without dots, round ones."""
    kept: list[float] = []
    if not line.dots:
        return [x for x in round_numbers(frame.x_low, frame.x_high) if frame.x_low <= x <= frame.x_high]
    for x, _ in line.points:
        if not kept or frame.x(x) - frame.x(kept[-1]) >= 28:
            kept.append(x)
    return kept


def _band(frame: _Frame, line: Line) -> str:
    if line.band is None:
        return ""
    low, high = (min(max(b, frame.x_low), frame.x_high) for b in line.band)
    width = round(frame.x(high) - frame.x(low), 1)
    return f'<rect class="band" x="{frame.x(low)}" y="{TOP}" width="{width}" height="{HEIGHT - TOP - BOTTOM}"/>'


def _marked(frame: _Frame, line: Line) -> str:
    if line.marked is None or not frame.x_low <= line.marked <= frame.x_high:
        return ""
    x = frame.x(line.marked)
    anchor = "end" if x > WIDTH * 0.75 else "start"
    shift = 4 if anchor == "end" else -4
    return (
        f'<path class="chosen" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text class="chosen" x="{x + shift}" y="{TOP - 6}" text-anchor="{anchor}">{escape(line.mark)}</text>'
    )


def _curve(frame: _Frame, line: Line) -> str:
    at = [(frame.x(x), frame.y(y)) for x, y in line.points]
    through = [(frame.x(x), frame.y(y)) for x, y in line.fitted] or at
    path = "M" + "L".join(f"{x} {y}" for x, y in through)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4"/>' for x, y in at) if line.dots or len(at) == 1 else ""
    return f'<path class="curve" d="{path}"/>{dots}'
