"""Every field of a plan says what it means and how far it may go."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, replace
from typing import get_args

import pytest

from storage.domain.contradictions import contradictions
from storage.domain.knobs import Knob, bounds, knobs, out_of_bounds
from storage.domain.plan import Plan, Validation
from tests.builders import tiny_plan


def test_every_field_says_what_it_means_when_to_change_it_and_where_it_comes_from_and_every_number_has_a_bound() -> (
    None
):
    for field in knobs(Plan):
        assert field.knob.meaning, field.name
        assert field.knob.change, field.name
        assert field.knob.source, field.name
        if field.type in (int, float) or set(get_args(field.type)) & {int, float}:
            assert field.knob.least is not None, field.name
            assert field.knob.most is not None, field.name


def test_a_field_without_a_knob_is_an_error_of_the_program() -> None:
    @dataclass
    class Bare:
        rank: int

    with pytest.raises(TypeError, match="rank has no knob"):
        knobs(Bare)


def test_a_choice_that_nobody_knows_is_refused_with_those_there_are() -> None:
    wrong = dict(out_of_bounds(replace(tiny_plan(), timestep_density="logit_normal")))  # type: ignore[arg-type]
    assert wrong == {"timestep_density": "'logit_normal' is none of uniform, logit-normal"}


@pytest.mark.parametrize(
    "field", [f for f in knobs(Plan) if f.knob.least is not None or f.knob.most is not None], ids=lambda f: f.name
)
def test_a_value_beyond_its_bounds_is_refused_by_name_and_one_at_the_bound_is_not(field: object) -> None:
    name, knob = field.name, field.knob  # type: ignore[attr-defined]
    text = isinstance(getattr(tiny_plan(), name), str)
    listed = isinstance(getattr(tiny_plan(), name), tuple)

    def value(size: float) -> object:
        return "x" * int(size) if text else ("x",) * int(size) if listed else size

    beyond = [value(knob.most + 1)] if knob.most is not None and knob.most < 2**62 else []
    if knob.least is not None and (knob.least > 0 or not (text or listed)):
        beyond.append(value(knob.least / 2 if 0 < knob.least < 1 else knob.least - 1))
    assert beyond
    for wrong in beyond:
        assert [at for at, _ in out_of_bounds(replace(tiny_plan(), **{name: wrong}))] == [name]
    kept = [value(edge) for edge in (knob.least, knob.most) if edge is not None]
    assert not [at for edge in kept for at, _ in out_of_bounds(replace(tiny_plan(), **{name: edge}))]


def test_numbers_that_are_none_are_refused_and_none_itself_is_not() -> None:
    assert [name for name, _ in out_of_bounds(replace(tiny_plan(), learning_rate=float("nan")))] == ["learning_rate"]
    assert not list(out_of_bounds(replace(tiny_plan(), min_snr_gamma=None)))


def test_bounds_read_as_words() -> None:
    assert bounds(Knob(meaning="x", least=1, most=128)) == "1 to 128"
    assert bounds(Knob(meaning="x", least=0)) == "at least 0"
    assert bounds(Knob(meaning="x")) == ""


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("checkpoint_steps", {"checkpoint_steps": (1,)}),
        ("checkpoint_steps", {"checkpoint_steps": (2, 1, 2)}),
        ("warmup_steps", {"warmup_steps": 3}),
        ("validation", {"validation": Validation.NONE}),
        ("validation", {"held_out": ()}),
    ],
)
def test_fields_that_cannot_stand_together_are_named(name: str, changes: dict[str, object]) -> None:
    assert not list(contradictions(tiny_plan()))
    assert {at for at, _ in contradictions(replace(tiny_plan(), **changes))} == {name}


def test_a_plan_comes_back_from_json_and_later_fields_are_left_out_at_their_default() -> None:
    plan = replace(tiny_plan(), scales=5)  # a recipe on the CPU has more
    assert Plan.from_json(plan.to_json()) == plan
    later = {field.name for field in fields(Plan) if field.default is not MISSING}
    assert not later & json.loads(plan.to_json()).keys()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("cosine_cycles", {"cosine_cycles": 2}),
        ("prodigy_d_coef", {"prodigy_d_coef": 2.0}),
        ("timestep_mean", {"timestep_mean": 0.5}),
        ("timestep_std", {"timestep_std": 0.5}),
        ("min_snr_gamma", {"base": "z-image", "min_snr_gamma": 5.0}),
        ("noise_offset", {"base": "flux1-dev", "noise_offset": 0.1}),
        ("pyramid_noise", {"base": "flux2-klein-4b", "pyramid_noise": 0.3}),
    ],
)
def test_a_field_that_would_be_ignored_is_named(name: str, changes: dict[str, object]) -> None:
    assert [at for at, _ in contradictions(replace(tiny_plan(), **changes))] == [name]


def test_a_plan_whose_panel_shows_nothing_or_one_thing_twice_is_refused_by_name() -> None:
    shows, other = tiny_plan().prompts
    none, twice = (dict(contradictions(replace(tiny_plan(), prompts=p))) for p in ((other,), (shows, shows, other)))
    assert none["prompts"] == "none of them has the trigger, and those are what is voted on"
    assert twice["prompts"].startswith("'a zorvex toy on grass' stands there 2 times")
    assert not list(contradictions(tiny_plan()))
