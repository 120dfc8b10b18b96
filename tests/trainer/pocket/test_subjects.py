"""Subjects for tests: drawn from parts that pretraining never uses, and told apart by eye."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest

from trainer.pocket import people, scenes, subjects
from trainer.pocket.pen import PATTERNS as ALL_PATTERNS
from trainer.pocket.styles import HELD_OUT_STYLES
from trainer.pocket.subjects import Kind, test_subject
from trainer.pocket.vocabulary import CLASSES, PATTERNS, STYLES

KINDS = get_args(Kind)


def test_forms_crests_patterns_styles_and_hair_are_disjoint_from_pretraining() -> None:
    assert not set(subjects.TEST_FORMS) & set(scenes.PRETRAINING_FORMS)
    assert not set(subjects.TEST_CRESTS) & set(scenes.PRETRAINING_CRESTS)
    assert not set(subjects.TEST_PATTERNS) & set(PATTERNS)
    assert not set(HELD_OUT_STYLES) & set(STYLES)
    assert not set(subjects.TEST_HAIRSTYLES) & {"short", "long", "bun"}
    assert not set(subjects.TEST_COLOURS) & set(people.HAIRS)


def test_no_colour_of_a_subject_is_within_reach_of_a_pretraining_colour() -> None:
    for colour in subjects.TEST_COLOURS:
        nearest = min(max(abs(a - b) for a, b in zip(colour, known, strict=True)) for known in scenes.PALETTE.values())
        assert nearest > 9, colour  # pretraining varies each channel by 9


def test_pretraining_scenes_paint_with_known_patterns_and_styles_only() -> None:
    plans = [scenes.plan_scene(5, index, 1.0) for index in range(3000)]
    assert (
        {thing.pattern for plan in plans for thing in plan.things}
        <= {"plain", *PATTERNS}
        < set(ALL_PATTERNS) | {"plain"}
    )
    assert {plan.style for plan in plans} <= {None, *STYLES}


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_subjects_of_a_kind_have_sixty_descriptions(kind: Kind) -> None:
    assert len({test_subject(kind, index).details for index in range(60)}) == 60


@pytest.mark.parametrize("kind", ["person", "object", "character"])
def test_any_two_of_sixty_subjects_differ_in_two_traits(kind: Kind) -> None:
    traits = [test_subject(kind, index).details[1:] for index in range(60)]
    for first, second in combinations(traits, 2):
        assert sum(a != b for a, b in zip(first, second, strict=True)) >= 2


def test_twenty_toys_in_one_pose_look_different() -> None:
    pictures = [np.asarray(test_subject("object", n).render("room", 3, spread=0.0), dtype=float) for n in range(20)]
    for first, second in combinations(pictures, 2):
        assert np.abs(first - second).mean() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_is_drawn_again_from_its_numbers_and_moves_with_the_pose(kind: Kind) -> None:
    subject = test_subject(kind, 4)
    first = subject.render("grass", 1)
    assert first.tobytes() == test_subject(kind, 4).render("grass", 1).tobytes()
    assert first.tobytes() != subject.render("grass", 2).tobytes()
    assert first.size == (64, 64)
    assert subject.class_word in {*CLASSES, "style"}


def test_a_picture_for_upload_is_drawn_at_the_size_asked() -> None:
    assert test_subject("object", 0).render("night", 0, px=256).size == (256, 256)
    assert len(test_subject("object", 0).pictures(9, px=64)) == 9
