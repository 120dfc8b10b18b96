"""What training pictures are called: the plan's templates, one drawn a view, some left empty."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from storage.domain.plan import Plan
from trainer.gpu.noise import generator, uniform


def filled(template: str, plan: Plan) -> str:
    """A template with the order's words in it."""
    return template.replace("{trigger}", plan.trigger).replace("{class_word}", plan.class_word)


def caption(plan: Plan, *, step: int, view: int, own: str = "") -> str:
    """The caption of one view of a step: the picture's own where it has one, else a template drawn.

    Empty for the share that keeps guidance working (Ho and Salimans 2022).
    """
    if float(uniform((1,), plan.seed, step, f"dropout-{view}")) < plan.caption_dropout:
        return ""
    if own:
        return own
    choice = torch.randint(len(plan.captions), (1,), generator=generator(plan.seed, step, f"caption-{view}"))
    return filled(plan.captions[int(choice)], plan)


def judged(plan: Plan) -> str:
    """The one caption that losses are measured with."""
    return filled(plan.captions[0], plan)


def texts(plan: Plan, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Every text that a run of this plan ever shows to the base model, each once; `own` are captions of single pictures."""
    prompts = [text for prompt in plan.prompts for text in (prompt.text, prompt.plain)]
    return tuple(
        dict.fromkeys(["", *(filled(template, plan) for template in plan.captions), *prompts, *filter(None, own)])
    )
