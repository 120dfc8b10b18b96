"""Pictures that are drawn here, as files of many kinds, and what becomes of one."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from storage.domain.errors import PictureFault, PictureRefused
from storage.pictures import LIMITS, Checker, Limits


def scene(seed: int = 0, size: tuple[int, int] = (320, 280)) -> Image.Image:
    """A smooth picture with a few shapes, so that encoders change little of it."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    draw, dice = ImageDraw.Draw(image), random.Random(seed)
    for _ in range(6):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        colour = tuple(dice.randrange(256) for _ in range(3))
        draw.ellipse((x - 50, y - 40, x + 50, y + 40), fill=colour)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds next to nothing: 30000 x 30000 in under a kilobyte."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


async def fault_of(checker: Checker, raw: bytes | Path, limits: Limits = LIMITS) -> PictureFault:
    with pytest.raises(PictureRefused) as caught:
        await checker.check(raw, limits)
    return caught.value.fault
