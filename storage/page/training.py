"""How an order was trained: its plan, how a machine ran it, where it left the plan, how long it took, and how to use what came."""

from __future__ import annotations

from html import escape

from storage import words
from storage.domain.orders import file_stem
from storage.page.head import facts_list
from storage.usage import how_to_use
from storage.view import OrderView
from storage.words_concepts import trigger_words


def use_section(view: OrderView) -> str:
    """What to do with the file; empty before one is chosen."""
    if view.chosen is None:
        return ""
    scale = view.scale.recommended if view.scale else 1.0
    lines = how_to_use(
        base=view.base, stem=file_stem(view.name, view.id), trigger=view.trigger, class_word=view.class_word, scale=scale,
        subject_type=view.subject_type, words=trigger_words(view.plan, ""),
    )  # fmt: skip
    items = "".join(
        f"<li><strong>{escape(use.tool)}</strong>: {escape(use.say)}"
        f"{f' <code>{escape(use.code)}</code>' if use.code else ''}</li>"
        for use in lines
    )
    size = words.size(view.chosen.lora_bytes)
    return (
        f'<section aria-labelledby="use"><h2 id="use">How to use it</h2><ul>{items}</ul>'
        f'<p class="soft">File of {size}, sha256 <code>{escape(view.chosen.lora_sha256)}</code>.</p></section>'
    )


def training_section(view: OrderView) -> str:
    """Plan, fit, departures; empty before Start."""
    if view.plan is None:
        return ""
    prompts = [p.text for p in view.plan.prompts]
    return (
        '<section aria-labelledby="plan"><h2 id="plan">How it was trained</h2><div class="columns"><div>'
        f"{_list('The plan', words.plan_sentences(view.plan, view.kept))}</div><div>"
        f"{_list('The machine', [words.fit_sentence(f) for f in view.fits])}"
        f"{_list('Where it left the plan', [words.departure_sentence(d) for d in view.departures])}"
        f"{_list('Prompts of every grid', prompts)}</div></div>{_plan_file(view)}</section>"
    )


def _list(title: str, items: list[str]) -> str:
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<h3>{title}</h3><ul>{lines}</ul>" if items else ""


def _plan_file(view: OrderView) -> str:
    return (
        "<details><summary>The whole plan, as a file to train by again</summary>"
        '<p class="soft">Save it as plan.yaml; lorasmith train DIR --plan plan.yaml makes this order again from the same '
        f"pictures, or another one after a change.</p><pre>{escape(view.plan_file)}</pre></details>"
        if view.plan_file
        else ""
    )


TIMES = {
    "gpu": "computing",
    "start to last grid": "from Start to the last grid",
    "start to delivery": "from Start to delivery",
}
"""Spans that read better under another name."""


def times_section(view: OrderView) -> str:
    """How long each part took; empty before anything is over."""
    spans = {TIMES.get(name, name): _span(s) for name, s in (view.seconds | _measuring(view)).items()}
    facts = {escape(name[0].upper() + name[1:]): span for name, span in spans.items()}
    return (
        f'<section aria-labelledby="times"><h2 id="times">How long it took</h2>{facts_list(facts)}</section>'
        if facts
        else ""
    )


def _measuring(view: OrderView) -> dict[str, float]:
    """What the checkpoints' pictures and measurements cost, where that was noted by parts."""
    costed = [c.measurement for c in view.checkpoints if c.measurement and c.measurement.costs]
    if not costed:
        return {}
    drawing = sum(m.costs.get("drawing", 0.0) for m in costed)
    return {"drawing the grids": drawing, "measuring them": sum(m.measuring_s for m in costed)}


def _span(seconds: float) -> str:
    """How long something took, to the second under an hour: it is over, so nothing is rounded up."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return words.duration(seconds)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
