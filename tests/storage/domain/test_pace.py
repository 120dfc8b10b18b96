"""The first guess of a turn's seconds: near what was measured, and in proportion to what the plan asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.domain.budget import drawn
from storage.domain.orders import SubjectType
from storage.domain.pace import PACES, drawing_s, learning_s, training_s, turn_s
from storage.domain.plan import Plan, shortened
from storage.domain.recipes import PictureOf, plan_for


def plan(base: str = "pocket", pictures: int = 8) -> Plan:
    return plan_for(
        base=base,
        subject_type=SubjectType.CHARACTER,
        class_word="cat",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(pictures)],
    )


def test_the_pocket_is_near_what_was_measured_on_two_hyperthreads() -> None:
    measured = shortened(plan(), 200)
    assert training_s(measured) == pytest.approx(125, rel=0.1)
    assert training_s(measured) + turn_s(measured, "sweep") == pytest.approx(155, rel=0.1)


def test_the_bases_panel_and_the_strip_are_in_the_guess() -> None:
    known = plan()
    panel, marks = drawn(known).base, known.checkpoint_steps
    whole = turn_s(known, "train") * len(marks) + turn_s(known, "sweep")
    other = (len(marks) + 1) * PACES["pocket"].checkpoint_s
    assert whole == pytest.approx(learning_s(known, known.steps) + drawing_s(known, drawn(known).whole) + other)
    last = training_s(known) - training_s(known, marks[-2])
    assert last == pytest.approx(learning_s(known, marks[-1] - marks[-2]) + drawing_s(known, panel) + 1.0)


def test_a_step_of_sdxl_takes_what_others_measured_on_an_rtx_3090() -> None:
    sdxl = plan("sdxl")
    more = replace(sdxl, steps=sdxl.steps + len(sdxl.checkpoint_steps))
    assert turn_s(more, "train") - turn_s(sdxl, "train") == pytest.approx(1.12, rel=0.1)


@pytest.mark.parametrize("base", PACES)
def test_real_bases_take_minutes_to_hours_and_never_seconds_or_days(base: str) -> None:
    known = replace(plan("sdxl"), base=base, resolution=PACES[base].px)
    assert 30 < training_s(known) < 24 * 3600
    assert 10 < turn_s(known, "sweep") < 6 * 3600


def test_twice_the_views_twice_the_training_and_a_quarter_of_the_area_a_quarter() -> None:
    sdxl = plan("sdxl")
    idle = turn_s(replace(sdxl, steps=0), "train")
    once = turn_s(sdxl, "train") - idle
    for twice in ({"steps": 2 * sdxl.steps}, {"batch_size": 2 * sdxl.batch_size}, {"accumulation": 2}):
        assert turn_s(replace(sdxl, **twice), "train") - idle == pytest.approx(2 * once)
    fixed = PACES["sdxl"].checkpoint_s
    assert turn_s(replace(sdxl, resolution=512), "train") - fixed == pytest.approx((idle + once - fixed) / 4)


def test_without_guidance_a_preview_costs_half() -> None:
    sdxl, decoded = plan("sdxl"), 2.5 * 4 / 13
    once, twice = (drawing_s(replace(sdxl, guidance=guidance), 1) - decoded for guidance in (1.0, 6.0))
    assert once == pytest.approx(twice / 2)
    assert twice == pytest.approx(2 * sdxl.preview_steps * 6.76 / 13)


def test_a_base_that_nobody_described_counts_as_sdxl() -> None:
    assert turn_s(replace(plan("sdxl"), base="mystery"), "train") == turn_s(plan("sdxl"), "train")
