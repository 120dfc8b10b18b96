"""The ballot sheet: all grids side by side in one picture, made by a short-lived process.

A grid of a full-size model is large when unpacked; the bot's own memory stays small because it never holds one.
Started as `python -m bot.sheet OUT MAX_BYTES LABEL=GRID ...`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, ALONE = 440, 1400
"""px of one grid on the sheet, and of one that is made smaller by itself."""
GAP, HEAD = 16, 44
A_ROW = 3
"""Grids beside each other; more go below, so that a phone can still show them."""
MAX_PIXELS = 120_000_000
MAX_BYTES = 7 * 1024 * 1024
"""Above this the picture becomes a JPEG."""
QUALITIES = (90, 75, 55, 30)
"""Of the JPEG, until it fits."""
SECONDS = 90
PAPER, INK = (250, 249, 246), (29, 28, 26)


async def make_sheet(grids: Sequence[tuple[str, Path]], folder: Path, max_bytes: int = MAX_BYTES) -> Path:
    """Compose (label, grid file) pairs into a picture of at most `max_bytes` in `folder`.

    Raises `RuntimeError` where that does not work.
    """
    out = folder / "sheet.png"
    named = [f"{label}={path}" for label, path in grids]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot.sheet",
        str(out),
        str(min(max_bytes, MAX_BYTES)),
        *named,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(child.communicate(), SECONDS)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    made = [p for p in (out, out.with_suffix(".jpg")) if p.exists()]
    if child.returncode != 0 or not made:
        raise RuntimeError(f"the sheet could not be made: {said.decode(errors='replace')[-300:]}")
    return made[0]


def compose(grids: Sequence[tuple[str, Path]], out: Path, max_bytes: int = MAX_BYTES) -> Path:
    """The sheet, written as PNG or, where that is large, as JPEG."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    width = WIDTH if len(grids) > 1 else ALONE
    small = [(label, _scaled(path, width)) for label, path in grids]
    columns = min(A_ROW, len(small))
    height = HEAD + max(picture.height for _, picture in small)
    rows = -(-len(small) // columns)
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + rows * (height + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=26)
    for i, (label, picture) in enumerate(small):
        left, top = GAP + (i % columns) * (width + GAP), GAP + (i // columns) * (height + GAP)
        draw.text((left + 2, top + 4), label, fill=INK, font=font)
        sheet.paste(picture, (left, top + HEAD))
    return _written(sheet, out, max_bytes)


def _scaled(path: Path, width: int) -> Image.Image:
    with Image.open(path) as picture:
        picture.draft("RGB", (width * 2, width * 2))
        upright = picture.convert("RGB")
    return upright.resize((width, max(1, round(upright.height * width / upright.width))), Image.Resampling.LANCZOS)


def _written(sheet: Image.Image, out: Path, max_bytes: int) -> Path:
    sheet.save(out, "PNG", optimize=False)
    if out.stat().st_size <= max_bytes:
        return out
    out.unlink()
    small = out.with_suffix(".jpg")
    for quality in QUALITIES:
        sheet.save(small, "JPEG", quality=quality)
        if small.stat().st_size <= max_bytes:
            break
    return small


if __name__ == "__main__":
    pairs = [argument.split("=", 1) for argument in sys.argv[3:]]
    compose([(label, Path(path)) for label, path in pairs], Path(sys.argv[1]), int(sys.argv[2]))
