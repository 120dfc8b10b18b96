"""Where a checkpoint overfits: unseen less training error by how noisy the picture was, small and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from storage.domain.measurement import Measurement

WIDTH, HEIGHT, MIDDLE = 160, 92, 46
SMALLEST = 0.02
"""Gaps are drawn against the largest of all, but never against less than this: noise is not made to look like a finding."""


def gap_section(found: Sequence[tuple[int, Measurement]]) -> str:
    """A small chart a checkpoint, all at one height; empty where no picture was kept aside."""
    known = [(step, m.gaps) for step, m in found if m.gaps and all(map(math.isfinite, m.gaps))]
    if not known:
        return ""
    most = max(SMALLEST, *(abs(gap) for _, gaps in known for gap in gaps))
    drawn = "".join(f"<li>{_bars(step, gaps, most)}<span>Step {step}</span></li>" for step, gaps in known)
    return (
        f'<section><h3>Learned by heart, by noise</h3><ul class="gaps">{drawn}</ul><p>Unseen less training error, from clean '
        f"pictures at the left to noise at the right; a full bar is {most:.3f}. Above the line at the right it knows layouts by "
        "heart, at the left textures.</p></section>"
    )


def _bars(step: int, gaps: Sequence[float], most: float) -> str:
    spoken = ", ".join(f"{gap:+.3f}" for gap in gaps)
    wide = WIDTH / len(gaps)
    bars = "".join(_bar(n * wide + 1, wide - 2, gap / most) for n, gap in enumerate(gaps))
    return (
        f'<svg class="chart" direction="ltr" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"Gaps at step {step}, clean to noisy: {spoken}")}">{bars}'
        f'<path class="axis" d="M0 {MIDDLE}H{WIDTH}"/></svg>'
    )


def _bar(left: float, width: float, share: float) -> str:
    high = abs(share) * (MIDDLE - 2)
    top = MIDDLE - high if share > 0 else MIDDLE
    kind = "gap" if share > 0 else "gap good"
    return f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{high:.1f}"/>'
