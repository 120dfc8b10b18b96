"""The part of a plan that says what must stay as the base has it, and how the training holds on to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from storage.domain.knobs import Knob

DREAMBOOTH = "Ruiz et al. 2023, arXiv 2208.12242, section 3.3"


@dataclass(frozen=True, kw_only=True)
class Prior:
    """See the knobs."""

    prior: Annotated[
        Literal["none", "base_prediction", "class_pictures"],
        Knob(
            meaning="What a step also learns so that the class stays itself: nothing; what the base predicts without the "
            "adapter; or pictures of the class that the base draws before the first step",
            change="base_prediction where other things begin to look like the subject; class_pictures costs the drawing too",
            source=f"{DREAMBOOTH}; base_prediction: Li and Hoiem 2016, arXiv 1606.09282, section 3",
        ),
    ] = "none"
    prior_share: Annotated[
        float,
        Knob(
            meaning="Share of the steps that look at the prior, with as many views again as the step has",
            change="less for speed: such a step takes twice as long, with base_prediction a little more",
            least=0.01,
            most=1.0,
            source="1 is what diffusers' DreamBooth scripts do: each batch brings as many class pictures along",
        ),
    ] = 1.0
    prior_weight: Annotated[
        float,
        Knob(
            meaning="Weight of the prior's loss against the pictures' own",
            change="up where others still look like the subject, down where the subject is not learned",
            source=f"{DREAMBOOTH}, lambda of equation 2; 1 there and in diffusers' scripts",
            least=1e-4,
            most=1e4,
        ),
    ] = 1.0
    prior_prompts: Annotated[
        tuple[str, ...],
        Knob(
            meaning="What else should stay: prompts without the trigger, {class_word} is filled in; drawn beside the captions "
            "without the trigger",
            change="a dozen different things and places keep more than the class alone",
            most=256,
            longest=300,
            source="a choice of this program, measured on one subject alone (EXPERIMENTS.md, Keeping the class: a first look)",
        ),
    ] = ()
    prior_pictures: Annotated[
        int,
        Knob(
            meaning="How many class pictures the base draws",
            unit="pictures",
            change="100 to 200 for long trainings; they are drawn once and kept",
            source="100 in diffusers' DreamBooth scripts",
            least=1,
            most=1000,
        ),
    ] = 100
