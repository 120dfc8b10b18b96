"""At which strength: which scales are tried, the top and the band of the curve, and how sure it is said to be."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.domain.choice import NothingToChoose
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.domain.scale import (
    BAND_SHARE,
    LEAST,
    MOST,
    choose_scale,
    divided,
    first_scales,
    next_scales,
    smooth_curve,
)

SEVEN = (0.25, 0.5, 0.625, 0.75, 0.875, 1.0, 1.25)


def point(scale: float, *utilities: float) -> ScalePoint:
    mean = math.fsum(utilities) / len(utilities)
    return ScalePoint(scale=scale, likeness=0, adherence=0, leakage=0, utility=mean, utilities=utilities)


def curve(top: float, scales: tuple[float, ...] = SEVEN, *, height: float = 0.8) -> list[ScalePoint]:
    return [point(s, height - (s - top) ** 2) for s in scales]


@pytest.mark.parametrize("top", [0.3, 0.5, 0.65, 0.8, 1.0, 1.15])
def test_the_top_of_a_clear_curve_is_found_between_the_points(top: float) -> None:
    assert choose_scale(curve(top)).recommended == pytest.approx(top)


def test_the_band_is_where_utility_stays_within_five_percent_of_its_best() -> None:
    choice = choose_scale(curve(0.8))
    reach = math.sqrt((1 - BAND_SHARE) * 0.8)
    assert choice.low == pytest.approx(0.8 - reach, abs=0.05)
    assert choice.high == pytest.approx(0.8 + reach, abs=0.05)


def test_the_foot_of_the_curve_where_a_lora_does_nothing_yet_does_not_move_its_top() -> None:
    """One parabola through all of these has its top at 0.9: the flat foot pulls it."""
    footed = [replace(p, utility=max(p.utility, 0.1)) for p in curve(0.75, height=0.35)]
    assert choose_scale(footed).recommended == pytest.approx(0.75, abs=0.051)


@pytest.mark.parametrize(("utilities", "best"), [((0.1, 0.2, 0.4, 0.7, 0.9), 1.25), ((0.9, 0.7, 0.4, 0.2, 0.1), 0.25)])
def test_where_the_curve_rises_to_its_end_the_end_is_taken(utilities: tuple[float, ...], best: float) -> None:
    points = [point(s, u) for s, u in zip((0.25, 0.5, 0.75, 1.0, 1.25), utilities, strict=True)]
    assert choose_scale(points).recommended == pytest.approx(best)


def test_the_first_scales_are_a_factor_apart_and_two_more_lie_beside_the_best_of_them() -> None:
    assert first_scales(4) == (0.3, 0.48, 0.76, 1.2)
    assert first_scales(3) == (LEAST, 0.6, MOST)
    assert [divided(count) for count in (2, 3, 4, 5, 6, 9)] == [2, 3, 3, 3, 4, 7]
    with pytest.raises(ValueError, match="compares with nothing"):
        first_scales(1)


@pytest.mark.parametrize(
    ("top", "more"), [(0.48, (0.39, 0.62)), (0.7, (0.62, 0.98)), (0.2, (0.21, 0.39)), (1.3, (0.98, 1.42))]
)
def test_more_scales_are_tried_in_the_gaps_beside_the_best_and_beyond_an_end(
    top: float, more: tuple[float, float]
) -> None:
    assert next_scales(curve(top, first_scales(4))) == more


def test_the_least_scale_halves_where_the_gap_is_as_wide_as_itself() -> None:
    assert next_scales(curve(0.1, (0.2, 0.9))) == (0.1, 0.55)


def test_a_single_scale_more_is_on_the_side_of_the_top_or_beyond_an_end() -> None:
    scales = first_scales(3)
    for top in (0.1, 0.5, 0.7, 1.5):
        lower, upper = next_scales(curve(top, scales))
        assert next_scales(curve(top, scales), 1) == ((upper if top > 0.65 else lower),), top
    assert next_scales(curve(0.7, scales), 0) == ()


def test_nothing_more_is_tried_where_the_scale_changes_nothing() -> None:
    assert next_scales([point(s, 0.5) for s in first_scales()]) == ()
    assert next_scales([point(1.0, 0.5)]) == ()


@pytest.mark.parametrize("height", [0.0, 0.9])
def test_where_no_scale_is_better_than_another_full_strength_is_advised_as_not_measured(height: float) -> None:
    choice = choose_scale([replace(p, utility=height + p.scale / 1000) for p in curve(0.8)])
    assert (choice.recommended, choice.measured, choice.between) == (1.0, False, None)
    assert choose_scale(curve(0.8)).measured


def test_prompts_that_agree_make_it_sure_and_prompts_that_do_not_make_it_wide() -> None:
    def swept(*tops: float) -> ScaleChoice:
        return choose_scale([point(s, *(0.8 - (s - top) ** 2 for top in tops)) for s in SEVEN])

    sure, unsure = swept(0.75, 0.8, 0.8, 0.85), swept(0.4, 0.7, 0.9, 1.2)
    assert sure.recommended == unsure.recommended == pytest.approx(0.8)
    assert sure.half_width is not None
    assert unsure.half_width is not None
    assert sure.half_width <= 0.05
    assert 0.15 <= unsure.half_width <= 0.4
    assert unsure.between is not None
    assert unsure.between[0] <= unsure.recommended <= unsure.between[1]
    assert swept(0.8, 0.8).half_width is None, "two prompts say nothing about a third"


def test_one_point_is_its_own_answer_and_none_is_no_answer() -> None:
    one = choose_scale(curve(0.8, (0.8,)))
    assert (one.recommended, one.low, one.high) == (0.8, 0.8, 0.8)
    with pytest.raises(NothingToChoose):
        choose_scale([])


def test_a_curve_of_two_points_is_a_line_and_of_one_its_height() -> None:
    assert smooth_curve(curve(0.8, (0.8,)))(1.0) == pytest.approx(0.8)
    assert smooth_curve([point(0.5, 0.2), point(1.0, 0.6)])(0.75) == pytest.approx(0.4)


def test_a_choice_comes_back_from_json_and_one_of_before_knows_less() -> None:
    full = replace(choose_scale([point(s, 0.3, s, 0.5) for s in SEVEN]), reported=point(0.8, 0.5, 0.6))
    assert full.between is not None
    assert ScaleChoice.from_json(full.to_json()) == full
    old = '{"high": 1.0, "low": 0.8, "measured": true, "points": [%s], "recommended": 0.9}'
    before = ScaleChoice.from_json(old % '{"adherence": 1, "leakage": 0, "likeness": 1, "scale": 0.9, "utility": 0.5}')
    assert (before.recommended, before.between, before.reported, before.half_width) == (0.9, None, None, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([n / 10 for n in range(2, 15)]), st.floats(0.01, 1)),
        min_size=1,
        max_size=8,
        unique_by=lambda p: p[0],
    )
)
def test_the_recommendation_lies_in_its_band_and_near_the_measured_scales(pairs: list[tuple[float, float]]) -> None:
    choice = choose_scale([point(s, u) for s, u in pairs])
    assert choice.low <= choice.recommended <= choice.high
    scales = [s for s, _ in pairs]
    assert ScaleChoice.from_json(choice.to_json()) == choice
    if not choice.measured:
        return
    assert min(scales) - 0.026 <= choice.low
    assert choice.high <= max(scales) + 0.026
    assert choice.points == tuple(sorted(choice.points, key=lambda p: p.scale))
