"""Styles as render filters over a finished picture; which ones pretraining may use is fixed here.

The held-out ones are subjects for tests: no pretraining picture was filtered with them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from trainer.pocket.pen import Colour
from trainer.pocket.vocabulary import STYLES


@dataclass(frozen=True, kw_only=True)
class Style:
    """A filter with its free choices: two inks and a grain (fraction of the frame's side)."""

    name: str
    dark: Colour = (20, 20, 40)
    light: Colour = (250, 245, 230)
    grain: float = 0.06


def _edges(picture: Image.Image) -> Image.Image:
    """Bright where the picture's lightness jumps; 0 elsewhere."""
    wide = max(1, picture.width // 96)
    grey = picture.convert("L").filter(ImageFilter.GaussianBlur(wide / 2))
    return ImageChops.subtract(
        grey.filter(ImageFilter.MaxFilter(2 * wide + 1)), grey.filter(ImageFilter.MinFilter(2 * wide + 1))
    )


def _pencil(picture: Image.Image, _style: Style) -> Image.Image:
    pale = Image.blend(ImageOps.grayscale(picture).convert("RGB"), picture, 0.35)
    pale = Image.blend(pale, Image.new("RGB", picture.size, (248, 246, 240)), 0.6)
    lines = ImageOps.invert(_edges(picture).point(lambda v: min(255, v * 3)))
    return ImageChops.multiply(pale, lines.convert("RGB"))


def _watercolour(picture: Image.Image, _style: Style) -> Image.Image:
    soft = picture.filter(ImageFilter.ModeFilter(2 * (picture.width // 64) + 1))
    soft = Image.blend(soft, Image.new("RGB", picture.size, (252, 248, 238)), 0.45)
    rows, columns = np.mgrid[0 : picture.height, 0 : picture.width] / picture.height
    vignette = np.clip(np.maximum(abs(rows - 0.5), abs(columns - 0.5)) * 2 - 0.78, 0, 0.22) / 0.22
    mask = Image.fromarray((vignette * 255).astype(np.uint8))
    return Image.composite(Image.new("RGB", picture.size, (253, 250, 243)), soft, mask)


def _pixel(picture: Image.Image, _style: Style) -> Image.Image:
    return picture.resize((16, 16), Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)


def _poster(picture: Image.Image, _style: Style) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(picture.width / 100)).point(
        lambda v: 0 if v < 85 else 128 if v < 170 else 255
    )


def _neon(picture: Image.Image, _style: Style) -> Image.Image:
    glow = _edges(picture).point(lambda v: min(255, v * 4)).convert("RGB")
    lit = ImageChops.multiply(glow, picture.point(lambda v: min(255, 90 + v)))
    return ImageChops.add(lit, picture.point(lambda v: v // 6))


def _duotone(picture: Image.Image, style: Style) -> Image.Image:
    return ImageOps.colorize(ImageOps.autocontrast(picture.convert("L")), style.dark, style.light)


def _woodcut(picture: Image.Image, style: Style) -> Image.Image:
    grey = np.asarray(ImageOps.autocontrast(picture.convert("L")), dtype=np.float32) / 255
    rows, columns = np.mgrid[0 : picture.height, 0 : picture.width] / picture.height
    cut = 0.5 + 0.42 * np.sin((rows + 0.3 * columns) * 2 * np.pi / style.grain)
    mask = Image.fromarray(((grey > cut) * 255).astype(np.uint8))
    return ImageOps.colorize(mask, style.dark, style.light)


def _mosaic(picture: Image.Image, style: Style) -> Image.Image:
    tiles = max(4, round(0.55 / style.grain))
    coarse = picture.resize((tiles, tiles), Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)
    rows, columns = np.mgrid[0 : picture.height, 0 : picture.width] / picture.height * tiles
    grout = ((rows % 1 < 0.16) | (columns % 1 < 0.16)).astype(np.uint8) * 255
    return Image.composite(Image.new("RGB", picture.size, style.dark), coarse, Image.fromarray(grout))


def _halftone(picture: Image.Image, style: Style) -> Image.Image:
    grey = np.asarray(ImageOps.autocontrast(picture.convert("L")), dtype=np.float32) / 255
    rows, columns = np.mgrid[0 : picture.height, 0 : picture.width] / picture.height * (2 * np.pi / style.grain)
    screen = 0.5 + 0.24 * (np.sin(rows) + np.sin(columns))
    return ImageOps.colorize(Image.fromarray(((grey > screen) * 255).astype(np.uint8)), style.dark, style.light)


def _blueprint(picture: Image.Image, style: Style) -> Image.Image:
    lines = _edges(picture).point(lambda v: min(255, v * 5))
    return ImageOps.colorize(lines, style.dark, style.light)


_FILTERS: dict[str, Callable[[Image.Image, Style], Image.Image]] = {
    "pencil": _pencil,
    "watercolour": _watercolour,
    "pixel": _pixel,
    "poster": _poster,
    "neon": _neon,
    "duotone": _duotone,
    "woodcut": _woodcut,
    "mosaic": _mosaic,
    "halftone": _halftone,
    "blueprint": _blueprint,
}
HELD_OUT_STYLES = tuple(name for name in _FILTERS if name not in STYLES)


def styled(picture: Image.Image, style: Style) -> Image.Image:
    """The picture through the style's filter, same size."""
    return _FILTERS[style.name](picture, style)
