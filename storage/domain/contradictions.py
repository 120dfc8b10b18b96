"""Fields of a plan that cannot stand together, by the name of the one to change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from storage.domain.plan import Plan


def contradictions(plan: Plan) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) of each; `knobs.out_of_bounds` has looked at every field by itself."""
    marks = plan.checkpoint_steps
    if marks[-1] != plan.steps or marks[0] < 1:
        yield "checkpoint_steps", "the first is at least 1 and the last is the number of steps"
    if not all(a < b for a, b in pairwise(marks)):
        yield "checkpoint_steps", "they must ascend"
    if plan.warmup_steps > plan.steps:
        yield "warmup_steps", "it is longer than the training"
    if (plan.validation.value == "none") == bool(plan.held_out):
        yield "validation", "it needs held-out pictures, and held-out pictures need it"
    for prompt in plan.prompts:
        if len(prompt.text) > 300 or len(prompt.plain) > 300:
            yield "prompts", "a text is longer than 300 characters"
        if not 1 <= len(prompt.seeds) <= 8 or not all(0 <= seed < 2**63 for seed in prompt.seeds):
            yield "prompts", "each has 1 to 8 seeds, none negative"
