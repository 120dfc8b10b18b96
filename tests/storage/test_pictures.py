"""Pictures of strangers: each kind of bad input by name, and the good ones as they should be."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pillow_heif
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw

from storage import decoding, pictures
from storage.domain.errors import PictureFault, PictureRefused
from storage.pictures import Checker, Kept, Limits, near, near_twin
from tests.storage.drawn import encoded, fault_of, png_header, scene

SMALL = Limits(min_side=64)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def checker() -> AsyncIterator[Checker]:
    one = Checker()
    yield one
    await one.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def opened(kept: Kept) -> Image.Image:
    return Image.open(io.BytesIO(kept.data))


async def test_a_plain_picture_is_kept_as_jpeg_with_all_its_colour(checker: Checker) -> None:
    kept = await checker.check(encoded(scene()))
    image = opened(kept)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (320, 280))
    assert (kept.width, kept.height) == image.size
    assert image.layer[0][1:3] == image.layer[1][1:3] == (1, 1), "4:4:4: colour is not sampled down"
    difference = sum(abs(a - b) for a, b in zip(image.tobytes(), scene().tobytes(), strict=True)) / (320 * 280 * 3)
    assert difference < 3


async def test_no_bytes_and_no_picture_are_refused_by_name(checker: Checker, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    assert await fault_of(checker, b"") is PictureFault.EMPTY
    assert await fault_of(checker, empty) is PictureFault.EMPTY
    assert await fault_of(checker, b"MZ this is a program, renamed to cat.png" * 50) is PictureFault.NOT_A_PICTURE
    assert await fault_of(checker, b"<svg xmlns='http://www.w3.org/2000/svg'/>") is PictureFault.NOT_A_PICTURE
    assert (
        await fault_of(checker, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n") is PictureFault.NOT_A_PICTURE
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
async def test_a_cut_off_file_is_refused_as_truncated(checker: Checker, kind: str) -> None:
    raw = encoded(scene(), kind)
    assert await fault_of(checker, raw[: len(raw) // 2]) is PictureFault.TRUNCATED


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("image file is truncated (12 bytes not processed)"), ""),
        (OSError("broken data stream when reading image file"), "broken data stream when reading image file"),
        (SyntaxError(""), "SyntaxError"),
    ],
)
async def test_a_damaged_file_is_refused_with_what_its_decoder_says(error: Exception, said: str) -> None:
    assert decoding._cause(error) == said


async def test_a_giant_is_refused_from_its_header_before_it_is_decoded(checker: Checker) -> None:
    raw = png_header(30_000, 30_000)
    assert len(raw) < 1000
    began = time.monotonic()
    assert await fault_of(checker, raw) is PictureFault.TOO_MANY_PIXELS
    assert time.monotonic() - began < 2


async def test_too_many_bytes_are_refused_before_the_file_is_read(checker: Checker, tmp_path: Path) -> None:
    sparse = tmp_path / "huge.png"
    with sparse.open("wb") as file:
        file.truncate(10 << 30)
    assert await fault_of(checker, sparse) is PictureFault.TOO_MANY_BYTES


async def test_too_small_depends_on_the_base(checker: Checker) -> None:
    raw = encoded(scene(size=(300, 100)))
    assert await fault_of(checker, raw) is PictureFault.TOO_SMALL
    assert (await checker.check(raw, SMALL)).height == 100
    assert await fault_of(checker, encoded(scene(size=(300, 63))), SMALL) is PictureFault.TOO_SMALL


async def test_the_first_frame_of_an_animation_is_kept(checker: Checker) -> None:
    frames = [Image.new("RGB", (256, 256), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP"):
        raw = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, blue = opened(await checker.check(raw)).getpixel((128, 128))  # type: ignore[misc]
        assert red > 240
        assert max(green, blue) < 20


async def test_cmyk_becomes_rgb_of_the_same_colour(checker: Checker) -> None:
    raw = encoded(Image.new("RGB", (256, 256), (200, 40, 90)).convert("CMYK"), "JPEG", quality=95)
    pixel = opened(await checker.check(raw)).getpixel((100, 100))
    assert all(abs(a - b) < 12 for a, b in zip(pixel, (200, 40, 90), strict=True))  # type: ignore[arg-type]


async def test_sixteen_bit_greys_are_scaled_and_not_clipped(checker: Checker) -> None:
    deep = Image.frombytes(
        "I;16", (256, 256), b"".join(struct.pack("<256H", *([x * 257 for x in range(256)])) for _ in range(256))
    )
    for kind in ("PNG", "TIFF"):
        image = opened(await checker.check(encoded(deep, kind)))
        for x in (10, 128, 245):
            assert abs(image.getpixel((x, 100))[0] - x) < 6  # type: ignore[index]


async def test_alpha_is_laid_over_white_and_palettes_are_resolved(checker: Checker) -> None:
    image = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((0, 0, 127, 255), fill=(10, 20, 200, 255))
    for one in (image, image.convert("P")):
        kept = opened(await checker.check(encoded(one)))
        assert all(v > 245 for v in kept.getpixel((200, 100)))  # type: ignore[union-attr]
        assert kept.getpixel((60, 100))[2] > 180  # type: ignore[index]
    black_and_white = Image.new("1", (256, 256), 1)
    assert all(v > 245 for v in opened(await checker.check(encoded(black_and_white))).getpixel((5, 5)))  # type: ignore[union-attr]


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_every_exif_orientation_comes_out_upright(checker: Checker, orientation: int) -> None:
    upright = Image.new("RGB", (300, 260), "white")
    ImageDraw.Draw(upright).rectangle((0, 0, 150, 130), fill="red")  # red is top left
    turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turn = turns[orientation]
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = opened(await checker.check(encoded(stored, "JPEG", exif=exif)))
    assert image.size == (300, 260)
    assert image.getpixel((20, 20))[1] < 60  # type: ignore[index]
    assert image.getpixel((280, 240))[1] > 200  # type: ignore[index]


async def test_place_camera_and_profile_are_gone(checker: Checker) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 30.0)
    exif.get_ifd(0x8825)[29] = "2026:01:01"
    raw = encoded(scene(), "JPEG", exif=exif, comment=b"SecretComment")
    assert b"SecretCamera" in raw
    kept = await checker.check(raw)
    assert not dict(opened(kept).getexif())
    assert b"Exif" not in kept.data
    assert b"Secret" not in kept.data
    assert b"2026:01:01" not in kept.data


async def test_heic_from_a_phone_is_read_and_upright(checker: Checker) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    heif = pillow_heif.from_pillow(scene(size=(400, 300)))
    sink = io.BytesIO()
    heif.save(sink, exif=exif.tobytes(), quality=90)
    kept = await checker.check(sink.getvalue())
    assert (kept.width, kept.height) == (300, 400)
    assert not dict(opened(kept).getexif())


async def test_a_large_picture_is_shrunk_to_2048(checker: Checker) -> None:
    kept = await checker.check(encoded(scene(size=(5000, 2500)), "JPEG"))
    assert (kept.width, kept.height) == (2048, 1024)


async def test_equal_pixels_are_twins_whatever_the_file_and_near_ones_are_near(checker: Checker) -> None:
    image = scene(1)
    first = await checker.check(encoded(image, "PNG"))
    same = await checker.check(encoded(image, "BMP"))
    again = await checker.check(encoded(image.resize((300, 262)), "JPEG", quality=70))
    other = await checker.check(encoded(scene(2)))
    seen = {"1.png": (first.sha256, first.thumb)}
    with pytest.raises(PictureRefused) as exact:
        near_twin(same, seen)
    assert (exact.value.fault, exact.value.detail) == (PictureFault.DUPLICATE, "1.png")
    assert near_twin(again, seen) == "1.png"
    assert near_twin(other, seen) is None


async def test_drawings_over_a_plain_ground_are_not_taken_for_twins(checker: Checker) -> None:
    """Their difference hashes are nearly equal, because nearly every cell is the same white."""
    drawings = []
    for x in (40, 90):
        image = Image.new("RGB", (256, 256), "white")
        ImageDraw.Draw(image).ellipse((x, 60, x + 60, 140), fill="red")
        drawings.append(await checker.check(encoded(image)))
    assert not near(drawings[0].thumb, drawings[1].thumb)
    assert near(drawings[0].thumb, drawings[0].thumb)
    with pytest.raises(ValueError, match="thumb"):
        near(drawings[0].dhash, drawings[0].dhash)


async def test_check_alone_writes_the_kept_file(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(encoded(scene()))
    kept = await pictures.check(source, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes() == kept.data
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


async def test_a_large_file_goes_to_the_decoder_in_pieces(checker: Checker, tmp_path: Path) -> None:
    path = tmp_path / "large.bmp"
    Image.new("RGB", (2000, 2000), (120, 90, 60)).save(path)
    assert path.stat().st_size > 11_000_000
    await checker.check(encoded(scene()))  # the child is there
    tracemalloc.start()
    try:
        assert (await checker.check(path)).width == 2000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
