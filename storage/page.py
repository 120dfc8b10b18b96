"""The page of an order: one HTML text with everything in it, so that it can be kept, mailed and opened without a server."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from storage import words
from storage.charts import Line, chart
from storage.domain.lifecycle import TABLE, Stage
from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.orders import file_stem
from storage.domain.scale import smooth_curve
from storage.page_log import log_section
from storage.usage import how_to_use
from storage.view import CheckpointView, OrderView
from storage.words_concepts import trigger_words


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measurement over the steps."""

    field: str
    """Of `Measurement`."""
    title: str
    hint: str
    percent: bool = True
    """Whether it is a share."""


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
    ),
    Curve(
        field="leakage",
        title="Spill",
        hint="Change of pictures that have nothing to do with the subject; lower is better.",
    ),
    Curve(
        field="validation_ratio",
        title="Unseen error",
        hint="Error on pictures kept aside over the base's; lower is better.",
        percent=False,
    ),
)


def order_page(view: OrderView) -> str:
    """The whole page. Every text of a person is escaped; the page asks nothing of any server and runs no script."""
    sections = [
        _head(view),
        _grids(view),
        _curves(view),
        log_section(view),
        _scale(view),
        _use(view),
        _training(view),
        _times(view),
    ]
    title = escape(f"{view.name} – a LoRA by lorasmith")
    style = (Path(__file__).parent / "page.css").read_text("utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f'<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head>'
        f'<body><main id="top">{"".join(sections)}'
        f"<footer>Order {escape(view.id)}, made {view.created_at:%Y-%m-%d}. Every grid was drawn and measured from the very "
        "file of its checkpoint.</footer></main></body></html>"
    )


def _head(view: OrderView) -> str:
    chosen = view.chosen
    facts = {
        "Subject": f"{view.class_word} ({view.subject_type})",
        "Trigger word": trigger_words(view.plan, view.trigger),
        "Base model": view.base,
        "Pictures": f"{view.kept} used" + (f", {view.refused} refused" if view.refused else ""),
        "Chosen": f"step {chosen.step}, {words.votes_words(chosen.votes)}" if chosen else "not yet",
        "Scale": _scale_fact(view.scale),
    }  # fmt: skip
    boxes = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    why = f"<p>{escape(words.because_sentence(view.choice))}</p>" if view.choice else ""
    sight = escape(TABLE[Stage(view.stage)].sight)
    return (
        f'<header><p class="soft">LoRA order {escape(view.id)}: {sight}</p><h1>{escape(view.name)}</h1></header>'
        f'<dl class="facts">{boxes}</dl>{why}'
    )


def _scale_fact(scale: ScaleChoice | None) -> str:
    if scale is None:
        return "not yet"
    return (
        f"{scale.recommended:.2f} ({scale.low:.2f} to {scale.high:.2f})"
        if scale.measured
        else f"{scale.recommended:.2f} to begin with"
    )


def _grids(view: OrderView) -> str:
    if not view.checkpoints:
        return ""
    figures = "".join(_grid(view, c) for c in view.checkpoints)
    return (
        '<h2>The checkpoints</h2><p class="soft">Rows are prompts. The first column is the base model without the LoRA; '
        "the others are drawn with it, from the same noise at every checkpoint. A click on a picture makes it large.</p>"
        f'<div class="grids">{figures}</div>'
    )


def _grid(view: OrderView, checkpoint: CheckpointView) -> str:
    won = view.chosen is not None and view.chosen.step == checkpoint.step
    anchor = f"step-{checkpoint.step}"
    source = _data(view.pictures.get(checkpoint.grid))
    alt = escape(f"Grid of pictures drawn at step {checkpoint.step}. {words.measurement_line(checkpoint.measurement)}")
    picture = (
        f'<a href="#{anchor}" title="Show large"><img alt="{alt}" src="{source}"></a>'
        if source
        else "<p>No picture.</p>"
    )
    notes = "".join(f"<br>{escape(s)}" for s in words.flag_sentences(checkpoint.measurement))
    badge = ' <span class="badge">chosen</span>' if won else ""
    return (
        f'<figure id="{anchor}"{" class=won" if won else ""}><a class="close" href="#top">Close</a>{picture}'
        f"<figcaption><h3>Step {checkpoint.step}, {words.votes_words(checkpoint.votes)}{badge}</h3>"
        f"{escape(words.measurement_line(checkpoint.measurement))}{notes}</figcaption></figure>"
    )


