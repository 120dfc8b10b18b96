"""The grids of all checkpoints in one place: one at a time to flip between, or all of them; large at a press."""

from __future__ import annotations

from html import escape

from storage import words
from storage.domain.measurement import Measurement
from storage.page.curves import CURVES, Curve, said
from storage.page.frame import enlarged, enlarger, image, pressed
from storage.view import CheckpointView, OrderView
from storage.words_concepts import concepts_line

VIEWER = "grids"
"""The id of what is made large."""


def grids(view: OrderView) -> str:
    """Every grid with what was measured of it; empty before the first checkpoint."""
    if not view.checkpoints:
        return ""
    figures = "".join(_figure(view, number) for number in range(1, len(view.checkpoints) + 1))
    inside = f'<div class="bar">{_picker(view)}{enlarger(VIEWER, "the grids")}</div><div class="sheets">{figures}</div>'
    return (
        '<section aria-labelledby="checkpoints"><h2 id="checkpoints">The checkpoints</h2>'
        '<p class="soft">Rows are prompts. The first column is the base model without the LoRA; the others are drawn with it, from '
        "the same noise at every checkpoint: flip between the steps, with the arrow keys too, and only what was learned "
        f"changes. A press on a picture makes it large.</p>{enlarged(VIEWER, inside, kind='viewer')}</section>"
    )


def flipping(count: int) -> str:
    """The style that shows the picked one of so many grids; where a browser does not know `:has`, and on paper, all are shown."""
    one = "".join(
        f".viewer:has(.steps input:nth-of-type({n}):checked) .sheets figure:nth-of-type({n}){{display:grid}}"
        for n in range(1, count + 1)
    )
    return f"@media not print{{.viewer:has(.one:checked) .sheets figure{{display:none}}{one}}}" if count else ""


def _picker(view: OrderView) -> str:
    """A button a step, and one for all of them: the chosen step is shown first, all where none is chosen yet."""
    first = next((n for n, c in enumerate(view.checkpoints, 1) if _won(view, c)), 0)
    steps = "".join(
        _pick(n, f"Step {c.step}", _tally(view, c), on=n == first, of_one=True)
        for n, c in enumerate(view.checkpoints, 1)
    )
    every = _pick(len(view.checkpoints) + 1, "All", f"{len(view.checkpoints)} grids", on=not first, of_one=False)
    return f'<fieldset class="steps"><legend class="unseen">Which grid is shown</legend>{steps}{every}</fieldset>'


def _tally(view: OrderView, checkpoint: CheckpointView) -> str:
    return "chosen" if _won(view, checkpoint) else words.votes_words(checkpoint.votes)


def _pick(number: int, name: str, note: str, *, on: bool, of_one: bool) -> str:
    kind = ' class="one"' if of_one else ""
    checked = " checked" if on else ""
    return (
        f'<input type="radio" name="grid" id="pick-{number}"{kind}{checked}>'
        f'<label for="pick-{number}">{escape(name)} <small>{escape(note)}</small></label>'
    )


def _figure(view: OrderView, number: int) -> str:
    checkpoint = view.checkpoints[number - 1]
    won = _won(view, checkpoint)
    badge = ' <span class="badge">chosen</span>' if won else ""
    notes = [concepts_line(view.plan, checkpoint.measurement), *words.flag_sentences(checkpoint.measurement)]
    below = _numbers(checkpoint.measurement) + "".join(f"<p>{escape(note)}</p>" for note in notes if note)
    return (
        f'<figure id="step-{checkpoint.step}"{" class=won" if won else ""}>{_picture(view, checkpoint)}'
        f"<figcaption><h3>Step {checkpoint.step}, {words.votes_words(checkpoint.votes)}{badge}</h3>{below}</figcaption></figure>"
    )


def _numbers(measurement: Measurement | None) -> str:
    """What was measured, each with where it lies in 95 % of redraws of the prompts."""
    if measurement is None:
        return "<p>Not measured.</p>"
    lines = "".join(
        f"<div><dt>{c.title}</dt><dd>{said(c, value)}{_interval(c, measurement)}</dd></div>"
        for c in CURVES
        if (value := getattr(measurement, c.field)) is not None
    )
    return f'<dl class="numbers">{lines}</dl>'


def _interval(curve: Curve, measurement: Measurement) -> str:
    around = measurement.intervals.get(curve.field)
    if around is None:
        return ""
    low, high = (said(curve, end) for end in around)
    return f" <small>{low.removesuffix(chr(0xA0) + '%')} to {high}</small>"


def _picture(view: OrderView, checkpoint: CheckpointView) -> str:
    picture = view.pictures.get(checkpoint.grid)
    if picture is None:
        return "<p>No picture.</p>"
    rows = len(view.plan.prompts) if view.plan else 0
    of = f" for {rows} prompts" if rows else ""
    alt = f"Grid of pictures drawn at step {checkpoint.step}{of}, without the LoRA and with it."
    return pressed(VIEWER, image(picture, alt))


def _won(view: OrderView, checkpoint: CheckpointView) -> bool:
    return view.chosen is not None and view.chosen.step == checkpoint.step
