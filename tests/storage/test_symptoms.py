"""What is seen of a picture without a model: damage is told from the same picture without it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from storage.domain.doctor import Ailment, examined
from storage.symptoms import sharpness, symptoms


def textured(seed: int, px: int = 640) -> Image.Image:
    """A busy picture of many sharp shapes in all sizes and shades, some with a soft ground: like a photograph to these checks."""
    dice = random.Random(seed)
    image = Image.effect_noise((px // 8, px // 8), 90).resize((px, px), Image.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(image)
    for size in (200, 120, 60, 30, 16, 8):
        for _ in range(14):
            x, y = dice.randrange(px), dice.randrange(px)
            colour = tuple(dice.randrange(256) for _ in range(3))
            draw.ellipse((x, y, x + size, y + dice.randrange(4, size)), fill=colour)
    return image


def plain(seed: int, px: int = 256) -> Image.Image:
    """A drawing: one thing on a plain ground."""
    dice = random.Random(seed)
    image = Image.new("RGB", (px * 2, px * 2), tuple(dice.randrange(120, 256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 90, 400, 430), fill=tuple(dice.randrange(200) for _ in range(3)))
    draw.rectangle((200, 180, 300, 260), fill=tuple(dice.randrange(256) for _ in range(3)))
    return image.resize((px, px), Image.Resampling.LANCZOS)


def ailments(image: Image.Image, learned_px: int = 512) -> set[Ailment]:
    seen = symptoms(image, learned_px)
    return {f.ailment for f in examined(seen, width=image.width, height=image.height, learned_px=learned_px)}


def printed(image: Image.Image, text: str, size: float, at: tuple[int, int]) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text(at, text, fill="white", font=ImageFont.load_default(size))
    return marked


@pytest.mark.parametrize("seed", range(2))
def test_sound_pictures_have_nothing(seed: int) -> None:
    assert ailments(textured(seed)) == set()
    assert ailments(plain(seed), 64) == set()


@pytest.mark.parametrize("seed", range(2))
def test_a_blur_is_seen_on_photographs_and_on_drawings_at_the_size_that_is_learned(seed: int) -> None:
    assert ailments(textured(seed).filter(ImageFilter.GaussianBlur(3))) == {Ailment.BLURRED}
    assert ailments(plain(seed).filter(ImageFilter.GaussianBlur(9)), 64) == {Ailment.BLURRED}
    assert ailments(plain(seed, 512).filter(ImageFilter.GaussianBlur(2)), 64) == set()  # 64 px cannot show it


@pytest.mark.parametrize("contrast", [40, 200])
def test_sharpness_of_a_step_falls_as_one_over_its_blur_whatever_the_contrast(contrast: int) -> None:
    """The gradient of a step blurred by s is c / (s sqrt(2 pi)), its Laplacian c / (s^2 sqrt(2 pi e)): 1 / (s sqrt(e))."""
    step = np.zeros((64, 64), dtype=np.float32)
    step[:, 32:] = contrast
    for s in (2.0, 4.0):
        reach = np.arange(-16, 17)
        kernel = np.exp(-(reach**2) / (2 * s * s))
        row = np.convolve(np.pad(step[0], 16, mode="edge"), kernel / kernel.sum(), mode="valid")
        blurred = np.tile(row.astype(np.float32), (64, 1))
        assert sharpness(blurred) == pytest.approx(1 / (s * math.e**0.5), rel=0.1)


def test_an_even_field_is_not_called_blurred() -> None:
    assert ailments(Image.new("RGB", (512, 512), "teal")) == set()


def test_a_line_of_print_is_seen() -> None:
    ground = Image.linear_gradient("L").resize((640, 640)).convert("RGB").point(lambda v: v // 2)
    assert Ailment.LETTERING not in ailments(ground)
    assert Ailment.LETTERING in ailments(printed(ground, "photo by somebody 2024", 26, (40, 560)))


@pytest.mark.parametrize("margin", [(40, 40), (0, 90), (90, 0)])
def test_frames_and_bars_are_seen_and_measured(margin: tuple[int, int]) -> None:
    inner = textured(3)
    framed = Image.new("RGB", (inner.width + 2 * margin[0], inner.height + 2 * margin[1]), "black")
    framed.paste(inner, margin)
    share = 1 - inner.width * inner.height / (framed.width * framed.height)
    assert symptoms(framed, 512)["frame"] == pytest.approx(share, abs=0.02)
    assert Ailment.FRAMED in ailments(framed)


def test_a_sky_and_a_plain_ground_are_no_frames() -> None:
    sky = textured(4)
    sky.paste((90, 150, 240), (0, 0, sky.width, 200))
    assert symptoms(sky, 512)["frame"] == 0.0
    assert symptoms(plain(1), 512)["frame"] == 0.0


def test_small_and_long_pictures_are_told() -> None:
    assert ailments(textured(1, 320)) == {Ailment.SMALL}
    long = textured(2).resize((900, 350))
    assert Ailment.LONG in ailments(long)
