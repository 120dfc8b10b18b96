"""From two dials (subject type, number of pictures) to a whole plan. Every number has its source beside it.

The house recipe starts from the write-ups this project began with and from what others found for each base (`habits`); the
pocket has its own row, found by measurement (EXPERIMENTS.md). `rivals` are kept so that benchmarks can run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage.domain.budget import BUDGETS, FULL, Budget, most_share, within
from storage.domain.habits import HOUSE, Rates, habit_of
from storage.domain.lesson import Lesson, taught
from storage.domain.orders import SubjectType
from storage.domain.panels import captions_for, prompts_for, prompts_of_concepts
from storage.domain.plan import Concept, Plan, Validation
from storage.domain.portraits import PORTRAITS, portrayed
from storage.domain.rivals import RIVALS, Rival

VERSION = 1
"""Of the tables below, as `Plan.recipe` names it."""


@dataclass(frozen=True, kw_only=True)
class PictureOf:
    """What a recipe needs to know of one picture."""

    id: str
    dhash: int
    """64-bit difference hash, from the picture check; near pictures have near hashes."""


BANDS: tuple[tuple[int, int, int], ...] = ((10, 200, 300), (20, 400, 600), (50, 800, 1500))
"""(up to this many pictures, at least, at most) steps; above 50 pictures 2000 and up. Same study."""

LARGE_SET = 20
"""From so many pictures the rate is 1e-4 for every subject type (same study)."""

BATCH = 1
"""Pictures a step: the write-ups count their steps so, and those that give a reason name stable results."""

POCKET: dict[SubjectType, Rates] = {
    # Measured on 17 drawn subjects of all four types: the utility tops out at 80-160 steps of this rate for 8 pictures, and
    # 3e-4 gets no higher, only later (EXPERIMENTS.md, "Recipe of the pocket").
    SubjectType.PERSON: Rates(learning_rate=5e-4, steps_a_picture=20, rank=16),
    SubjectType.STYLE: Rates(learning_rate=5e-4, steps_a_picture=20, rank=16),
    SubjectType.OBJECT: Rates(learning_rate=5e-4, steps_a_picture=20, rank=16),
    SubjectType.CHARACTER: Rates(learning_rate=5e-4, steps_a_picture=20, rank=16),
}
POCKET_BAND = (160, 280)
"""Steps of the pocket at least and at most: what 2 CPU cores do within the promised minutes, and enough by measurement."""

POCKET_BATCH = 8
"""Views a step: so fills a CPU step well (EXPERIMENTS.md, "Recipe of the pocket")."""
POCKET_PREVIEW_STEPS = 14
POCKET_GUIDANCE = 3.5
"""How the pocket draws what it was asked for most often: all gates are measured so (EXPERIMENTS.md, "Pocket base")."""

STOPS_EARLY: frozenset[str] = frozenset()
"""Bases whose orders end early where nothing more is to be expected, unless the full run is asked for: those for which the
benchmark of judging shows that it costs nothing. None yet."""


def recipe_names() -> tuple[str, ...]:
    """All recipes that `plan_for` knows; the first is the one members get."""
    return ("house", *RIVALS)


def recipe_named(text: str) -> str:
    """The recipe that `Plan.recipe` names ("house-1+17/sdxl/person" is house); house where it names none."""
    return recipe_of(text) or "house"


def recipe_of(text: str) -> str | None:
    """The same; None where there is no recipe of that name, or no such version of it."""
    name, _, revision = text.partition("/")[0].partition("+")
    if "+" in text.partition("/")[0] and not (revision.isascii() and revision.isdigit()):
        return None
    versions = ["", *(f"-{version}" for version in range(1, VERSION + 1))]
    return next((known for known in (*recipe_names(), *PORTRAITS) if name.removeprefix(known) in versions), None)


def steps_for(
    recipe: str, subject_type: SubjectType, pictures: int, *, pocket: bool = False, base: str = "sdxl"
) -> int:
    """Optimiser steps of a recipe, of `BATCH` pictures each, the pocket's of `POCKET_BATCH`. Four pictures count as five.

    Raises `KeyError` for an unknown recipe.
    """
    count = max(pictures, 5)
    if recipe != "house":
        rival = RIVALS[recipe]
        if rival.steps is not None:
            return rival.steps if isinstance(rival.steps, int) else rival.steps[subject_type]
        if rival.steps_a_picture:
            return rival.steps_a_picture * count
    return _pocket_steps(subject_type, count) if pocket else _house_steps(subject_type, count, base)


def _house_steps(subject_type: SubjectType, count: int, base: str) -> int:
    if (rows := habit_of(base).rows) is not None:
        row = rows[subject_type]
        return min(max(round(row.rates.steps_a_picture * count), row.least), row.most)
    wanted = round(HOUSE[subject_type].steps_a_picture * count)
    for upto, least, most in BANDS:
        if count <= upto:
            return min(max(wanted, least), most)
    return max(wanted, 2000)


def _pocket_steps(subject_type: SubjectType, count: int) -> int:
    least, most = POCKET_BAND
    return min(max(round(POCKET[subject_type].steps_a_picture * count), least), most)


def rates_for(
    recipe: str, subject_type: SubjectType, pictures: int, *, pocket: bool = False, base: str = "sdxl"
) -> Rates:
    """Learning rate and rank of a recipe; `steps_a_picture` as in its table."""
    if pocket:
        return POCKET[subject_type]
    house = _house_rates(subject_type, pictures, base)
    rival = RIVALS.get(recipe, Rival())
    rate = rival.learning_rate[subject_type] if isinstance(rival.learning_rate, dict) else rival.learning_rate
    return Rates(
        learning_rate=rate or house.learning_rate,
        steps_a_picture=house.steps_a_picture,
        rank=rival.rank or house.rank,
    )


def _house_rates(subject_type: SubjectType, pictures: int, base: str) -> Rates:
    if (rows := habit_of(base).rows) is not None:
        return rows[subject_type].rates
    house = HOUSE[subject_type]
    return replace(house, learning_rate=1e-4) if pictures >= LARGE_SET else house


def validation_for(pictures: int) -> tuple[Validation, int]:
    """What held-out pictures are for, and how many: under 6 none, 6 to 19 one or two as a veto, from 20 a tenth."""
    if pictures < 6:
        return Validation.NONE, 0
    if pictures < LARGE_SET:
        return Validation.VETO, 1 if pictures < 12 else 2
    return Validation.FULL, max(2, pictures // 10)


def held_out(pictures: Sequence[PictureOf], count: int) -> tuple[str, ...]:
    """The ids of `count` medoids by Hamming distance: each brings all others nearest to one of them, and none is an outlier.

    Kaufman and Rousseeuw 1990, "Finding Groups in Data", chapter 2, the BUILD of PAM. Outliers are the quarter of the pictures that
    is farthest from the third of the others that is nearest: nothing that is learned from the rest could help them. A third, so
    that pictures of the smaller of two kinds, as by night, are none; a quarter, so that six pictures have one. Both by judgement.

    A picture that has a twin is passed over unless all have one: the twin is trained on, so nothing is held out.
    """
    if not pictures or not count:
        return ()
    apart = {p.id: [(p.dhash ^ other.dhash).bit_count() for other in pictures] for p in pictures}
    lonely = {id_: sum(sorted(row)[: 1 + max(1, (len(row) - 1) // 3)]) for id_, row in apart.items()}
    twins = {id_ for id_, row in apart.items() if sum(bits <= TWIN_BITS for bits in row) > 1}
    most = sorted(lonely.values())[max(min(count, len(lonely)), -(-3 * len(lonely) // 4)) - 1]
    nearest, chosen = [_BITS] * len(pictures), list[str]()
    for _ in range(min(count, len(pictures))):
        left = [id_ for id_ in apart if lonely[id_] <= most and id_ not in chosen]
        best = min(
            [id_ for id_ in left if id_ not in twins] or left, key=lambda id_: (sum(map(min, nearest, apart[id_])), id_)
        )
        nearest = [min(pair) for pair in zip(nearest, apart[best], strict=True)]
        chosen.append(best)
    return tuple(sorted(chosen))


_BITS = 64
"""Of a difference hash."""
TWIN_BITS = 5
"""So many of them, at most, two shots of one moment differ by. Krawetz takes up to 10 for a variation ("Kind of Like That",
hackerfactor.com, 2013); of 16 drawn subjects of the pocket different pictures come as near as that, and none within half of it."""


def _held_out_of_each(groups: Sequence[Sequence[PictureOf]], count: int) -> tuple[str, ...]:
    """`count` pictures held out, shared out by the sizes of the concepts (highest averages with odd divisors, Sainte-Lague)."""
    taken = [0] * len(groups)
    for _ in range(count):
        taken[max(range(len(groups)), key=lambda n: len(groups[n]) / (2 * taken[n] + 1))] += 1
    return tuple(sorted(id_ for group, many in zip(groups, taken, strict=True) for id_ in held_out(group, many)))


def checkpoint_steps(steps: int, shares: Sequence[float] = FULL.shares) -> tuple[int, ...]:
    """The steps after which a checkpoint is taken; the last is `steps`."""
    return tuple(sorted({max(1, round(share * steps)) for share in shares}))


def budgeted(plan: Plan, budget: Budget) -> Plan:
    """The plan with what a budget draws: its checkpoints, prompts, seeds and scales."""
    pocket = plan.base == "pocket"
    if plan.concepts:
        prompts = prompts_of_concepts(
            plan.subject_type, plan.concepts, seed=plan.seed, pocket=pocket, seeds=budget.seeds, others=budget.others
        )
    else:
        prompts = prompts_for(
            plan.subject_type,
            trigger=plan.trigger,
            class_word=plan.class_word,
            seed=plan.seed,
            pocket=pocket,
            rows=budget.rows,
            seeds=budget.seeds,
            others=budget.others,
        )
    marks = checkpoint_steps(plan.steps, budget.shares)
    return replace(plan, checkpoint_steps=marks, prompts=prompts, scales=budget.scales)


def plan_for(
    *,
    base: str,
    subject_type: SubjectType,
    class_word: str,
    trigger: str,
    seed: int,
    pictures: Sequence[PictureOf],
    recipe: str = "house",
    concepts: Sequence[Concept] = (),
    lesson: Lesson | None = None,
) -> Plan:
    """The whole plan of an order: a pure function of the two dials, the base, the order's words, and what votes taught.

    Several concepts get the steps that each would get alone, added up: 250 steps for one and 500 for two in Kumari et al. 2023,
    arXiv 2212.04488, section 3.2. The first one's words are the order's. A lesson changes the house recipe alone.
    """
    if recipe in PORTRAITS:
        house = plan_for(
            base=base,
            subject_type=subject_type,
            class_word=class_word,
            trigger=trigger,
            seed=seed,
            pictures=pictures,
            concepts=concepts,
        )
        return portrayed(house, recipe, VERSION)
    pocket = base == "pocket"
    rival, habit = Rival() if pocket else RIVALS.get(recipe, Rival()), habit_of(base)
    rates = rates_for(recipe, subject_type, len(pictures), pocket=pocket, base=base)
    groups = [[p for p in pictures if p.id in concept.pictures] for concept in concepts] or [[*pictures]]
    steps = sum(steps_for(recipe, subject_type, len(group), pocket=pocket, base=base) for group in groups)
    validation, count = validation_for(len(pictures))
    plan = Plan(
        base=base,
        subject_type=subject_type,
        class_word=class_word,
        trigger=trigger,
        recipe=f"{recipe}-{VERSION}/{base}/{subject_type.value}",
        seed=seed,
        steps=steps,
        checkpoint_steps=(),  # with prompts and scales, by the budget
        learning_rate=rates.learning_rate,
        warmup_steps=max(1, steps // 20),  # 20-50 for 500-1000 steps (defaults of the open trainers)
        schedule="constant" if pocket else rival.schedule or "cosine",
        optimizer=rival.optimizer,
        batch_size=POCKET_BATCH if pocket else BATCH,
        rank=rates.rank,
        targets="attention+ff+conv"
        if pocket
        else "attention+ff",  # spacepxl: feed-forward closes the gap, conv adds nothing
        weight_decay=0.01,  # AdamW's default in PyTorch
        max_grad_norm=1.0,  # default of the open trainers
        resolution=64 if pocket else habit.resolution,
        flip=subject_type in (SubjectType.OBJECT, SubjectType.STYLE, SubjectType.CHARACTER),
        caption_dropout=0.05,  # 0.05-0.1 in every trainer that has it (defaults of the open trainers)
        min_snr_gamma=None if pocket else habit.min_snr_gamma,  # on the pocket off until an ablation says otherwise
        noise_offset=0.0,
        timestep_density="uniform" if pocket else habit.timestep_density,
        captions=captions_for(subject_type, pocket=pocket),
        validation=validation,
        held_out=_held_out_of_each(groups, count),
        prompts=(),
        concepts=tuple(concepts),
        preview_steps=POCKET_PREVIEW_STEPS if pocket else habit.preview_steps,
        guidance=POCKET_GUIDANCE if pocket else habit.guidance,
        early_stop=base in STOPS_EARLY,
    )
    plans = [budgeted(plan, budget) for budget in BUDGETS]
    if lesson is not None and recipe == "house":
        plans = [taught(each, lesson) for each in plans]
    return within(most_share(base), plans)
