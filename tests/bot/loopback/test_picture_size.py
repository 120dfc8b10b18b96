"""Sizes are read from the pictures' own heads."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from bot.loopback import picture_size

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_the_size_is_the_pictures(tmp_path: Path, kind: str, options: dict[str, bool]) -> None:
    path = tmp_path / "picture"
    Image.new("RGB", (123, 45), "red").save(path, kind, **options)
    assert picture_size.of_file(path) == (123, 45)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBPVP8X"])
def test_what_is_no_picture_has_no_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture"
    path.write_bytes(content)
    assert picture_size.of_file(path) is None


def test_a_picture_with_metadata_before_its_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    image = Image.new("RGB", (31, 32))
    exif = Image.Exif()
    exif[0x010E] = "x" * 5000
    held = io.BytesIO()
    image.save(held, "JPEG", exif=exif)
    path.write_bytes(held.getvalue())
    assert picture_size.of_file(path) == (31, 32)
