"""Pictures reach the model upright, whole where possible, in shapes of equal area."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from trainer.gpu.cropping import Face
from trainer.gpu.families.sdxl import _sizes
from trainer.gpu.pictures import Shape, UnreadablePicture, framed, nearest, pixels, shapes


def test_every_shape_has_nearly_the_area_of_the_square() -> None:
    for shape in shapes(1024, 64):
        assert 0.86 * 1024**2 < shape.height * shape.width <= 1024**2
        assert shape.height % 64 == shape.width % 64 == 0


def test_a_wide_picture_gets_a_wide_shape_and_a_tall_one_a_tall_one() -> None:
    among = shapes(1024, 64)
    assert nearest(among, 3000, 2000).width > nearest(among, 3000, 2000).height
    assert nearest(among, 1000, 1600).width < nearest(among, 1000, 1600).height
    assert nearest(among, 2000, 2000) == Shape(height=1024, width=1024)


def test_a_picture_turned_by_exif_is_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (100, 50), "red")
    picture.paste("blue", (0, 0, 50, 50))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated: to be turned a quarter clockwise
    picture.save(tmp_path / "a.jpg", exif=exif)
    seen = framed(tmp_path / "a.jpg", (Shape(height=64, width=32),), picture_id="a", held_out=False)
    assert seen.image.getpixel((16, 8))[2] > 200  # type: ignore[index]
    assert seen.image.getpixel((16, 56))[0] > 200  # type: ignore[index]


def test_without_a_face_not_a_bit_changes_and_with_one_it_stays_whole(tmp_path: Path) -> None:
    tall = Image.new("RGB", (100, 400), "green")
    tall.paste("magenta", (30, 350, 70, 390))
    tall.save(tmp_path / "a.png")
    only, face = (Shape(height=64, width=32),), Face(left=0.3, top=350 / 400, right=0.7, bottom=390 / 400)
    usual = framed(tmp_path / "a.png", only, picture_id="a", held_out=False)
    fitted = ImageOps.fit(tall, (32, 64), Image.Resampling.LANCZOS, centering=(0.5, 0.4))
    assert (usual.image.tobytes(), usual.crop) == (fitted.tobytes(), "")
    whole = framed(tmp_path / "a.png", only, picture_id="a", held_out=False, face=face)
    assert (
        ImageOps.fit(tall, (32, 64), Image.Resampling.LANCZOS, centering=(0.5, 1.0)).tobytes() == whole.image.tobytes()
    )
    assert whole.image.getpixel((16, 54)) == (255, 0, 255)
    assert (whole.shape, whole.original, whole.framing) == (usual.shape, usual.original, usual.framing)
    assert whole.crop


def test_a_portrait_shows_the_face_alone_and_is_not_enlarged_for_it(tmp_path: Path) -> None:
    wide = Image.new("RGB", (800, 400), "green")
    wide.paste("magenta", (600, 100, 640, 140))
    wide.save(tmp_path / "a.png")
    face = Face(left=600 / 800, top=100 / 400, right=640 / 800, bottom=140 / 400)
    near = framed(tmp_path / "a.png", shapes(64, 16), picture_id="a", held_out=False, face=face, close=True)
    assert near.shape == Shape(height=64, width=64)
    assert near.image.getpixel((32, 26)) == (255, 0, 255)
    assert sum(near.image.getpixel((x, 26))[0] > 127 for x in range(64)) == pytest.approx(64 / 3, abs=1)  # type: ignore[index]
    large = framed(tmp_path / "a.png", shapes(256, 64), picture_id="a", held_out=False, face=face, close=True)
    assert not large.enlarged
    assert large.crop != near.crop
    faceless = framed(tmp_path / "a.png", shapes(64, 16), picture_id="a", held_out=False, close=True)
    assert faceless.crop == ""


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 80), (255, 0, 0, 0)).save(tmp_path / "a.png")
    seen = framed(tmp_path / "a.png", (Shape(height=64, width=64),), picture_id="a", held_out=False)
    assert seen.image.getpixel((30, 30)) == (255, 255, 255)


def test_the_model_is_told_the_true_size_of_a_picture_that_had_to_be_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "small.png")
    Image.new("RGB", (400, 400)).save(tmp_path / "large.png")
    only = (Shape(height=64, width=64),)
    small = framed(tmp_path / "small.png", only, picture_id="s", held_out=False)
    large = framed(tmp_path / "large.png", only, picture_id="l", held_out=False)
    assert _sizes(small.framing) == (40, 40, 0, 0, 64, 64)
    assert _sizes(large.framing) == (64, 64, 0, 0, 64, 64)


def test_pixels_go_from_minus_one_to_one() -> None:
    picture = Image.new("RGB", (2, 1))
    picture.putpixel((0, 0), (0, 0, 0))
    picture.putpixel((1, 0), (255, 255, 255))
    assert pixels(picture)[:, 0].tolist() == [[-1.0, 1.0]] * 3


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_damaged_file_is_refused_by_the_pictures_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UnreadablePicture, match="p3"):
        framed(tmp_path / "a.png", (Shape(height=64, width=64),), picture_id="p3", held_out=False)
