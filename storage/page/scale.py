"""How strong to use the LoRA: what was measured at each scale, the recommendation with its band, and the strip of pictures."""

from __future__ import annotations

from html import escape

from storage import words
from storage.charts import Line, chart
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.domain.scale import smooth_curve
from storage.page.frame import enlarged, enlarger, image, pressed
from storage.view import OrderView

STRIP = "strip"


def scale_section(view: OrderView) -> str:
    """Curve, sentences and strip; empty before the scale is chosen."""
    if view.scale is None:
        return ""
    said = escape(words.scale_sentence(view.scale))
    return (
        f'<section aria-labelledby="scale"><h2 id="scale">How strong to use it</h2><p>{said}</p>'
        f'<div class="charts pair">{_usefulness(view.scale)}{_strip(view)}</div></section>'
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
        doubt=scale.between if scale.measured else None,
        band=(scale.low, scale.high) if scale.measured else None,
        x_name="scale",
    )
    hint = "Likeness and following the prompt in one number, less for spill; dots are measured, the curve is fitted to them."
    band = " In the shaded band the curve stays within 5 % of its best." if scale.measured else ""
    doubt = " The whisker at the foot says how sure the recommendation is." if line.doubt else ""
    return f"<section><h3>Usefulness over scale</h3>{chart(line)}<p>{hint}{band}{doubt}</p>{_points(scale.points)}</section>"


def _points(points: tuple[ScalePoint, ...]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{p.scale:g}</th><td>{words.percent(p.likeness)}</td><td>{words.percent(p.adherence)}</td>'
        f"<td>{words.percent(p.leakage)}</td><td>{p.utility:.2f}</td></tr>"
        for p in points
    )
    heads = "".join(
        f'<th scope="col">{h}</th>' for h in ("Scale", "Like&shy;ness", "Prompt", "Spill", "Useful&shy;ness")
    )
    return (
        "<details><summary>The numbers at each scale</summary>"
        f'<table><caption class="unseen">What was measured at each scale</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></details>"
    )


def _strip(view: OrderView) -> str:
    picture = view.pictures.get(view.files.get("strip", ""))
    if picture is None:
        return ""
    alt = "The same prompts at rising scales of the LoRA, from left to right."
    inside = (
        f'<div class="bar"><h3>The same noise at rising scales</h3>{enlarger(STRIP, "the strip of scales")}</div>'
        f"<figure>{pressed(STRIP, image(picture, alt))}</figure>"
    )
    return enlarged(STRIP, inside, kind="card")
