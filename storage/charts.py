"""Small line charts as inline SVG, for the page of an order. Colours come from the page's style, so dark and light both work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from storage.axes import HEIGHT, LEFT, TOP, WIDTH, Frame, axes, number

SPOKEN = 10
"""Points that are read aloud of a long curve."""
LETTER = 7
"""Width of a digit at most, in px of the view box."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured curve."""

    title: str
    """Read aloud by screen readers, with the numbers."""
    points: Sequence[tuple[float, float]]
    """(x, y), ascending in x; each is a dot."""
    name: str = ""
    """What stands at its end where there is a second curve."""
    whiskers: Sequence[tuple[float, float, float]] = ()
    """(x, low, high): how sure a point is."""
    second: Sequence[tuple[float, float]] = ()
    """Another curve on the same axes, dashed."""
    second_name: str = ""
    fitted: Sequence[tuple[float, float]] = ()
    """A curve to draw in place of straight lines between the points."""
    marked: float | None = None
    """The x that was chosen."""
    mark: str = "chosen"
    """The word beside it."""
    doubt: tuple[float, float] | None = None
    """How sure the marked x is: drawn as a whisker that lies at the foot of the mark."""
    events: Sequence[tuple[float, str]] = ()
    """What happened at an x, in a word or two."""
    band: tuple[float, float] | None = None
    """A range of x to shade."""
    level: float | None = None
    """A y to compare with."""
    span: tuple[float, float] | None = None
    """The ends of the x axis, where it does not end with the points: curves over the same steps then stand under each other."""
    percent: bool = False
    """Whether y is a share."""
    from_zero: bool = False
    """Whether the upright axis begins at nothing."""
    x_name: str = "step"
    dots: bool = True
    """Whether every point is drawn and read aloud; of a log with hundreds, ten are read and none is drawn."""


def chart(line: Line) -> str:
    """The curve with its axes, its values as text and, where given, the chosen x and a band. Empty without points."""
    line = _finite(line)
    if not line.points:
        return ""
    frame = _frame(line)
    parts = [
        f'<svg class="chart" direction="ltr" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_spoken(line))}">',
        _band(frame, line),
        axes(frame, _labelled(frame, line), percent=line.percent),
        _level(frame, line),
        _marked(frame, line),
        _events(frame, line),
        _whiskers(frame, line),
        _second(frame, line),
        _curve(frame, line),
        "</svg>",
    ]
    return "".join(parts)


def _finite(line: Line) -> Line:
    """Without what has no place on an axis: a training whose numbers went wrong still has a page."""
    marked, level = ((None if v is None or not math.isfinite(v) else v) for v in (line.marked, line.level))
    band, span, doubt = ((None if v is None or not _known(*v) else v) for v in (line.band, line.span, line.doubt))
    return replace(
        line,
        points=[p for p in line.points if _known(*p)],
        whiskers=[w for w in line.whiskers if _known(*w)],
        second=[p for p in line.second if _known(*p)],
        fitted=[p for p in line.fitted if _known(*p)],
        events=[e for e in line.events if _known(e[0])],
        marked=marked, level=level, band=band, span=span, doubt=doubt,
    )  # fmt: skip


def _known(*values: float) -> bool:
    return all(math.isfinite(v) for v in values)


def _frame(line: Line) -> Frame:
    heights = [y for _, y in (*line.points, *line.second, *line.fitted)]
    heights += [y for _, low, high in line.whiskers for y in (low, high)]
    heights += [] if line.level is None else [line.level]
    heights += [0.0] if line.from_zero else []
    xs = [x for x, _ in line.points] if line.span is None else list(line.span)
    return Frame.around(xs, heights)


def _spoken(line: Line) -> str:
    said = "; ".join(_said(line, x, y) for x, y in _read_aloud(line))
    happened = "".join(f". {name} at {line.x_name} {x:g}" for x, name in line.events)
    chosen = "" if line.marked is None else f". {line.mark} at {line.x_name} {line.marked:g}"
    return f"{line.title}. {said}{happened}{chosen}"


def _said(line: Line, x: float, y: float) -> str:
    around = next(((low, high) for at, low, high in line.whiskers if at == x), None)
    other = next((v for at, v in line.second if at == x), None)
    text = f"{line.x_name} {x:g}: {number(y, percent=line.percent)}"
    if around:
        text += f", from {number(around[0], percent=line.percent)} to {number(around[1], percent=line.percent)}"
    return text if other is None else f"{text}, {line.second_name} {number(other, percent=line.percent)}"


