"""From kept picture files to upright RGB pictures in a few shapes of equal area."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainer.gpu.cropping import USUAL, Face, centering, portrait, within

MAX_PIXELS = 64_000_000
"""The picture check lets no larger one through; a larger one here was not checked."""


class UnreadablePicture(Exception):
    """A kept picture cannot be read any more."""


@dataclass(frozen=True, kw_only=True, order=True)
class Shape:
    """Size of a bucket in px."""

    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a picture was cut, for bases that are told so."""

    original: tuple[int, int]
    """(height, width) told to the model: the bucket's, or the picture's own where it had to be enlarged."""
    shape: Shape
    corner: tuple[int, int] = (0, 0)
    """(top, left) of the cut, told to the model."""


@dataclass(frozen=True, kw_only=True)
class Framed:
    """One picture of the order as the model sees it."""

    id: str
    sha256: str
    """Of the file's bytes."""
    image: Image.Image
    """RGB, of the bucket's shape."""
    shape: Shape
    original: tuple[int, int]
    """(height, width) as `Framing` has it."""
    held_out: bool
    caption: str = ""
    """Its own words; empty takes the plan's templates."""
    crop: str = ""
    """How it was cut, where that is not as every picture without a face is."""

    @property
    def enlarged(self) -> bool:
        """Whether it had to be, to cover its shape."""
        return self.original != (self.shape.height, self.shape.width)

    @property
    def framing(self) -> Framing:
        """What may be told to the model."""
        return Framing(original=self.original, shape=self.shape)


def shapes(resolution: int, step: int) -> tuple[Shape, ...]:
    """Buckets from 1:2 to 2:1 whose sides are multiples of `step` and whose area is at most resolution squared."""
    found = set()
    for height in range(step, 2 * resolution + 1, step):
        width = resolution * resolution // height // step * step
        if width and 0.5 <= width / height <= 2.0:
            found.add(Shape(height=height, width=width))
    square = resolution // step * step
    return tuple(sorted(found | {Shape(height=square, width=square)}))


def nearest(among: tuple[Shape, ...], width: int, height: int) -> Shape:
    """The bucket that cuts off least and enlarges least.

    All have one area, so a picture smaller than it is enlarged, on every base: there is no smaller bucket, as kohya's
    `bucket_no_upscale` makes one. The doctor tells its owner before, `Framing.original` tells a model that can hear it, and
    further resolutions leave such a picture out (`latents.sized`). The pocket has one bucket, and enlarges to it in any case.
    """

    def cost(shape: Shape) -> tuple[float, Shape]:
        scale = max(shape.width / width, shape.height / height)
        kept = shape.width * shape.height / (width * height * scale * scale)
        return (1.0 - kept) + max(0.0, scale - 1.0), shape

    return min(among, key=cost)


def framed(
    path: Path,
    among: tuple[Shape, ...],
    *,
    picture_id: str,
    held_out: bool,
    caption: str = "",
    face: Face | None = None,
    close: bool = False,
) -> Framed:
    """The picture of a file, upright, cut to its bucket; its face stays whole. `close` shows head and shoulders alone.

    Raises `UnreadablePicture`.
    """
    image, box = upright(path, picture_id), None
    if face is not None and close:
        box = portrait(image.size, face, round(max(s.width * s.height for s in among) ** 0.5))
        face = within(face, image.size, box)
        image = image.crop(box)
    shape = nearest(among, image.width, image.height)
    small = image.width < shape.width or image.height < shape.height
    place = centering(image.size, (shape.width, shape.height), face)
    return Framed(
        id=picture_id,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        image=_covered(image, shape, place),
        shape=shape,
        original=(image.height, image.width) if small else (shape.height, shape.width),
        held_out=held_out,
        caption=caption,
        crop="" if box is None and place == USUAL else f"{box}:{place[0]:.6f},{place[1]:.6f}",
    )


def upright(path: Path, picture_id: str) -> Image.Image:
    """The whole picture of a file, upright, RGB. Raises `UnreadablePicture`."""
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise UnreadablePicture(picture_id)
            return _rgb(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePicture(picture_id) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Without transparency: on white, as every chat shows it."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _covered(image: Image.Image, shape: Shape, place: tuple[float, float]) -> Image.Image:
    """Resized so that the shape is covered, then cut to it."""
    return ImageOps.fit(image, (shape.width, shape.height), Image.Resampling.LANCZOS, centering=place)


def pixels(image: Image.Image) -> Tensor:
    """(3, height, width) in [-1, 1], as diffusion autoencoders take it."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32).copy()).permute(2, 0, 1) / 127.5 - 1.0
