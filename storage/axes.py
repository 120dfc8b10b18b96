"""The axes of a small chart: where a value lies, and the round numbers beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 340, 200
TICKS = 4
"""About so many numbers stand at the upright axis."""
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 22, 30
"""Space around the plot in px of the view box, for the numbers of the axes."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A plot's ends, and where a value lies in it in px of the view box."""

    x_low: float
    x_high: float
    ticks: tuple[float, ...]
    """The round numbers at the upright axis; the first and the last are its ends."""

    @classmethod
    def around(cls, xs: Sequence[float], ys: Sequence[float]) -> Frame:
        """Room for all of these."""
        return cls(x_low=min(xs), x_high=max(xs), ticks=round_numbers(min(ys), max(ys)))

    @property
    def floor(self) -> int:
        """Where the flat axis lies."""
        return HEIGHT - BOTTOM

    @property
    def right(self) -> int:
        """Where the plot ends."""
        return WIDTH - RIGHT

    def x(self, value: float) -> float:
        """From left to right."""
        share = (value - self.x_low) / ((self.x_high - self.x_low) or 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """From top to bottom: small values lie low."""
        low, high = self.ticks[0], self.ticks[-1]
        share = (value - low) / ((high - low) or 1.0)
        return round(self.floor - share * (self.floor - TOP), 1)

    def round_xs(self) -> list[float]:
        """Round numbers along the flat axis."""
        return [x for x in round_numbers(self.x_low, self.x_high, TICKS + 2) if self.x_low <= x <= self.x_high]


def round_numbers(low: float, high: float, ticks: int = TICKS) -> tuple[float, ...]:
    """Numbers a reader can count by (steps of 1, 2 or 5 times a power of ten) that enclose low and high, at least 0.01 apart."""
    rough = max((high - low) / (ticks - 1), 0.01)
    power = 10.0 ** math.floor(math.log10(rough) + 1e-9)
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(k * step, 10) for k in range(first, max(last, first + 1) + 1))


def number(value: float, *, percent: bool) -> str:
    """As it stands at an axis and is read aloud."""
    return f"{100 * value:.0f}\u00a0%" if percent else f"{value:.2f}"


def axes(frame: Frame, xs: Sequence[float], *, percent: bool) -> str:
    """Both axes with their numbers; `xs` are those of the flat one."""
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{frame.floor}H{frame.right}"/>']
    for value in frame.ticks:
        y = frame.y(value)
        parts.append(f'<path class="gridline" d="M{LEFT} {y}H{frame.right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{number(value, percent=percent)}</text>')
    parts += [f'<text x="{frame.x(x)}" y="{frame.floor + 18}" text-anchor="middle">{x:g}</text>' for x in xs]
    return "".join(parts)