def _read_aloud(line: Line) -> Sequence[tuple[float, float]]:
    if line.dots or len(line.points) <= SPOKEN:
        return line.points
    return [line.points[round(k * (len(line.points) - 1) / (SPOKEN - 1))] for k in range(SPOKEN)]


def _labelled(frame: Frame, line: Line) -> list[float]:
    """The x values that get a number: those that leave room to the one before and the side; without dots, round ones."""
    if not line.dots:
        return frame.round_xs()
    kept: list[float] = []
    taken = 0.0
    for x, _ in line.points:
        half = max(11.0, LETTER / 2 * len(f"{x:g}"))
        if frame.x(x) - half >= taken and frame.x(x) + half <= WIDTH:
            kept.append(x)
            taken = frame.x(x) + half + LETTER
    return kept


def _band(frame: Frame, line: Line) -> str:
    if line.band is None:
        return ""
    low, high = (min(max(b, frame.x_low), frame.x_high) for b in line.band)
    width = round(frame.x(high) - frame.x(low), 1)
    return f'<rect class="band" x="{frame.x(low)}" y="{TOP}" width="{width}" height="{frame.floor - TOP}"/>'


def _level(frame: Frame, line: Line) -> str:
    return "" if line.level is None else f'<path class="level" d="M{LEFT} {frame.y(line.level)}H{frame.right}"/>'


def _events(frame: Frame, line: Line) -> str:
    parts = []
    for x, name in line.events:
        if frame.x_low <= x <= frame.x_high:
            at, anchor, shift = _beside(frame, x)
            parts.append(f'<path class="event" d="M{at} {TOP}V{frame.floor}"/>')
            parts.append(f'<text x="{at - shift}" y="{TOP + 11}" text-anchor="{anchor}">{escape(name)}</text>')
    return "".join(parts)


def _marked(frame: Frame, line: Line) -> str:
    if line.marked is None or not frame.x_low <= line.marked <= frame.x_high:
        return ""
    x, anchor, shift = _beside(frame, line.marked)
    return (
        f'<path class="chosen" d="M{x} {TOP}V{frame.floor}"/>'
        f'<text class="chosen" x="{x + shift}" y="{TOP - 6}" text-anchor="{anchor}">{escape(line.mark)}</text>'
        f"{_doubt(frame, line)}"
    )


def _beside(frame: Frame, value: float) -> tuple[float, str, int]:
    """Where a word at an x begins or ends, so that it stays inside."""
    x = frame.x(value)
    return (x, "end", 4) if x > WIDTH * 0.7 else (x, "start", -4)


def _doubt(frame: Frame, line: Line) -> str:
    if line.doubt is None:
        return ""
    low, high = (frame.x(min(max(b, frame.x_low), frame.x_high)) for b in line.doubt)
    y = frame.floor - 8
    return f'<path class="doubt" d="M{low} {y}H{high}M{low} {y - 4}v8M{high} {y - 4}v8"/>'


def _whiskers(frame: Frame, line: Line) -> str:
    paths = [
        f"M{frame.x(x)} {frame.y(low)}V{frame.y(high)}m-4 0h8M{frame.x(x) - 4:.1f} {frame.y(low)}h8"
        for x, low, high in line.whiskers
    ]
    return f'<path class="whisker" d="{"".join(paths)}"/>' if paths else ""


def _second(frame: Frame, line: Line) -> str:
    if not line.second:
        return ""
    path = "L".join(f"{frame.x(x)} {frame.y(y)}" for x, y in line.second)
    return f'<path class="curve second" d="M{path}"/>{_names(frame, line)}'


def _names(frame: Frame, line: Line) -> str:
    """Both names at the ends of their curves, apart from each other and from a whisker."""
    first, second = frame.y(line.points[-1][1]), frame.y(line.second[-1][1])
    up = first <= second
    ends = [first, *(frame.y(y) for x, low, high in line.whiskers if x == line.points[-1][0] for y in (low, high))]
    first = min(ends) if up else max(ends)
    heights = ((line.name, first + (-9 if up else 17)), (line.second_name, second + (17 if up else -9)))
    x = frame.x(line.points[-1][0])
    return "".join(f'<text class="name" x="{x}" y="{y:.1f}" text-anchor="end">{escape(n)}</text>' for n, y in heights)


def _curve(frame: Frame, line: Line) -> str:
    at = [(frame.x(x), frame.y(y)) for x, y in line.points]
    through = [(frame.x(x), frame.y(y)) for x, y in line.fitted] or at
    path = "M" + "L".join(f"{x} {y}" for x, y in through)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4"/>' for x, y in at) if line.dots or len(at) == 1 else ""
    return f'<path class="curve" d="{path}"/>{dots}'
