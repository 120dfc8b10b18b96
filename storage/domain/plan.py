"""What to learn: the plan of an order.

A plan is frozen at Start and stored. Every field changes the run: `tests/trainer/gpu` proves it field by field.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Annotated, Any

from storage.domain.fit import Departure, Fit, learning_rate_factor, micro_batch
from storage.domain.knobs import Knob
from storage.domain.learning import Learning
from storage.domain.material import Concept, Material
from storage.domain.objective import Objective
from storage.domain.orders import SubjectType
from storage.domain.prior import Prior
from storage.domain.taste import Judging, Taste, taste_of

__all__ = [
    "Concept",
    "Departure",
    "Fit",
    "Plan",
    "PreviewPrompt",
    "Validation",
    "learning_rate_factor",
    "micro_batch",
    "shortened",
]


class Validation(StrEnum):
    """What held-out pictures are for. Under 6 none; 6 to 19 only a veto; from 20 a full voice."""

    NONE = "none"
    VETO = "veto"
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class PreviewPrompt:
    """One row of a grid."""

    text: str
    """The prompt as drawn, trigger included where `with_trigger`."""
    seeds: tuple[int, ...]
    """Seeds of the initial noise: the same at every checkpoint and scale, so that pictures compare."""
    with_trigger: bool = True
    """Prompts without the trigger measure leakage: others must stay themselves."""
    plain: str = ""
    """The prompt with the trigger replaced by the class word: what adherence is measured against."""


@dataclass(frozen=True, kw_only=True)
class Plan(Learning, Objective, Material, Prior, Judging):
    """Everything that decides what is learned. Numbers come from `recipes.plan_for`.

    One flat list of fields; they stand in six files by what they are about. A field that came later has a default that
    leaves training as it was before, and that default never changes: stored plans leave it out.
    """

    base: Annotated[
        str,
        Knob(
            meaning="Name of the base model; `lorasmith bases` lists them",
            least=1,
            most=100,
            change="for another base model: leave out what the recipe should choose anew for it",
            source="storage/domain/bases.py",
        ),
    ]
    subject_type: Annotated[
        SubjectType,
        Knob(
            meaning="What the pictures show; it chose the numbers of the recipe",
            change="where it says something else than the pictures show",
            source="recipes.py and habits.py: tables by base and subject type",
        ),
    ]
    class_word: Annotated[
        str,
        Knob(
            meaning="What kind of thing it is, in a word that the base knows",
            least=1,
            most=200,
            change="to the most common word for it: the trigger is always heard beside it",
            source="Ruiz et al. 2023, arXiv 2208.12242, section 3.2: a unique identifier with a class noun",
        ),
    ]
    trigger: Annotated[
        str,
        Knob(
            meaning="The new word that calls it",
            least=1,
            most=200,
            change="to another made-up word of one to three tokens; a known word brings its meaning along",
            source="Ruiz et al. 2023, arXiv 2208.12242, section 3.2: rare tokens",
        ),
    ]
    recipe: Annotated[
        str,
        Knob(
            meaning="Name of the recipe that made this plan, with its version",
            least=1,
            most=200,
            change="never by hand: leave it out beside another base or subject; its name alone takes that recipe",
            source="recipes.py; rivals.py for those of others",
        ),
    ]
    validation: Annotated[
        Validation,
        Knob(
            meaning="What held-out pictures are for: under 6 none, 6 to 19 a veto, from 20 a full voice",
            change="none to learn from every picture; it takes held_out along",
            source="recipes.py, by the number of pictures: a choice of this program, since a loss on one or two pictures is noise",
        ),
    ]
    held_out: Annotated[
        tuple[str, ...],
        Knob(
            meaning="Pictures that are never trained on: ids, in a plan file names or hashes",
            most=256,
            longest=300,
            change="to name typical pictures yourself; outliers say little about the others",
            source="recipes.py: those nearest to all others, by difference hash; a choice of this program",
        ),
    ]
    prompts: Annotated[
        tuple[PreviewPrompt, ...],
        Knob(
            meaning="The rows of every grid, and what the measurements are taken on",
            least=1,
            most=16,
            change="to see and measure what you will draw; some without the trigger show whether others stay themselves",
            source="panels.py, a choice of this program: near the pictures, elsewhere, and others without the trigger",
        ),
    ]
    preview_steps: Annotated[
        int,
        Knob(
            meaning="Sampler steps of a preview",
            unit="steps",
            least=1,
            most=100,
            change="fewer for speed, more where previews look unfinished",
            source="habits.py for each base; 14 on the pocket, as its gates are measured",
        ),
    ]
    guidance: Annotated[
        float,
        Knob(
            meaning="Classifier-free guidance of previews",
            source="Ho and Salimans 2022, arXiv 2207.12598",
            least=0.0,
            most=30.0,
            change="to what you will draw with; high values hide what a LoRA lacks",
        ),
    ]
    scales: Annotated[
        int,
        Knob(
            meaning="At how many strengths the chosen file is drawn and measured, to recommend one",
            least=3,
            most=15,
            change="fewer than five miss the best one; more where the strength matters to you; each draws a panel of its own",
            source="storage/domain/budget.py, by what a picture costs beside a step",
        ),
    ] = 5

    @property
    def taste(self) -> Taste:
        """What makes its checkpoints and scales good."""
        return taste_of(self, self.subject_type)

    def to_json(self) -> str:
        """The plan as stored: sorted keys, so that equal plans are equal texts; fields at their default are left out."""
        usual = {field.name: field.default for field in fields(self)}
        return json.dumps({k: v for k, v in asdict(self).items() if v != usual[k]}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`; raises `TypeError` for unknown or missing fields."""
        data: dict[str, Any] = json.loads(text)
        data["subject_type"] = SubjectType(data["subject_type"])
        data["validation"] = Validation(data["validation"])
        data["prompts"] = tuple(PreviewPrompt(**{**p, "seeds": tuple(p["seeds"])}) for p in data["prompts"])
        data["concepts"] = tuple(Concept(**{**c, "pictures": tuple(c["pictures"])}) for c in data.get("concepts", ()))
        data |= {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
        return cls(**data)


def shortened(plan: Plan, steps: int) -> Plan:
    """The same plan with fewer or more steps, checkpoints at the same shares: for `lorasmith train --steps`."""
    shares = [s / plan.steps for s in plan.checkpoint_steps]
    marks = sorted({max(1, round(share * steps)) for share in shares} | {steps})
    warmup = min(plan.warmup_steps, steps)
    return replace(plan, steps=steps, checkpoint_steps=tuple(marks), warmup_steps=warmup)
