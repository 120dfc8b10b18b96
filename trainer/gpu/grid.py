"""Labelled contact sheets: the grid of a checkpoint and the strip of scales. Pillow only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

LEAST_CELL = 192
"""Side of a cell in px: pocket pictures are shown three times their size."""
MOST_PIXELS = 2_500_000
"""Of all cells together. A PNG of photographs takes about two bytes a pixel, and Discord takes 10 MB everywhere."""
LABEL = 210
HEAD = 34
TITLE = 44
GAP = 6
PAPER, INK, FAINT, RULE = (250, 250, 248), (28, 28, 32), (112, 112, 120), (222, 222, 218)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a sheet."""

    label: str
    note: str
    """Small, under the label."""
    cells: Sequence[Image.Image]


def sheet(
    title: str, subtitle: str, heads: Sequence[str], rows: Sequence[Row], *, most_pixels: int = MOST_PIXELS
) -> Image.Image:
    """Rows of pictures with their labels on the left and the column heads above."""
    cell = cell_px(heads, rows, most_pixels)
    width = LABEL + len(heads) * (cell + GAP) + GAP
    height = TITLE + HEAD + len(rows) * (cell + GAP) + GAP
    paper = Image.new("RGB", (width, height), PAPER)
    ink = ImageDraw.Draw(paper)
    name = _shortened(ink, title, _font(20), width - 2 * GAP - 12)
    ink.text((GAP + 6, TITLE // 2), name, INK, _font(20), anchor="lm")
    left = GAP + 6 + ink.textlength(name, _font(20)) + 14
    ink.text((left, TITLE // 2 + 2), _shortened(ink, subtitle, _font(15), width - left - GAP), FAINT, _font(15), "lm")
    ink.line((0, TITLE, width, TITLE), RULE, 1)
    for column, head in enumerate(heads):
        text = _shortened(ink, head, _font(15), cell)
        ink.text((_left(column, cell) + cell // 2, TITLE + HEAD // 2 + 2), text, INK, _font(15), anchor="mm")
    for number, row in enumerate(rows):
        top = TITLE + HEAD + number * (cell + GAP)
        _label(ink, row, top, cell)
        for column, image in enumerate(row.cells):
            paper.paste(shown(image, cell), (_left(column, cell), top))
    return paper


def cell_px(heads: Sequence[str], rows: Sequence[Row], most_pixels: int = MOST_PIXELS) -> int:
    """The side of a cell: as large as its pictures, unless that makes the sheet too large, to post where nothing else is said."""
    drawn = max((max(image.size) for row in rows for image in row.cells), default=LEAST_CELL)
    room = math.isqrt(most_pixels // max(1, len(heads) * len(rows)))
    return max(LEAST_CELL, min(drawn, room))


def shown(image: Image.Image, side: int) -> Image.Image:
    """A picture in a cell: small ones enlarged smoothly, all fitted on paper."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    fitted = image.convert("RGB").resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (side, side), PAPER)
    cell.paste(fitted, ((side - size[0]) // 2, (side - size[1]) // 2))
    return cell


def _left(column: int, cell: int) -> int:
    return LABEL + GAP + column * (cell + GAP)


def _label(ink: ImageDraw.ImageDraw, row: Row, top: int, cell: int) -> None:
    font, small = _font(17), _font(13)
    lines = _wrapped(ink, row.label, font, LABEL - 2 * GAP - 6)[:5]
    height = len(lines) * 22 + (20 if row.note else 0)
    y = top + (cell - height) // 2
    for line in lines:
        ink.text((GAP + 6, y), line, INK, font)
        y += 22
    if row.note:
        ink.text((GAP + 6, y + 3), _shortened(ink, row.note, small, LABEL - 2 * GAP - 6), FAINT, small)


def _wrapped(ink: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and ink.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(_shortened(ink, word, font, width))
    return lines


def _shortened(ink: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    if ink.textlength(text, font) <= width:
        return text
    while text and ink.textlength(f"{text}...", font) > width:
        text = text[:-1]
    return f"{text}..."


def _font(px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType")
    return font
