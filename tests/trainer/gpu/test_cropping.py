"""No crop cuts a face that it could leave whole, and none moves further than it must."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainer.gpu.cropping import MARGIN, USUAL, Face, centering, portrait, within
from trainer.gpu.pictures import nearest, shapes

few = settings(max_examples=60, deadline=None)
SIDES = st.integers(64, 4000)
BUCKETS = shapes(1024, 64)


@st.composite
def faced(draw: st.DrawFn) -> tuple[tuple[int, int], Face]:
    """A picture's (width, height) and a face somewhere in it."""
    size = draw(SIDES), draw(SIDES)
    left, top = draw(st.floats(0, 0.95)), draw(st.floats(0, 0.95))
    wide, high = draw(st.floats(0.01, 1.0)), draw(st.floats(0.01, 1.0))
    return size, Face(left=left, top=top, right=min(1.0, left + wide), bottom=min(1.0, top + high))


def window(size: tuple[int, int], shape: tuple[int, int], face: Face | None) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is kept, in shares of the picture, as Pillow's `fit` cuts it."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    wide, high = shape[0] * scale / size[0], shape[1] * scale / size[1]
    across, down = centering(size, shape, face)
    assert 0.0 <= across <= 1.0
    assert 0.0 <= down <= 1.0
    left, top = (1.0 - wide) * across, (1.0 - high) * down
    return left, top, left + wide, top + high


def bucket(size: tuple[int, int]) -> tuple[int, int]:
    shape = nearest(BUCKETS, *size)
    return shape.width, shape.height


def test_without_a_face_every_picture_is_cut_as_it_always_was() -> None:
    assert centering((3000, 1000), (1408, 704), None) == USUAL == (0.5, 0.4)


@few
@given(faced())
def test_a_face_that_fits_is_whole_and_one_that_does_not_loses_alike_on_both_sides(
    given_: tuple[tuple[int, int], Face],
) -> None:
    size, face = given_
    kept = window(size, bucket(size), face)
    for low, high, begin, end in ((kept[0], kept[2], face.left, face.right), (kept[1], kept[3], face.top, face.bottom)):
        if end - begin <= high - low:
            assert low <= begin + 1e-6
            assert end <= high + 1e-6
        else:
            lost = low - begin, end - high
            at_an_edge = low < 1e-6 or high > 1 - 1e-6
            assert at_an_edge or abs(lost[0] - lost[1]) < 1e-6


@few
@given(faced())
def test_it_keeps_its_margin_where_there_is_room(given_: tuple[tuple[int, int], Face]) -> None:
    size, face = given_
    low, top, high, bottom = window(size, bucket(size), face)
    for start, stop, begin, end in ((low, high, face.left, face.right), (top, bottom, face.top, face.bottom)):
        margin = MARGIN * (end - begin)
        assume(min(1.0, end + margin) - max(0.0, begin - margin) <= stop - start)
        assert start <= max(0.0, begin - margin) + 1e-6
        assert stop >= min(1.0, end + margin) - 1e-6


@few
@given(st.tuples(SIDES, SIDES), st.tuples(*[st.floats(0.0, 1.0)] * 4))
def test_a_crop_that_is_right_already_does_not_move(
    size: tuple[int, int], drawn: tuple[float, float, float, float]
) -> None:
    left, top, wide, high = drawn
    kept = window(size, bucket(size), None)
    span = (kept[2] - kept[0]) / (1 + 2 * MARGIN), (kept[3] - kept[1]) / (1 + 2 * MARGIN)
    wide, high = span[0] * (0.01 + 0.98 * wide), span[1] * (0.01 + 0.98 * high)
    left = kept[0] + MARGIN * wide + (kept[2] - kept[0] - (1 + 2 * MARGIN) * wide) * (0.001 + 0.998 * left)
    top = kept[1] + MARGIN * high + (kept[3] - kept[1] - (1 + 2 * MARGIN) * high) * (0.001 + 0.998 * top)
    face = Face(left=left, top=top, right=left + wide, bottom=top + high)
    assert centering(size, bucket(size), face) == USUAL


def test_the_window_slides_no_further_than_to_the_margin() -> None:
    high_up = Face(left=0.4, top=0.02, right=0.6, bottom=0.12)
    assert centering((100, 400), (100, 200), high_up) == (0.5, 0.0)
    low_down = Face(left=0.4, top=0.8, right=0.6, bottom=0.9)
    across, down = centering((100, 400), (100, 200), low_down)
    assert across == 0.5
    assert abs(down * 0.5 + 0.5 - 0.93) < 1e-9, "the margin of 0.3 faces is kept, and no more"


@few
@given(faced())
def test_a_mirrored_face_gets_the_mirrored_crop(given_: tuple[tuple[int, int], Face]) -> None:
    size, face = given_
    across, down = centering(size, bucket(size), face)
    mirrored = centering(size, bucket(size), face.mirrored())
    assert abs(mirrored[0] - (1.0 - across)) < 1e-6
    assert mirrored[1] == down


@few
@given(faced(), st.integers(64, 1024))
def test_a_portrait_is_around_the_face_and_never_asks_for_more_than_there_is(
    given_: tuple[tuple[int, int], Face], least: int
) -> None:
    size, face = given_
    box = left, top, right, bottom = portrait(size, face, least)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert right - left >= min(size[0], least)
    assert bottom - top >= min(size[1], least)
    assert left <= face.left * size[0] + 1
    assert right >= face.right * size[0] - 1
    assert top <= face.top * size[1] + 1
    assert bottom >= face.bottom * size[1] - 1
    inside = within(face, size, box)
    assert abs((inside.right - inside.left) * (right - left) - (face.right - face.left) * size[0]) < 2


def test_a_portrait_of_a_small_face_in_a_large_picture_shows_head_and_shoulders() -> None:
    face = Face(left=0.45, top=0.1, right=0.55, bottom=0.2)
    left, top, right, bottom = portrait((2000, 3000), face, 512)
    assert (right - left, bottom - top) == (900, 900)
    assert abs((left + right) / 2 - 1000) <= 1
    assert top == 450 - 360, "the face lies a little above the middle"
