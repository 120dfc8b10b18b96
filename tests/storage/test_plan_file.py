"""The plan file: whole, explained, read back equal; whatever is wrong in one is named, and nothing in one can do harm."""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from storage import checkups, orders
from storage.database import Database
from storage.domain.bases import BASES
from storage.domain.fit import Departure
from storage.domain.knobs import knobs
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan, Validation
from storage.domain.recipes import PictureOf, plan_for, recipe_named, recipe_names
from storage.plan_file import Origin, written
from storage.plan_order import different, filled, origin_of, placed
from storage.plan_reading import MAX_BYTES, PlanRefused, read, require_sound
from storage.tables import Order, Picture
from tests.builders import CPU_FIT
from tests.storage.making import draft

ROOT = Path(__file__).parents[2]


def plan_of(base: str, subject: SubjectType = SubjectType.CHARACTER, count: int = 9, recipe: str = "house") -> Plan:
    return plan_for(
        base=base,
        subject_type=subject,
        class_word="dog",
        trigger="zorvex",
        seed=3,
        pictures=[PictureOf(id=f"abcd2345-p{n}", dhash=n) for n in range(count)],
        recipe=recipe,
    )


PICTURES = [
    Picture(
        id=f"abcd2345-p{n}",
        order_id="abcd2345",
        position=n,
        source_url="",
        source_name=f"{n}.png",
        sha256=f"{n:064x}",
        state="kept",
    )
    for n in range(9)
]


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("base", list(BASES))
def test_every_recipe_of_every_base_is_sound_and_reads_back_equal(base: str, recipe: str) -> None:
    for subject in SubjectType:
        for count in (4, 9, 20, 40):
            plan = plan_of(base, subject, count, recipe)
            require_sound(plan)
    text = written(plan)
    assert Plan(**read(text.encode()).fields) == plan
    assert recipe_named(plan.recipe) == recipe


def test_every_field_stands_in_the_file_with_its_meaning() -> None:
    text = written(plan_of("sdxl"))
    flat = " ".join(text.replace("#", " ").split())
    assert list(yaml.safe_load(text)) != []
    assert set(yaml.safe_load(text)) == {field.name for field in fields(Plan)}
    for field in knobs(Plan):
        for said in (field.knob.meaning, field.knob.change, field.knob.source):
            assert " ".join(said.replace("#", " ").split()) in flat, field.name


def test_an_export_names_its_order_and_is_read_back() -> None:
    origin = Origin(
        id="abcd2345", name="my cat", made="2026-01-02", plan="a" * 64, captions="b" * 64, pictures=(f"0 {'c' * 64}",)
    )
    plan = plan_of("sdxl")
    plan = replace(plan, repeats=("abcd2345-p1", "abcd2345-p1"))
    called = {plan.held_out[0]: "0.png", "abcd2345-p1": "1.png"}
    found = read(written(plan, called=called, origin=origin).encode())
    assert found.origin == origin
    left = (Departure(step=3, kind="learning_rate_halved", reason="loss nan: 1"),) * 2
    ran = replace(origin, fit=CPU_FIT, departures=left)
    assert read(written(plan, origin=ran).encode()).origin == ran
    assert found.fields["held_out"] == ("0.png",)
    assert found.fields["repeats"] == ("1.png", "1.png")
    assert filled(found, plan, PICTURES) == replace(plan, held_out=("abcd2345-p0",))


def test_an_early_end_at_a_step_that_is_no_checkpoint_makes_it_another_order() -> None:
    plan, order = plan_of("pocket"), Order(id="abcd2345", name="my cat", created_at=datetime(2026, 1, 2, tzinfo=UTC))
    origin = origin_of(order, plan, PICTURES)
    ends = {
        step: replace(origin, departures=(Departure(step=step, kind="stopped_early", reason="worse"),))
        for step in (plan.checkpoint_steps[1], plan.checkpoint_steps[1] + 1)
    }
    known, wrong = (different(each, plan, order, PICTURES) for each in ends.values())
    assert known is None
    assert wrong == f"it is said to end after step {plan.checkpoint_steps[1] + 1}, no checkpoint"


async def test_an_order_made_again_has_the_faces_of_the_first_and_is_not_looked_at_again(database: Database) -> None:
    def check(session: Session) -> None:
        first, again = draft(session, "1", pictures=4), draft(session, "2", pictures=4)
        for number, row in enumerate(orders.pictures_of(session, first.id)):
            row.sha256 = f"{number:064x}"
        for number, row in enumerate(orders.pictures_of(session, again.id)):
            row.sha256 = f"{3 - number:064x}"
        faces = {f"{first.id}-p1": (0.1, 0.30000000000000004, 1.0, 1e-05), f"{first.id}-p3": (0.0, 0.25, 0.5, 0.75)}
        looked = checkups.Seen(pictures={}, whole=(), captions={}, trigger_like=None, trigger_pieces=0, faces=faces)
        checkups.note(session, first.id, looked, wait_s=0)
        rows = orders.pictures_of(session, first.id)
        origin = origin_of(first, plan_of("pocket"), rows, checkups.faces_of(session, first.id))
        back = read(written(plan_of("pocket"), origin=origin).encode()).origin
        assert back == origin
        session.flush()
        placed(session, again.id, back)
        assert {p.id: p.sha256 for p in orders.pictures_of(session, again.id)} == {
            p.id.replace(first.id, again.id): p.sha256 for p in rows
        }
        assert checkups.faces_of(session, again.id) == {
            id_.replace(first.id, again.id): box for id_, box in faces.items()
        }
        assert checkups.checkup_of(session, again.id) is not None, "a turn goes by that"

    await database.transact(check)


