"""Colours that burn or bleach, told from a subject that is more or less colourful than its class."""

from __future__ import annotations

import pytest
from PIL import Image, ImageEnhance

from tests.builders import drawn_pictures
from trainer.gpu.judge import colour, sharpness

PICTURES = drawn_pictures(4)


def drift(drawn: list[Image.Image], base: list[Image.Image], taught: list[Image.Image]) -> float | None:
    panels = ({(0, seed): image for seed, image in enumerate(images)} for images in (drawn, base))
    return sharpness.relative(colour.drifts(*panels, taught))


def enhanced(factor: float) -> list[Image.Image]:
    return [ImageEnhance.Color(picture).enhance(factor) for picture in PICTURES]


def test_what_lies_between_base_and_training_pictures_has_not_drifted() -> None:
    assert drift(PICTURES, PICTURES, []) == 1.0
    assert drift(enhanced(0.6), PICTURES, enhanced(0.2)) == 1.0
    assert drift(enhanced(0.2), PICTURES, enhanced(0.2)) == pytest.approx(1.0, abs=0.2)


def test_burnt_colours_drift_up_and_bleached_ones_down() -> None:
    pale = enhanced(0.5)
    burnt, bleached = drift(PICTURES, pale, pale), drift(enhanced(0.1), pale, pale)
    assert burnt is not None
    assert bleached is not None
    assert burnt > 1.4
    assert bleached < 0.5


def test_pictures_without_colour_are_no_division_by_nothing() -> None:
    grey = [picture.convert("L").convert("RGB") for picture in PICTURES]
    assert drift(grey, grey, grey) == 1.0
    assert drift([], [], grey) is None
