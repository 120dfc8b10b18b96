"""Recipes: from two dials to a whole plan, with the numbers that the write-ups give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.domain.bases import BASES
from storage.domain.orders import MAX_PICTURES, MIN_PICTURES, SubjectType
from storage.domain.plan import Plan, Validation, shortened
from storage.domain.recipes import (
    POCKET_BAND,
    PictureOf,
    checkpoint_steps,
    held_out,
    plan_for,
    rates_for,
    recipe_names,
    steps_for,
    validation_for,
)

subject_types = st.sampled_from(SubjectType)
counts = st.integers(MIN_PICTURES, MAX_PICTURES)


def plan(pictures: int, subject_type: SubjectType = SubjectType.OBJECT, base: str = "sdxl", **more: str) -> Plan:
    return plan_for(
        base=base,
        subject_type=subject_type,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n:02}", dhash=n * 1103515245 % 2**64) for n in range(pictures)],
        **more,
    )


@pytest.mark.parametrize(
    ("kind", "rate", "rank"),
    [
        (SubjectType.PERSON, 5e-5, 32),
        (SubjectType.STYLE, 1e-4, 16),
        (SubjectType.OBJECT, 5e-5, 16),
        (SubjectType.CHARACTER, 5e-5, 32),
    ],
)
def test_rates_and_ranks_start_from_the_study(kind: SubjectType, rate: float, rank: int) -> None:
    small = rates_for("house", kind, 8)
    assert (small.learning_rate, small.rank) == (rate, rank)
    assert rates_for("house", kind, 20).learning_rate == 1e-4, "from twenty pictures every type learns faster"
    assert rates_for("house", kind, 19).learning_rate == rate


@pytest.mark.parametrize(
    ("pictures", "least", "most"),
    [(4, 200, 300), (10, 200, 300), (11, 400, 600), (20, 400, 600), (21, 800, 1500), (40, 800, 1500), (60, 2000, 9999)],
)
@pytest.mark.parametrize("kind", list(SubjectType))
def test_house_steps_stay_in_the_band_of_their_count(pictures: int, least: int, most: int, kind: SubjectType) -> None:
    assert least <= steps_for("house", kind, pictures) <= most


def test_four_pictures_count_as_five() -> None:
    for recipe in recipe_names():
        for kind in SubjectType:
            assert steps_for(recipe, kind, 4) == steps_for(recipe, kind, 5)


@given(counts, subject_types)
def test_more_pictures_never_mean_fewer_steps(count: int, kind: SubjectType) -> None:
    for pocket in (False, True):
        assert steps_for("house", kind, count, pocket=pocket) <= steps_for("house", kind, count + 1, pocket=pocket)


def test_rivals_are_kept_under_their_names_and_an_unknown_one_is_an_error() -> None:
    assert steps_for("seeds-35-a-picture", SubjectType.OBJECT, 15) == 525
    assert steps_for("small-set-1250", SubjectType.PERSON, 9) == 1250
    assert steps_for("hundred-a-picture", SubjectType.OBJECT, 50) == 5000
    assert steps_for("flux2-community", SubjectType.STYLE, 10) == 3000
    assert steps_for("flux2-community", SubjectType.CHARACTER, 10) == 8000
    assert rates_for("flux2-community", SubjectType.STYLE, 10).learning_rate == 1.5e-4
    assert rates_for("flux2-community", SubjectType.CHARACTER, 10).learning_rate == 2.5e-5
    with pytest.raises(KeyError):
        steps_for("no such recipe", SubjectType.STYLE, 10)


@pytest.mark.parametrize(
    ("pictures", "kind", "count"),
    [
        (4, Validation.NONE, 0),
        (5, Validation.NONE, 0),
        (6, Validation.VETO, 1),
        (11, Validation.VETO, 1),
        (12, Validation.VETO, 2),
        (19, Validation.VETO, 2),
        (20, Validation.FULL, 2),
        (40, Validation.FULL, 4),
    ],
)
def test_what_is_held_out_and_what_for(pictures: int, kind: Validation, count: int) -> None:
    assert validation_for(pictures) == (kind, count)
    assert len(plan(pictures).held_out) == count


def test_the_most_typical_pictures_are_held_out_never_an_outlier() -> None:
    pictures = [
        PictureOf(id="typical", dhash=0b0),
        PictureOf(id="near1", dhash=0b1),
        PictureOf(id="near2", dhash=0b10),
        PictureOf(id="odd", dhash=0xFFFFFFFF << 32),
    ]
    assert held_out(pictures, 1) == ("typical",)
    assert "odd" not in held_out(pictures, 3)


def test_two_held_out_pictures_stand_for_two_groups_and_not_twice_for_one() -> None:
    day = [PictureOf(id=f"day{n}", dhash=1 << n) for n in range(6)]
    night = [PictureOf(id=f"night{n}", dhash=(2**64 - 1) ^ (1 << n)) for n in range(5)]
    odd = PictureOf(id="odd", dhash=0xFFFF0000FFFF0000)
    first, second = held_out([*day, *night, odd], 2)
    assert (first[:3], second[:3]) == ("day", "nig")


def test_a_picture_with_a_twin_is_trained_on_like_its_twin_unless_all_have_one() -> None:
    places = [PictureOf(id=f"place{n}", dhash=0xFF << 8 * n) for n in range(5)]
    typical, again = PictureOf(id="typical", dhash=0), PictureOf(id="again", dhash=0b11 << 56)
    assert held_out([*places, typical], 1) == ("typical",)
    assert not {"typical", "again"} & {*held_out([*places, typical, again], 2)}
    shots = [PictureOf(id=p.id + "again", dhash=p.dhash ^ 1 << 60) for p in places]
    assert len(held_out([*places, *shots], 1)) == 1, "all have one"


@given(st.integers(4, 3000))
def test_checkpoints_are_at_their_shares_and_the_last_is_the_end(steps: int) -> None:
    marks = checkpoint_steps(steps)
    assert marks == tuple(sorted(set(marks)))
    assert marks[-1] == steps
    assert marks[0] >= 1
    if steps >= 20:
        assert [round(100 * m / steps) for m in marks] == pytest.approx([25, 40, 60, 80, 100], abs=3)


@given(counts, subject_types, st.sampled_from(["pocket", "sdxl"]), st.sampled_from(recipe_names()))
def test_every_plan_is_whole_and_comes_back_from_json(count: int, kind: SubjectType, base: str, recipe: str) -> None:
    made = plan(count, kind, base, recipe=recipe)
    assert Plan.from_json(made.to_json()) == made
    assert plan(count, kind, base, recipe=recipe).to_json() == made.to_json(), "the same dials give the same plan"
    assert made.checkpoint_steps[-1] == made.steps
    assert 1 <= made.warmup_steps < made.steps
    assert set(made.held_out) <= {f"p{n:02}" for n in range(count)}
    assert len(made.held_out) < count - 2
    assert made.recipe == f"{recipe}-1/{base}/{kind.value}"
    assert all("zorvex" in p.text for p in made.prompts if p.with_trigger)
    assert all("zorvex" not in p.plain for p in made.prompts)
    assert all("zorvex" not in p.text for p in made.prompts if not p.with_trigger)
    assert len({s for p in made.prompts for s in p.seeds}) == sum(len(p.seeds) for p in made.prompts)
    assert all("{trigger}" in c for c in made.captions)


@pytest.mark.parametrize("pictures", [6, 19, 20, 40])
def test_steps_are_counted_as_the_study_counts_them_one_picture_each(pictures: int) -> None:
    assert plan(pictures).batch_size == 1
    assert plan(pictures).steps == steps_for("house", SubjectType.OBJECT, pictures)


def test_nobody_is_drawn_on_a_table() -> None:
    for kind in (SubjectType.PERSON, SubjectType.CHARACTER):
        assert not [p.text for p in plan(8, kind).prompts if p.with_trigger and "table" in p.text]
    assert [p.text for p in plan(40, SubjectType.OBJECT).prompts if p.with_trigger and "table" in p.text]


def test_persons_are_never_mirrored() -> None:
    assert not plan(8, SubjectType.PERSON).flip
    assert plan(8, SubjectType.OBJECT).flip


def test_the_pocket_has_its_own_row_and_band() -> None:
    made = plan(8, base="pocket")
    assert POCKET_BAND[0] <= made.steps <= POCKET_BAND[1]
    assert (made.resolution, plan(8).resolution) == (64, 1024)


def test_a_plan_with_an_unknown_or_a_missing_field_is_refused() -> None:
    text = plan(8).to_json()
    with pytest.raises(TypeError):
        Plan.from_json(text.replace('"rank"', '"rang"'))


@given(st.integers(1, 500))
def test_a_shortened_plan_ends_at_its_steps(steps: int) -> None:
    short = shortened(plan(8), steps)
    assert short.checkpoint_steps[-1] == short.steps == steps
    assert list(short.checkpoint_steps) == sorted(set(short.checkpoint_steps))


@pytest.mark.parametrize("base", [name for name, known in BASES.items() if known.flow])
def test_flow_bases_get_their_own_objective_and_never_a_weight_of_diffusion_models(base: str) -> None:
    for kind in SubjectType:
        made = plan(9, kind, base=base)
        assert (made.min_snr_gamma, made.noise_offset, made.timestep_density) == (None, 0.0, "logit-normal")
        assert made.timestep_shift == 1.0, "the family's schedule has its own"
        assert (made.resolution, made.targets) == (1024, "attention+ff")


@pytest.mark.parametrize(
    ("base", "kind", "pictures", "wanted"),
    [
        ("flux2-klein-4b", SubjectType.STYLE, 10, (500, 3e-4, 16)),
        ("flux2-klein-4b", SubjectType.STYLE, 40, (800, 3e-4, 16)),
        ("flux2-klein-4b", SubjectType.PERSON, 8, (800, 2e-4, 32)),
        ("flux2-klein-4b", SubjectType.PERSON, 20, (1200, 2e-4, 32)),
        ("flux2-klein-9b", SubjectType.STYLE, 10, (500, 1e-4, 32)),
        ("flux2-klein-9b", SubjectType.STYLE, 30, (900, 1e-4, 32)),
        ("flux1-dev", SubjectType.PERSON, 10, (900, 1e-4, 32)),
        ("flux1-dev", SubjectType.OBJECT, 40, (2000, 1e-4, 16)),
        ("z-image", SubjectType.CHARACTER, 12, (960, 1e-4, 32)),
        ("sd15", SubjectType.OBJECT, 8, (300, 5e-5, 16)),
    ],
)
def test_bases_have_the_rows_that_others_found(
    base: str, kind: SubjectType, pictures: int, wanted: tuple[int, float, int]
) -> None:
    made = plan(pictures, kind, base=base)
    assert (made.steps, made.learning_rate, made.rank) == wanted


@given(counts, subject_types, st.sampled_from([name for name in BASES if name != "pocket"]))
def test_on_no_base_do_more_pictures_mean_fewer_steps(count: int, kind: SubjectType, base: str) -> None:
    assert steps_for("house", kind, count, base=base) <= steps_for("house", kind, count + 1, base=base)


def test_rivals_of_others_keep_their_numbers() -> None:
    replicate = plan(8, base="flux1-dev", recipe="replicate-flux")
    assert (replicate.steps, replicate.learning_rate, replicate.rank) == (1000, 4e-4, 16)
    prodigy = plan(8, base="z-image", recipe="z-image-prodigy")
    assert (prodigy.optimizer, prodigy.learning_rate) == ("prodigy", 1.0)
    assert prodigy.steps == plan(8, base="z-image").steps
