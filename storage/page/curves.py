"""What was measured of the checkpoints: a curve a measurement over the steps, a table with all of it, and where it overfits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from storage import words
from storage.charts import Line, chart
from storage.domain.measurement import Measurement
from storage.page.gaps import gap_section
from storage.page.numbers import numbers
from storage.view import CheckpointView, OrderView


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measurement over the steps."""

    field: str
    """Of `Measurement`."""
    title: str
    hint: str
    percent: bool = True
    """Whether it is a share."""
    level: float | None = None
    """What the base model itself has."""


CURVES = (
    Curve(
        field="likeness",
        title="Likeness",
        hint="How far it has come from the base model's own pictures (0 %) to the training pictures (100 %).",
    ),
    Curve(
        field="adherence",
        title="Prompt followed",
        hint="Against the base model on the same words; 100 % is as well as the base.",
        level=1.0,
    ),
    Curve(
        field="variety",
        title="Variety",
        hint="How much its pictures differ, against the base model's; far below 100 % they are all the same.",
        level=1.0,
    ),
    Curve(
        field="leakage",
        title="Spill",
        hint="Change of pictures that have nothing to do with the subject; lower is better.",
    ),
    Curve(
        field="validation_ratio",
        title="Unseen error",
        hint="Error on pictures kept aside over the base's, and dashed that on the training pictures; lower is better. Where the "
        "two part, it learns by heart.",
        percent=False,
        level=1.0,
    ),
)


def said(curve: Curve, value: float) -> str:
    """A number as people read it."""
    return words.percent(value) if curve.percent else words.ratio(value)


DOUBT = " Whiskers: where it lies in 95 % of redraws of the prompts."
DOUBT_OF_ERROR = " Whiskers: two standard errors."
ERRORS = 2.0
"""Standard errors on both sides of a ratio that are drawn: about the same 95 %."""

KIND_WORDS = {
    "learning_rate_halved": "rate halved",
    "micro_batch_halved": "batch split",
    "all_recomputed": "memory saved",
    "encoders_streamed": "memory saved",
    "base_offloaded": "memory saved",
    "looks_halved": "memory saved",
    "vae_tiled": "memory saved",
    "stopped_early": "ended early",
}
"""Departures in a word or two, for a curve; any other by its own name."""


def events_of(view: OrderView) -> list[tuple[float, str]]:
    """Where the training left its plan."""
    return [(float(d.step), KIND_WORDS.get(d.kind, d.kind.replace("_", " "))) for d in view.departures]


def span_of(view: OrderView) -> tuple[float, float]:
    """The ends of every axis of steps: the whole plan, whether or not all of it was trained."""
    last = max((c.step for c in view.checkpoints), default=1)
    return (0.0, float(max(last, view.plan.steps if view.plan else last)))


def measured(view: OrderView) -> str:
    """Curves, gaps, table; empty where nothing was measured."""
    found = [(c.step, c.measurement) for c in view.checkpoints if c.measurement]
    if not found:
        return ""
    charts = "".join(_section(view, curve, found) for curve in CURVES)
    rows = "".join(_row(view, c) for c in view.checkpoints)
    heads = ("Step", "Like&shy;ness", "Prompt", "Spill", "Unseen error", "Va&shy;riety")
    return (
        f'<section aria-labelledby="measured"><h2 id="measured">What was measured</h2><div class="charts">{charts}'
        f"{gap_section(found)}</div><table><caption>{escape(words.HOW_TO_READ)}</caption><thead><tr>"
        + "".join(f'<th scope="col">{h}</th>' for h in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table>{numbers(found)}</section>"
    )


def _section(view: OrderView, curve: Curve, found: Sequence[tuple[int, Measurement]]) -> str:
    line = Line(
        title=curve.title,
        points=_points(curve.field, found),
        whiskers=_whiskers(curve.field, found),
        marked=view.chosen.step if view.chosen else None,
        events=events_of(view),
        percent=curve.percent,
        level=curve.level,
        span=span_of(view),
        **_training(curve, found),
    )
    doubt = "" if not line.whiskers else DOUBT_OF_ERROR if curve.field == "validation_ratio" else DOUBT
    drawn = chart(line) or "<p>Not measured.</p>"
    return f"<section><h3>{curve.title}</h3>{drawn}<p>{curve.hint}{doubt}</p></section>"


def _points(field: str, found: Sequence[tuple[int, Measurement]]) -> list[tuple[float, float]]:
    return [(float(at), value) for at, m in found if (value := getattr(m, field)) is not None]


def _training(curve: Curve, found: Sequence[tuple[int, Measurement]]) -> dict[str, Any]:
    """The error on the training pictures stands beside the unseen one."""
    if curve.field != "validation_ratio" or not _points(curve.field, found):
        return {}
    return {"name": "unseen", "second": _points("training_ratio", found), "second_name": "training"}


def _whiskers(field: str, found: Sequence[tuple[int, Measurement]]) -> list[tuple[float, float, float]]:
    """The interval of each point, where it has one."""
    whiskers = []
    for step, m in found:
        if (interval := m.intervals.get(field)) is not None and getattr(m, field) is not None:
            whiskers.append((float(step), *interval))
        elif field == "validation_ratio" and m.validation_ratio is not None and m.validation_error is not None:
            away = ERRORS * m.validation_error
            whiskers.append((float(step), m.validation_ratio - away, m.validation_ratio + away))
    return whiskers


def _row(view: OrderView, checkpoint: CheckpointView) -> str:
    m = checkpoint.measurement
    won = view.chosen is not None and view.chosen.step == checkpoint.step
    cells = [words.percent(getattr(m, n) if m else None) for n in ("likeness", "adherence", "leakage")]
    cells += [words.ratio(m.validation_ratio if m else None), words.percent(m.variety if m else None)]
    tail = "".join(f"<td>{c}</td>" for c in cells)
    badge = ' <span class="badge">chosen</span>' if won else ""
    return f'<tr{" class=won" if won else ""}><th scope="row">{checkpoint.step}{badge}</th>{tail}</tr>'