@pytest.mark.parametrize(
    "box", ["0.1,0.2,0.3", "0.1,0.2,0.3,1.5", "0.1,0.2,0.3,nan", "-0.1,0.2,0.3,0.4", "0.1, 0.2,0.3,0.4"]
)
def test_an_export_whose_faces_are_no_boxes_in_pictures_is_refused(box: str) -> None:
    origin = Origin(
        id="abcd2345", name="x", made="2026-01-02", plan="a" * 64, captions="b" * 64, pictures=(f"0 {'c' * 64} {box}",)
    )
    with pytest.raises(PlanRefused, match="not as it was exported"):
        read(written(plan_of("pocket"), origin=origin).encode())


CONCEPTS = """
trigger: zorvex
class_word: dog
concepts:
- {trigger: zorvex, class_word: dog, pictures: [0.png, 1.png, 2.png, 3.png]}
- {trigger: kredax, class_word: man, repeats: 2, pictures: [4.png, 5.png, 6.png, 7.png, 8.png]}
prompts:
- {text: a zorvex dog, plain: a dog, seeds: [1]}
- {text: a kredax man, plain: a man, seeds: [1]}
"""


def test_concepts_are_read_filled_and_written_again_with_names_that_last() -> None:
    recipe = plan_of("sdxl")
    plan = filled(read(CONCEPTS.encode()), recipe, PICTURES)
    assert [c.pictures for c in plan.concepts] == [
        tuple(f"abcd2345-p{n}" for n in numbers) for numbers in (range(4), range(4, 9))
    ]
    assert plan.concepts[1].repeats == 2
    named = read(written(plan, called={p.id: p.sha256 for p in PICTURES}).encode())
    assert named.fields["concepts"][1].pictures == tuple(p.sha256 for p in PICTURES[4:])
    assert filled(named, recipe, PICTURES) == plan


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("8.png", "eight.png", "concepts: there is no picture 'eight.png'"),
        (", 8.png", "", "concepts: the picture 8.png is in none of them"),
        ("7.png, 8.png", "0.png, 7.png, 8.png", "stands there 2 times"),
        ("repeats: 2", "repeat: 2", "concepts: entry 2: 'repeat' is not known there; repeats is near to it"),
        ("repeats: 2", "repeats: 0", "the repeats of kredax are not from 1"),
        ("a kredax man", "a man", "prompts: none of them shows kredax"),
    ],
)
def test_what_is_wrong_with_concepts_in_a_file_is_named(old: str, new: str, answer: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        filled(read(CONCEPTS.replace(old, new, 1).encode()), plan_of("sdxl"), PICTURES)
    assert answer in str(refused.value)


RAN = (
    "order:\n  {id: abcd2345, name: x, made: '2026-01-02', plan: a, captions: b, pictures: []}\n".replace("{", "")
    .replace(", ", "\n  ")
    .replace("}", "")
)


def test_what_a_file_leaves_out_comes_from_the_recipe() -> None:
    recipe = plan_of("sdxl")
    plan = filled(read(b"rank: 7\nlearning_rate: 1e-4\n"), recipe, PICTURES)
    assert plan == replace(recipe, rank=7, learning_rate=1e-4)
    shorter = filled(read(b"steps: 40\n"), recipe, PICTURES)
    assert (shorter.steps, shorter.checkpoint_steps[-1]) == (40, 40)
    assert filled(read(b"recipe: house\n"), recipe, PICTURES) == recipe, "a name alone is that recipe, as it is here"
    without = filled(read(b"validation: none\n"), recipe, PICTURES)
    assert (without.validation, without.held_out) == (Validation.NONE, ())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("lerning_rate: 1", "'lerning_rate' is no field of a plan; learning_rate is near to it"),
        ("learning-rate: 1", "learning_rate is near to it"),
        ("base: sdxxl", "base: 'sdxxl' is no base model that is known here; sdxl is near to it"),
        ("recipe: hundred-a-pictur", "recipe: 'hundred-a-pictur' is no recipe that is known here; hundred-a-picture is near"),
        ("recipe: hous-1/sdxl/person", "house is near to it"),
        ("recipe: house-9/sdxl/person", "'house-9/sdxl/person' is no recipe"),
        ("recipe: house-1+x/sdxl/person", "is no recipe"),
        ("base: no", "base: False is not a text; put it in quotes"),
        ("rank: 3.5", "rank: 3.5 is not a whole number"),
        ("rank: true", "rank: True is not a whole number"),
        ("rank:", "rank: it is empty; give a value or leave the field out"),
        ("learning_rate: fast", "learning_rate: 'fast' is not a number"),
        ("learning_rate: .inf", "learning_rate: inf is not a number"),
        ("steps: " + "9" * 400, "is not a whole number"),
        ("steps: " + "9" * 5000, "plan cannot be carried out"),
        ("flip: perhaps", "flip: 'perhaps' is not true or false"),
        ("optimizer: adamw9bit", "adamw8bit is near to it"),
        ("subject_type: charakter", "character is near to it"),
        ("captions: a photo", "captions: 'a photo' is not a list; put it in [ ]"),
        ("checkpoint_steps: [1, two]", "checkpoint_steps: entry 2: 'two' is not a whole number"),
        ("prompts: [{text: a}]", "prompts: entry 1: seeds is missing"),
        ("prompts: [{text: a, seed: [1]}]", "'seed' is not known there; seeds is near to it"),
        ("prompts: [a]", "prompts: entry 1: 'a' is not a table of text, seeds"),
        ("steps: 1\nsteps: 2", "line 2: 'steps' is there twice"),
        ("steps: [", "line 1:"),
        ("- steps", "not a list of fields"),
        ("", "not a list of fields"),
        ("a: &a [1]\nb: *a", "line 2: aliases (*a) are not taken"),
        ("steps: !!python/object/apply:os.system ['true']", "line 1:"),
        ("a: " + "[" * 50 + "]" * 50, "nested deeper"),
        ("captions: [" + "a," * 30_000 + "]", "holds more"),
        ("order: {id: abcd2345}", "order: name is missing; the block is as it was exported, or left out"),
        ("order: 5", "order: "),
        (RAN + "  fit: {device: cpu, precision: fp32, micro_batch: 0, gradient_checkpointing: false, threads: 1, "
         "deterministic: true}", "order: it is not as it was exported"),
        (RAN + "  fit: {device: tpu}", "order: precision is missing; the block is as it was exported"),
        (RAN + "  departures: [{step: -1, kind: vae_tiled, reason: x}]", "order: it is not as it was exported"),
        (RAN + "  departures: [{step: 1, kind: stopped_early, reason: x}]", "order: it is not as it was exported"),
        (RAN + "  departures: [{step: 1, kind: vae_tilde, reason: x}]", "vae_tiled is near to it"),
        ("order: {id: ../../x, name: x, made: '2026-01-01', plan: a, captions: b, pictures: []}", "leave the block out"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named_with_the_nearest_right_one(text: str, answer: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        read(text.encode())
    assert answer in str(refused.value)


@pytest.mark.parametrize(
    ("data", "answer"),
    [(b"\xff\xfe\x00s", "not UTF-8"), (b"#" * (MAX_BYTES + 1), "longer than 256 KiB"), (b"\x00", "not YAML")],
)
def test_files_that_are_no_texts_or_too_long_are_refused(data: bytes, answer: str) -> None:
    with pytest.raises(PlanRefused, match=answer):
        read(data)


@pytest.mark.parametrize(
    ("base", "text", "answer"),
    [
        (
            "sdxl",
            "recipe: house-1/pocket/character",
            "recipe: it made a plan of pocket/character, and this one is of sdxl/char",
        ),
        (
            "sdxl",
            "recipe: house-1+17/sdxl/style",
            "recipe: it made a plan of sdxl/style, and this one is of sdxl/character",
        ),
        ("sdxl", "recipe: house-1/sdxl", "recipe: it made a plan of sdxl, and this one is of sdxl/character"),
        ("sdxl", "rank: 500", "rank: 500 is not from 1 to 128"),
        ("sdxl", "warmup_steps: 5000", "warmup_steps: it is longer than the training"),
        ("sdxl", "steps: 50\ncheckpoint_steps: [10, 20]", "checkpoint_steps: the first is at least 1 and the last"),
        ("sdxl", "cosine_cycles: 3\nschedule: constant", "cosine_cycles: it means something with schedule cosine"),
        ("flux1-dev", "min_snr_gamma: 5", "min_snr_gamma: it belongs to diffusion models, and flux1-dev is none"),
        ("z-image", "targets: attention+ff+conv", "targets: z-image has no convolutions"),
        ("sdxl", "held_out: [0.png, 1.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png, 8.png]", "no picture is left"),
        ("sdxl", "held_out: [seven.png]", "held_out: there is no picture 'seven.png'"),
        ("sdxl", "repeats: [seven.png]", "repeats: there is no picture 'seven.png'"),
        ("sdxl", "prior_share: 0.5", "prior_share: it means something with a prior alone"),
        ("sdxl", "resolutions: [512, 512]", "resolutions: a side stands there twice"),
    ],
)
def test_fields_that_cannot_stand_together_are_named(base: str, text: str, answer: str) -> None:
    with pytest.raises(PlanRefused) as refused:
        filled(read(text.encode()), plan_of(base), PICTURES)
    assert answer in str(refused.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(PlanRefused):
        assert read(data).fields is not None
