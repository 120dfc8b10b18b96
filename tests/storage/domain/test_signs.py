"""Warning signs: the numbers of sound trainings give none, those of spoilt ones the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.signs import Sign, SignKind, signs
from storage.domain.training_log import Entry
from storage.words_signs import SIGN_WORDS, sign_sentence

# Measured on the pocket, 2026-11-21: /EXPERIMENTS.md, "Warning signs".
STEPS = (40, 64, 96, 128, 160)
SOUND = {
    "object": (
        (0.971, 0.952, 0.935, 0.926, 0.876, 0.895, 0.858, 0.839, 0.845, 0.854, 0.827, 0.8, 0.806, 0.814, 0.814, 0.778),
        ((0.897, 0.285, 0.878, 2.11), (0.863, 0.379, 0.789, 2.13), (0.832, 0.479, 0.796, 1.97), (0.807, 0.572, 0.754, 2.04)),
    ),
    "person": (
        (0.965, 0.922, 0.893, 0.853, 0.836, 0.814, 0.801, 0.777, 0.758, 0.758, 0.749, 0.738, 0.718, 0.715, 0.712, 0.699),
        ((0.847, 0.1, 1.253, 1.25), (0.801, 0.23, 1.31, 1.21), (0.757, 0.355, 1.361, 1.71), (0.73, 0.489, 1.341, 1.88),
         (0.71, 0.558, 1.33, 1.5)),
    ),
    "style": (
        (),
        ((0.68, 0.454, 0.919, 0.98), (0.644, 0.523, 0.821, 0.92), (0.619, 0.636, 0.844, 1.01), (0.593, 0.781, 0.762, 1.36),
         (0.58, 0.893, 0.778, 1.45)),
    ),
}  # fmt: skip
HOT = (0.989, 0.986, 0.927, 0.949, 0.966, 1.003, 1.098, 1.235, 1.385)
"""Ten times the recipe's rate, until it broke at step 95."""


def plan(subject: str = "object") -> Plan:
    return plan_for(
        base="pocket",
        subject_type=SubjectType(subject),
        class_word="toy",
        trigger="zorvex",
        seed=5,
        pictures=[PictureOf(id=f"p{i}", dhash=i) for i in range(8)],
    )


def log(ratios: Sequence[float]) -> list[Entry]:
    return [
        Entry(step=10 * k, loss=0.4, loss_ratio=ratio, learning_rate=5e-4, steps_per_s=2.0, memory_mib=600)
        for k, ratio in enumerate(ratios, 1)
    ]


def measured(*rows: tuple[float | None, ...]) -> list[tuple[int, Measurement]]:
    return [
        (step, Measurement(
            validation_ratio=None, training_ratio=training, likeness=0.9, adherence=1.0, variety=1.0, leakage=leak,
            memorisation=0.2, utility=0.8, utilities=(0.8,), flags=(), seconds=1.0, sharpness=sharp, seed_variety=seeds,
        ))
        for step, (training, leak, sharp, seeds) in zip(STEPS, rows, strict=False)
    ]  # fmt: skip


def kinds(found: Sequence[Sign]) -> list[tuple[SignKind, int]]:
    return [(sign.kind, sign.step) for sign in found]


@pytest.mark.parametrize("subject", sorted(SOUND))
def test_sound_trainings_of_the_pocket_show_no_sign(subject: str) -> None:
    ratios, rows = SOUND[subject]
    assert signs(plan(subject), log(ratios), measured(*rows)) == ()


def test_a_rate_ten_times_too_high_jumps_before_the_training_breaks() -> None:
    assert kinds(signs(plan(), log(HOT), [])) == [(SignKind.JUMPING, 90)]
    assert signs(plan(), log(HOT[:6]), []) == ()


def test_a_single_hard_step_is_no_jump() -> None:
    assert signs(plan(), log((1.0, 0.9, 0.85, 0.85, 1.3, 0.85, 0.85)), []) == ()


def test_a_loss_that_stays_is_told_after_a_third_of_the_steps() -> None:
    still = (0.999, 0.1, 1.0, 1.0)
    assert signs(plan(), [], measured(still)) == ()
    assert kinds(signs(plan(), [], measured(still, still, still))) == [(SignKind.STUCK, 64)]
    assert signs(plan(), [], measured(still, (0.98, 0.1, 1.0, 1.0))) == ()


def test_blur_and_seeds_without_effect_are_told_once() -> None:
    found = signs(plan(), [], measured((0.9, 0.1, 0.47, 1.0), (0.9, 0.1, 0.3, 0.2), (0.9, 0.1, 0.3, 0.1)))
    assert kinds(found) == [(SignKind.BLUR, 40), (SignKind.ALIKE, 64)]
    assert [sign.value for sign in found] == [0.47, 0.2]


def test_spill_is_told_where_it_is_much_and_rises_and_styles_may_have_more() -> None:
    rising = measured((0.9, 0.5, 1.0, 1.0), (0.9, 0.65, 1.0, 1.0), (0.9, 0.8, 1.0, 1.0))
    assert kinds(signs(plan(), [], rising)) == [(SignKind.EVERYWHERE, 96)]
    assert signs(plan("style"), [], rising) == ()
    level = measured((0.9, 0.66, 1.0, 1.0), (0.9, 0.67, 1.0, 1.0), (0.9, 0.68, 1.0, 1.0))
    assert signs(plan(), [], level) == ()


def test_what_was_not_measured_is_no_sign() -> None:
    assert signs(plan(), [], measured(*[(None, None, None, None)] * 5)) == ()
    assert signs(replace(plan(), steps=1000), [], measured((1.2, 0.1, 1.0, 1.0))) == ()


@pytest.mark.parametrize("kind", SignKind)
def test_every_sign_says_what_to_do_in_plain_words(kind: SignKind) -> None:
    said = sign_sentence(Sign(kind=kind, step=40, value=0.123))
    assert said.startswith(("Step 40: it", "Step 40: what"))
    assert "12 %" in said
    assert len(SIGN_WORDS[kind].english.split(".")) >= 2
