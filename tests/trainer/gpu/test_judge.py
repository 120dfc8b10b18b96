"""What the judge's numbers mean, on embeddings and losses whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn.functional import normalize

from storage.domain.measurement import Flag, Measurement, ScaleChoice
from storage.domain.plan import Validation
from storage.words import measurement_line
from tests.builders import drawn_pictures, tiny_plan
from trainer.events import Checkpointed, Finished
from trainer.gpu import judge, preview
from trainer.gpu.judge import _utilities, losses, sharpness
from trainer.gpu.judge.costs import Costs
from trainer.gpu.judge.flags import flags
from trainer.gpu.judge.sight import (
    Drawn,
    Looked,
    References,
    Seen,
    adherence,
    leakage,
    likeness,
    memorisation,
    seed_varieties,
    seen,
    toward,
    variety,
)
from trainer.gpu.judge.strata import STRATA

Job = Callable[..., Path]


def at(*numbers: float) -> Tensor:
    return normalize(torch.tensor(numbers, dtype=torch.float32), dim=-1)


def clip(drawn: Drawn) -> Looked:
    return {cell: {"clip": embedding} for cell, embedding in drawn.items()}


SUBJECT = torch.stack([at(1, 0.1, 0), at(1, -0.1, 0), at(1, 0, 0.1)])


def test_the_subject_itself_is_alike_and_something_else_is_not() -> None:
    base = at(1, 1, 1).expand(3, -1)
    way = toward(base, SUBJECT)
    assert likeness(SUBJECT, base, way) == pytest.approx(1.0, abs=0.02)
    assert likeness(base, base, way) == 0.0
    assert likeness(at(-1, 2, 2).expand(3, -1), base, way) == 0.0
    halfway = likeness(at(1, 0.4, 0.4).expand(3, -1), base, way)
    assert 0.3 < halfway < 0.9


def test_the_place_of_a_training_picture_without_its_subject_is_no_likeness() -> None:
    """The subject's look, the class's look, then places, which weigh more than looks, as they do for the eye."""

    def drawn(look: tuple[float, float], places: list[int]) -> Tensor:
        return torch.stack([at(*look, *(1.5 if here == place else 0.0 for here in range(8))) for place in places])

    training, base = drawn((1, 0), [*range(8)]), drawn((0, 1), [0, 0, 1, 1, 2, 2, 3, 3])
    way = toward(base, training)
    assert likeness(drawn((0, 1), [4, 4, 5, 5, 6, 6, 7, 7]), base, way) < 0.3
    assert likeness(drawn((0.5, 0.5), [0, 0, 1, 1, 2, 2, 3, 3]), base, way) == pytest.approx(0.5, abs=0.1)
    assert likeness(drawn((1, 0), [0, 0, 1, 1, 2, 2, 3, 3]), base, way) == pytest.approx(1.0, abs=0.1)


def test_adherence_is_one_for_the_base_itself_and_less_for_what_forgot_the_prompt() -> None:
    base, text = torch.stack([at(1, 1, 0), at(1, 1.2, 0)]), at(0, 1, 0)
    nothing, elsewhere = torch.zeros(0, 3), at(1, 0, 0)[None]
    assert adherence(base, base, text, nothing) == pytest.approx(1.0)
    assert adherence(at(1, 0.1, 0)[None], base, text, nothing) < 0.3
    assert adherence(at(0.1, 1, 0)[None], base, text, elsewhere) > adherence(at(1, 1, 0)[None], base, text, elsewhere)


def test_a_subject_unlike_its_class_adheres_as_long_as_it_is_where_the_prompt_says() -> None:
    grass, snow = at(1, 1, 0, 0), at(1, 0, 1, 0)  # first the class, then two places, last the subject's own look
    base, odd = at(1, 1, 0, 0)[None], at(0, 1, 0, 1)[None]
    assert adherence(odd, base, grass, snow[None]) > 0.9
    assert adherence(odd, base, snow, grass[None]) == 0.0


def test_one_picture_over_and_over_has_no_variety() -> None:
    base = torch.stack([at(1, 0, 0), at(0, 1, 0), at(0, 0, 1)])
    assert variety(base, base) == pytest.approx(1.0)
    assert variety(base[:1].expand(3, -1), base) == pytest.approx(0.0, abs=1e-6)


def test_a_copy_is_worth_no_more_than_a_new_picture_of_the_subject() -> None:
    base = at(1, 1, 1).expand(3, -1)
    way = toward(base, SUBJECT)
    new = torch.stack([at(1, 0.08, -0.04), at(1, -0.05, 0.09), at(1, 0.02, 0.03)])
    assert max(likeness(picture.expand(3, -1), base, way) for picture in SUBJECT) <= 1.0
    assert likeness(new, base, way) == pytest.approx(likeness(SUBJECT, base, way), abs=0.03)


def test_leakage_is_nothing_for_an_untouched_base_and_one_for_a_change_as_large_as_another_seed() -> None:
    base = {(0, 1): at(1, 0, 0), (0, 2): at(0, 1, 0)}
    swapped = {(0, 1): at(0, 1, 0), (0, 2): at(1, 0, 0)}
    assert leakage(base, base, [0]) == pytest.approx(0.0, abs=1e-6)
    assert leakage(swapped, base, [0]) == pytest.approx(1.0, abs=1e-6)


def test_a_copy_of_a_training_picture_is_memorised_and_a_new_view_is_not() -> None:
    assert memorisation(SUBJECT[:1], SUBJECT) > 1.0
    assert memorisation(at(1, 0.5, 0.5)[None], SUBJECT) < 1.0


def test_utilities_come_one_a_triggered_prompt_in_the_plans_order() -> None:
    plan = tiny_plan()
    base = clip({(0, 1): at(0, 1, 0), (0, 2): at(0, 1, 0.4), (1, 3): at(0, 0, 1), (1, 4): at(0, 0.5, 1)})
    references = References(training={"clip": SUBJECT}, base=base, plain_RD=torch.stack([at(0.5, 1, 0), at(0, 0, 1)]))
    learned = {**base, **clip({(0, 1): at(1, 0.8, 0), (0, 2): at(1, 0.8, 0.3)})}
    better, worse = seen(plan, learned, references), seen(plan, base, references)
    assert len(better.utilities) == 1
    assert better.utilities[0] > worse.utilities[0]


def test_a_clear_rise_far_past_the_lowest_is_a_veto_and_chance_or_a_rise_soon_after_is_not() -> None:
    low = [0.8, 0.9, 0.7, 0.85] * 4
    high = [x + 0.1 + 0.01 * (i % 3) for i, x in enumerate(low)]
    assert losses.overfits(high, 101, {20: [1.0] * 16, 50: low})
    assert not losses.overfits(high, 100, {20: [1.0] * 16, 50: low})
    noisy = [x + (0.3 if i % 2 else -0.28) for i, x in enumerate(low)]
    assert not losses.overfits(noisy, 200, {50: low})
    assert not losses.overfits(low, 200, {})
    assert not losses.overfits([], 200, {50: low})


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([Image.new("RGB", (8, 8))] * 4, {Flag.BLACK, Flag.COLLAPSED}),
        ([Image.new("RGB", (8, 8), "white")] * 4, {Flag.COLLAPSED}),
        ([drawn_pictures(1)[0]] * 4, {Flag.COLLAPSED}),
        (drawn_pictures(4), set()),
    ],
)
def test_broken_pictures_are_flagged_and_sound_ones_are_not(pictures: list[Image.Image], expected: set[Flag]) -> None:
    assert set(flags(pictures, finite=True, seen=None, overfits=False)) == expected


def test_losses_that_are_no_numbers_and_risen_ones_are_flagged() -> None:
    found = flags(drawn_pictures(4), finite=False, seen=None, overfits=True)
    assert set(found) == {Flag.NAN, Flag.VALIDATION_VETO}


def test_the_same_weights_are_measured_alike_and_the_base_against_itself_is_one(desk: Any, job: Job, one: Any) -> None:
    """The same order judged twice gives the same numbers, from the files that it left."""
    folder = job()
    told = one(desk.train(folder, 2), Checkpointed)
    bench = desk.child._bench
    stick = replace(bench.stick, untold=Costs({"base": 5.0}))
    drawn = {(p.row, p.seed): preview.opened(folder / p.file) for p in told.previews if not p.base}
    bench.base.wear(folder / told.lora)
    twice = judge.measure(bench.base, stick, bench.words, drawn, step=2, earlier={1: ()})
    assert not any(module.training for module in bench.base.denoiser.modules()), (
        "nothing is left out while it is judged"
    )
    bench.base.wear(None)
    first = Measurement.from_json(told.measurement)
    assert twice.measurement.numbers() == first.numbers()
    assert len(first.gaps) == STRATA
    assert first.validation_ratio is not None
    assert first.training_ratio is not None
    assert sum(first.gaps) / STRATA == pytest.approx(first.validation_ratio - first.training_ratio, abs=1e-4)
    assert first.saturation is not None
    assert first.costs["drawing"] > 0
    assert twice.measurement.costs["base"] == 5.0, "what the base cost a process that goes on is told too"
    assert bench.stick.untold.all == stick.untold.all == {}, "and never twice"
    assert first.measuring_s == pytest.approx(sum(first.costs.values()) - first.costs["drawing"])
    again = losses.draws(bench.base, stick.held_out, bench.task.plan, bench.words, most=3)
    assert losses.ratio(again, stick.base_held_out_N82) == pytest.approx(1.0, abs=1e-5)
    assert stick.base_held_out_N82.shape == (1, STRATA, 2)


def test_training_and_judging_never_share_a_picture(desk: Any, job: Job) -> None:
    desk.train(job(), 2)
    bench = desk.child._bench
    held = {p.picture.id for p in bench.stick.held_out}
    assert held == set(bench.task.plan.held_out)
    assert not held & {p.picture.id for p in bench.training}


def test_without_an_eye_only_losses_are_told_and_the_scale_comes_from_them(
    desk: Any, job: Job, one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = job(plan=replace(tiny_plan(6, 8), learning_rate=1e-2, rank=8))
    desk.train(folder, 8)
    loaded = desk.child._loaded
    desk.forget()
    desk.child._loaded = replace(loaded, seeing=None)
    measured = Measurement.from_json(one(desk.train(folder, 8), Checkpointed).measurement)
    assert measured.validation_ratio is not None
    assert measured.likeness is measured.adherence is measured.leakage is None
    assert measurement_line(measured).startswith("Only its error was measured, next to the base model's: ")
    assert len(measured.utilities) == STRATA
    choice = ScaleChoice.from_json(one(desk.finish(folder, 8), Finished).scale)
    assert choice.reported is None
    assert len(choice.points) == desk.child._bench.task.plan.scales
    assert len({point.scale for point in choice.points}) == len(choice.points)
    desk.child._loaded = loaded


def test_a_full_voice_lowers_the_worth_of_a_checkpoint_past_the_lowest_loss() -> None:
    look = Seen(
        likeness=0.5, adherence=0.5, variety=1.0, leakage=0.0, memorisation=0.5, nearest=0.5, utilities=(0.4, 0.6)
    )
    full, veto = (replace(tiny_plan(), validation=validation) for validation in (Validation.FULL, Validation.VETO))
    now, lower, higher = (0.9,) * 16, {1: (0.6,) * 16}, {1: (1.0,) * 16}
    assert _utilities(full, look, now, now, lower) == pytest.approx((0.4 * 0.6 / 0.9, 0.6 * 0.6 / 0.9))
    assert _utilities(full, look, now, now, higher) == look.utilities
    assert _utilities(veto, look, now, now, lower) == look.utilities


def test_without_an_eye_one_held_out_picture_only_vetoes_and_training_pictures_compare() -> None:
    full, veto = (replace(tiny_plan(), validation=validation) for validation in (Validation.FULL, Validation.VETO))
    held_out, training = (0.9,) * 16, (0.7,) * 16
    assert _utilities(veto, None, held_out, training, {}) == pytest.approx((0.3,) * STRATA)
    assert _utilities(full, None, held_out, training, {}) == pytest.approx((0.1,) * STRATA)


def test_a_loss_that_is_no_number_compares_with_nothing_and_spoils_no_later_one() -> None:
    full, nan = replace(tiny_plan(), validation=Validation.FULL), (float("nan"),) * 16
    look = Seen(likeness=1, adherence=1, variety=1, leakage=0, memorisation=0, nearest=0, utilities=(0.5, 0.5))
    assert _utilities(full, look, nan, nan, {}) == ()
    assert _utilities(full, look, (0.9,) * 16, (0.9,) * 16, {1: nan}) == look.utilities
    assert not losses.overfits([1.0] * 16, 200, {50: nan})


def sharper(*panels: Any) -> float | None:
    return sharpness.relative(sharpness.drifts(*panels))


def test_a_blurred_picture_is_less_sharp_than_base_and_training_pictures_whatever_its_contrast() -> None:
    sharp = {(0, seed): picture for seed, picture in enumerate(drawn_pictures(4))}
    soft = {cell: picture.filter(ImageFilter.GaussianBlur(1.0)) for cell, picture in sharp.items()}
    dim = {cell: picture.point(lambda value: value // 2) for cell, picture in sharp.items()}
    assert sharper(sharp, sharp, []) == pytest.approx(1.0)
    blurred = sharper(soft, sharp, drawn_pictures(4))
    assert blurred is not None
    assert blurred < 0.3
    assert sharper(dim, sharp, []) == pytest.approx(1.0, abs=0.1)
    assert sharper(soft, sharp, [*soft.values()]) == pytest.approx(1.0, abs=0.2), "soft pictures teach softness"
    assert sharper({}, sharp, []) is None
    flat = {(0, 0): Image.new("RGB", (64, 64), (9, 9, 9))}
    assert sharper(flat, flat, []) is None


def test_seeds_without_effect_show_as_no_variety_between_seeds() -> None:
    base = {(0, 1): at(1, 0, 0), (0, 2): at(0, 1, 0), (1, 1): at(0, 0, 1), (1, 2): at(1, 1, 0)}
    same = {(row, seed): at(1, 0, 0) if row == 0 else at(0, 0, 1) for row, seed in base}
    assert seed_varieties(same, base, [0, 1]) == pytest.approx([0.0, 0.0], abs=1e-6)
    assert variety(torch.stack([*same.values()]), torch.stack([*base.values()])) > 0.5, "prompts differ all the same"
    assert seed_varieties(base, base, [0, 1]) == pytest.approx([1.0, 1.0])
    assert seed_varieties({(0, 1): at(1, 0, 0)}, base, [0]) == []
