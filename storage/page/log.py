"""How a training went, step by step: its error and its rate as curves in the page of an order."""

from __future__ import annotations

from html import escape
from statistics import median

from storage import words
from storage.charts import Line, chart
from storage.page.curves import events_of, span_of
from storage.view import OrderView
from storage.words_signs import sign_sentence


def log_section(view: OrderView) -> str:
    """Two curves and what they mean; empty where nothing was logged."""
    if not view.log or view.plan is None:
        return ""
    step = view.chosen.step if view.chosen else None
    error = Line(
        title="Error on the training pictures",
        points=[(float(e.step), e.loss_ratio) for e in view.log],
        marked=step,
        events=events_of(view),
        span=span_of(view),
        level=1.0,
        dots=False,
    )
    rate = Line(
        title="Learning rate",
        points=[(float(e.step), e.learning_rate / view.plan.learning_rate) for e in view.log],
        marked=step,
        events=events_of(view),
        span=span_of(view),
        percent=True,
        from_zero=True,
        dots=False,
    )
    return (
        '<section aria-labelledby="log"><h2 id="log">How the training went</h2><div class="charts">'
        f"<section><h3>{error.title}</h3>{chart(error)}<p>Against the base model's own on the same pictures, smoothed over "
        "about ten steps: 1.00 is the base. A falling curve alone does not mean a better LoRA.</p></section>"
        f"<section><h3>{rate.title}</h3>{chart(rate)}<p>As a share of {view.plan.learning_rate:g}.</p></section>"
        f"<section><h3>Pace and memory</h3><p>{_pace(view)}</p>{_signs(view)}</section></div></section>"
    )


def _signs(view: OrderView) -> str:
    items = "".join(f"<li>{escape(sign_sentence(sign))}</li>" for sign in view.signs)
    return f"<h3>Warning signs</h3><ul>{items}</ul>" if items else ""


def _pace(view: OrderView) -> str:
    """What a step took and how much memory, as most of them did."""
    pace = median(e.steps_per_s for e in view.log)
    speed = f"{pace:.2g} steps a second" if pace < 100 else f"{pace:.0f} steps a second"
    return f"Typically {speed}; memory at most {words.size(max(e.memory_mib for e in view.log) << 20)}."
