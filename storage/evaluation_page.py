"""The page of a comparison: one HTML text with everything in it, that asks nothing of any server and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from storage.evaluation import MEASURES, Contestant, Evaluation, Measure
from storage.evaluation_bars import Bar, bars
from storage.evaluation_words import called, drawn_words, interval, notes, number
from storage.page.frame import document, image

STYLE = """
.chart .bar { fill: var(--curve); } .chart .bar.base { fill: var(--soft); }
.chart .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.chart .rim { stroke: var(--card); stroke-width: 4.5; fill: none; }
.chart text.name { font-size: 12px; fill: var(--ink); } .chart text.value { font-size: 12px; fill: var(--ink); font-weight: 600; }
.roll { margin-top: 1.5rem; } .roll table { min-width: 44rem; }
.prompt { margin: 1rem 0 0; }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 13rem), 1fr)); gap: .5rem; }
@media (max-width: 700px) { .cells.threes { grid-template-columns: repeat(3, 1fr); } }
.cells figure { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .35rem; }
.cells figcaption { margin-top: .2rem; font-size: .82rem; line-height: 1.3; }
"""
"""After the style of every page of ours."""


def evaluation_page(found: Evaluation, shown: Mapping[tuple[int, int], bytes]) -> str:
    """The whole page; `shown` are small JPEGs by row and column. Every text of a person is escaped."""
    count = sum(not one.is_base for one in found.contestants)
    title = f"{count} {'LoRA' if count == 1 else 'LoRAs'} on {found.base}"
    head = f'<header><p class="over">lorasmith evaluate</p><h1>{escape(title)}</h1><p>{escape(drawn_words(found))}</p></header>'
    return document(title, f"{head}{_measured(found)}{_pictures(found, shown)}{_files(found)}", style=STYLE)


def _measured(found: Evaluation) -> str:
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(found))
    charts = "".join(_chart(found, measure) for measure in MEASURES) if found.eyed else ""
    return (
        f'<h2>What was measured</h2><div class="charts">{charts}</div>'
        f"{_table(found) if found.eyed else ''}<ul>{said}</ul>"
    )


def _chart(found: Evaluation, measure: Measure) -> str:
    drawn = bars(measure.title, [_bar(one, measure) for one in found.contestants], percent=measure.percent)
    return f"<section><h3>{measure.title}</h3>{drawn or '<p>Not measured.</p>'}<p>{escape(measure.hint)}</p></section>"


def _bar(one: Contestant, measure: Measure) -> Bar:
    value = one.values[measure.name]
    if value is None:
        return Bar(name=one.name, mean=None, low=None, high=None, said="not measured", label="", is_base=one.is_base)
    label, around = number(value.mean, measure), interval(value, measure)
    said = f"{label}, from {around}" if around else label
    return Bar(
        name=one.name, mean=value.mean, low=value.low, high=value.high, said=said, label=label, is_base=one.is_base
    )


def _table(found: Evaluation) -> str:
    heads = "".join(f'<th scope="col">{measure.title}</th>' for measure in MEASURES)
    rows = "".join(_row(one) for one in found.contestants)
    return (
        '<div class="roll" tabindex="0" role="region" aria-label="All numbers"><table><caption>All numbers</caption><thead><tr>'
        f'<th scope="col"></th>{heads}<th scope="col">Pictures</th><th scope="col">Seconds</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(one: Contestant) -> str:
    cells = []
    for measure in MEASURES:
        value = one.values[measure.name]
        around = interval(value, measure) if value else ""
        cells.append(
            "<td>–</td>" if value is None else f"<td>{number(value.mean, measure)}<small>{escape(around)}</small></td>"
        )
    return (
        f'<tr><th scope="row">{escape(one.name)}<small>{escape(called(one))}</small></th>{"".join(cells)}'
        f"<td>{one.pictures}</td><td>{one.seconds:.1f}</td></tr>"
    )


def _pictures(found: Evaluation, shown: Mapping[tuple[int, int], bytes]) -> str:
    many = len(found.seeds[0])
    which = f" The first of {many} seeds is shown; all are in the folder drawn." if many > 1 else ""
    kind = "cells threes" if len(found.contestants) in (3, 5, 6, 9) else "cells"  # on a phone: no row of one
    rows = "".join(
        f'<section><h3 class="prompt">{escape(label)}</h3><div class="{kind}">{_cells(found.contestants, label, row, shown)}</div>'
        "</section>"
        for row, label in enumerate(found.labels)
    )
    return f'<h2>The pictures</h2><p class="soft">Every row is drawn from the same noise.{which}</p>{rows}'


def _cells(contestants: Sequence[Contestant], label: str, row: int, shown: Mapping[tuple[int, int], bytes]) -> str:
    cells = []
    for column, one in enumerate(contestants):
        picture = shown.get((row, column))
        if picture is None:
            cells.append(f"<figure><p>No picture.</p><figcaption>{escape(one.name)}</figcaption></figure>")
            continue
        alt = f"{label}, drawn by {one.name}{_scores(one, row)}"
        cells.append(f"<figure>{image(picture, alt)}<figcaption>{escape(one.name)}</figcaption></figure>")
    return "".join(cells)


def _scores(one: Contestant, row: int) -> str:
    """What was measured of this prompt, for those who do not see the picture."""
    said = [f"CLIP text {one.scores.text[row]:.3f}"] if one.scores.text else []
    said += [f"likeness {100 * one.scores.likeness[row]:.0f} %"] if one.scores.likeness else []
    return f": {', '.join(said)} over all its seeds" if said else ""


def _files(found: Evaluation) -> str:
    items = "".join(
        f"<li>{escape(one.name)}: <code>{escape(Path(one.file).name)}</code>, {escape(called(one))}, "
        f"sha256 <code>{escape(one.sha256 or '')}</code></li>"
        for one in found.contestants
        if one.file
    )
    return f"<h2>The files</h2><ul>{items}</ul>"
