"""What an order draws keeps within the written share of its time, and the table says what is true."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from storage.domain import budget
from storage.domain.bases import BASES
from storage.domain.budget import BUDGETS, FULL, LEAST, drawing_share, drawn, most_share
from storage.domain.orders import SubjectType
from storage.domain.pace import PACES
from storage.domain.plan import Concept, Plan
from storage.domain.recipes import PictureOf, budgeted, plan_for


def plan(
    base: str = "pocket", pictures: int = 8, kind: SubjectType = SubjectType.PERSON, concepts: tuple[Concept, ...] = ()
) -> Plan:
    return plan_for(
        base=base,
        subject_type=kind,
        class_word="woman",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(pictures)],
        concepts=concepts,
    )


def named(plan: Plan) -> str:
    return next(budget.name for budget in BUDGETS if budgeted(plan, budget) == plan)


def test_the_table_in_the_docstring_is_true() -> None:
    rows = re.findall(
        r"^    (\S+) +([\d.]+) +(full|half|lean|least) +(\d+) +(\d+) %$", budget.__doc__ or "", re.MULTILINE
    )
    assert {row[0] for row in rows} == set(BASES)
    for base, steps, name, pictures, share in rows:
        made = plan(base)
        told = (float(steps), name, int(pictures), int(share))
        real = (
            round(budget.picture_in_steps(made), 1),
            named(made),
            drawn(made).whole,
            round(100 * drawing_share(made)),
        )
        assert told == real, base


def test_a_picture_of_sdxl_costs_what_twenty_nine_steps_cost_at_thirty_guided_steps_of_the_sampler() -> None:
    sdxl = replace(plan("sdxl"), preview_steps=30)
    assert budget.picture_in_steps(sdxl) == pytest.approx(29, abs=0.5)
    assert budget.picture_in_steps(replace(sdxl, batch_size=4)) == pytest.approx(29 / 4, abs=0.2)
    assert budget.picture_in_steps(replace(sdxl, guidance=1.0)) == pytest.approx(15, abs=0.5)


@pytest.mark.parametrize("kind", list(SubjectType))
@pytest.mark.parametrize("pictures", [4, 8, 14, 30, 40])
def test_drawing_takes_at_most_half_of_an_order_on_the_pocket_and_the_written_share_elsewhere(
    kind: SubjectType, pictures: int
) -> None:
    assert drawing_share(plan("pocket", pictures, kind)) <= 0.5
    for base in PACES:
        made = plan(base, pictures, kind)
        assert drawing_share(made) <= most_share(base) or named(made) == "least"
        larger = BUDGETS[: [b.name for b in BUDGETS].index(named(made))]
        assert all(drawing_share(budgeted(made, b)) > most_share(base) for b in larger), "none that fits is passed over"


def test_the_pocket_with_several_concepts_keeps_its_share_too() -> None:
    halves = [tuple(f"p{n}" for n in range(8) if n % 2 == side) for side in (0, 1)]
    two = tuple(
        Concept(trigger=word, class_word="robot", pictures=half)
        for word, half in zip(("zorvex", "kredax"), halves, strict=True)
    )
    made = plan("pocket", 8, SubjectType.OBJECT, two)
    assert drawing_share(made) <= 0.5
    assert len({p.text for p in made.prompts}) == len(made.prompts)


def test_budgets_fall_from_the_largest_to_the_least_and_the_least_still_compares() -> None:
    sizes = [drawn(budgeted(plan(), b)).whole for b in BUDGETS]
    assert sizes == sorted(set(sizes), reverse=True)
    assert (LEAST.rows, LEAST.others) == (3, 1), "a paired error needs three prompts, leakage one without the trigger"
    assert all(b.shares[-1] == 1.0 and b.scales >= 3 for b in BUDGETS)


def test_a_smaller_panel_is_a_part_of_the_largest_and_can_be_read_from_it() -> None:
    full = budgeted(plan(), FULL).prompts
    for smaller in BUDGETS[1:]:
        rows = [replace(p, seeds=p.seeds[: smaller.seeds]) for p in full if p.with_trigger][: smaller.rows]
        others = [p for p in full if not p.with_trigger][: smaller.others]
        assert budgeted(plan(), smaller).prompts == (*rows, *others)


def test_a_plan_that_names_its_own_prompts_and_scales_is_counted_as_it_is() -> None:
    made = plan()
    assert drawn(made).sweep - drawn(replace(made, scales=made.scales - 2)).sweep == 2 * 8
    assert drawn(replace(made, prompts=made.prompts[:1])).grids == 2 * len(made.checkpoint_steps)