def _data(picture: bytes | None) -> str:
    if picture is None:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp" if picture[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _curves(view: OrderView) -> str:
    measured = [(c.step, c.measurement) for c in view.checkpoints if c.measurement]
    if not measured:
        return ""
    step = view.chosen.step if view.chosen else None
    charts = "".join(_curve_section(curve, measured, step) for curve in CURVES)
    rows = "".join(_row(view, c) for c in view.checkpoints)
    return (
        f'<h2>What was measured</h2><div class="charts">{charts}</div>'
        f"<table><caption>{escape(words.HOW_TO_READ)}</caption><thead><tr>"
        + "".join(
            f'<th scope="col">{h}</th>' for h in ("Step", "Votes", "Like&shy;ness", "Prompt", "Spill", "Unseen error")
        )
        + f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _curve_section(curve: Curve, measured: Iterable[tuple[int, Measurement]], step: int | None) -> str:
    points = [(float(at), value) for at, m in measured if (value := getattr(m, curve.field)) is not None]
    line = Line(title=curve.title, points=points, marked=step, percent=curve.percent)
    return f"<section><h3>{curve.title}</h3>{chart(line) or '<p>Not measured.</p>'}<p>{curve.hint}</p></section>"


def _row(view: OrderView, checkpoint: CheckpointView) -> str:
    m = checkpoint.measurement
    won = view.chosen is not None and view.chosen.step == checkpoint.step
    cells = [str(checkpoint.votes)]
    cells += [words.percent(getattr(m, n) if m else None) for n in ("likeness", "adherence", "leakage")]
    cells.append(words.ratio(m.validation_ratio if m else None))
    tail = "".join(f"<td>{c}</td>" for c in cells)
    return f'<tr{" class=won" if won else ""}><th scope="row">{checkpoint.step}</th>{tail}</tr>'


def _scale(view: OrderView) -> str:
    if view.scale is None:
        return ""
    strip = _data(view.pictures.get(view.files.get("strip", "")))
    figure = (
        f'<figure id="strip"><a class="close" href="#top">Close</a><a href="#strip" title="Show large"><img src="{strip}" '
        'alt="The same prompts at rising scales of the LoRA, from left to right."></a>'
        "<figcaption>The same noise at rising scales.</figcaption></figure>"
        if strip
        else ""
    )
    return (
        f"<h2>How strong to use it</h2><p>{escape(words.scale_sentence(view.scale))}</p>"
        f'<div class="charts">{_usefulness(view.scale)}{figure}</div>'
    )


def _usefulness(scale: ScaleChoice) -> str:
    """What was measured at each scale, and the curve through it that the recommendation and its band were read from."""
    curve = smooth_curve(scale.points)
    low, high = scale.points[0].scale, scale.points[-1].scale
    at = [low + (high - low) * k / 40 for k in range(41)]
    line = Line(
        title="Usefulness",
        points=[(p.scale, p.utility) for p in scale.points],
        fitted=[(x, curve(x)) for x in at],
        marked=scale.recommended if scale.measured else None,
        mark="recommended",
        band=(scale.low, scale.high) if scale.measured else None,
        x_name="scale",
    )
    hint = "Likeness and following the prompt in one number, less for spill; dots are measured, the curve is fitted to them."
    band = " In the shaded band the curve stays within 5 % of its best." if scale.measured else ""
    return f"<section><h3>Usefulness over scale</h3>{chart(line)}<p>{hint}{band}</p></section>"


def _use(view: OrderView) -> str:
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
        f"<h2>How to use it</h2><ul>{items}</ul>"
        f'<p class="soft">File of {size}, sha256 <code>{escape(view.chosen.lora_sha256)}</code>.</p>'
    )


def _training(view: OrderView) -> str:
    if view.plan is None:
        return ""
    sentences = words.plan_sentences(view.plan, view.kept)
    sentences += [words.fit_sentence(f) for f in view.fits] + [words.departure_sentence(d) for d in view.departures]
    prompts = "".join(f"<li>{escape(p.text)}</li>" for p in view.plan.prompts)
    return (
        f"<h2>How it was trained</h2><ul>{''.join(f'<li>{escape(s)}</li>' for s in sentences)}</ul>"
        f"<h3>Prompts of every grid</h3><ul>{prompts}</ul>{_plan_file(view)}"
    )


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


def _times(view: OrderView) -> str:
    spans = ((TIMES.get(name, name), _span(s)) for name, s in view.seconds.items())
    items = "".join(f"<div><dt>{escape(n[0].upper() + n[1:])}</dt><dd>{s}</dd></div>" for n, s in spans)
    return f'<h2>How long it took</h2><dl class="facts">{items}</dl>' if items else ""


def _span(seconds: float) -> str:
    """How long something took, to the second under an hour: it is over, so nothing is rounded up."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return words.duration(seconds)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
