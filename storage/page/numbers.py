"""Every number that was measured of the checkpoints, a row each: for those who want to know more than the curves say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from storage import words
from storage.domain.measurement import Measurement


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of a measurement."""

    field: str
    """Of `Measurement`."""
    title: str
    percent: bool = True


NUMBERS = (
    Number(field="likeness", title="Likeness"),
    Number(field="second_likeness", title="Likeness, a second opinion"),
    Number(field="adherence", title="Prompt followed, against the base"),
    Number(field="variety", title="Variety, against the base"),
    Number(field="seed_variety", title="Variety between seeds, against the base"),
    Number(field="leakage", title="Spill"),
    Number(field="memorisation", title="Nearest training picture, against the two most alike"),
    Number(field="sharpness", title="Sharpness, against base and training pictures"),
    Number(field="saturation", title="Colour, against base and training pictures"),
    Number(field="validation_ratio", title="Unseen error, over the base's", percent=False),
    Number(field="validation_error", title="Its standard error", percent=False),
    Number(field="training_ratio", title="Training error, over the base's", percent=False),
    Number(field="utility", title="Usefulness", percent=False),
)


def numbers(found: Sequence[tuple[int, Measurement]]) -> str:
    """A table of what is known, folded; with the eyes that measured likeness."""
    rows = "".join(_row(number, found) for number in NUMBERS if _known(number.field, found))
    heads = "".join(f'<th scope="col">{step}</th>' for step, _ in found)
    return (
        "<details><summary>Every number</summary>"
        f'<p class="soft">Small: where it lies in 95 % of redraws of the prompts.{_eyes(found)}</p>'
        '<div class="roll" tabindex="0" role="region" aria-label="Every number"><table>'
        '<caption class="unseen">Every number</caption>'
        f'<thead><tr><th scope="col">Step</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _known(field: str, found: Sequence[tuple[int, Measurement]]) -> bool:
    return any(getattr(m, field) is not None for _, m in found)


def _row(number: Number, found: Sequence[tuple[int, Measurement]]) -> str:
    cells = "".join(f"<td>{_cell(number, m)}</td>" for _, m in found)
    return f'<tr><th scope="row">{number.title}</th>{cells}</tr>'


def _cell(number: Number, measurement: Measurement) -> str:
    value: float | None = getattr(measurement, number.field)
    around = measurement.intervals.get(number.field)
    if value is None or around is None:
        return said(value, percent=number.percent)
    low, high = (said(end, percent=number.percent) for end in around)
    low = low.removesuffix("\u00a0%")
    return f"{said(value, percent=number.percent)}<small>{low} to {high}</small>"


def said(value: float | None, *, percent: bool) -> str:
    """A number as people read it; a dash where it was not measured, or went wrong."""
    if percent:
        return words.percent(value)
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _eyes(found: Sequence[tuple[int, Measurement]]) -> str:
    """What looked at the pictures."""
    first = next((m.likeness_by for _, m in found if m.likeness_by), "")
    second = next((m.second_by for _, m in found if m.second_by), "")
    eyes = " and ".join(escape(eye) for eye in (first, second) if eye)
    return f" Pictures were looked at by {eyes}." if eyes else ""
