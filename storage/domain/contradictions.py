"""Fields of a plan that cannot stand together, by the name of the one to change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise

from storage.domain.bases import flow
from storage.domain.concepts import contradictory
from storage.domain.knobs import knobs
from storage.domain.plan import Plan

NEEDS = (
    ("cosine_cycles", "schedule", "cosine"),
    ("prodigy_d_coef", "optimizer", "prodigy"),
    ("timestep_mean", "timestep_density", "logit-normal"),
    ("timestep_std", "timestep_density", "logit-normal"),
    ("prior_pictures", "prior", "class_pictures"),
)
"""(field, the field it means something with, that one's value)."""


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
    if plan.continue_from and not re.fullmatch(r"[0-9a-f]{64}", plan.continue_from):
        yield "continue_from", "it is no SHA-256: 64 digits and letters from a to f"
    yield from _meaningless(plan)
    yield from _of_pictures(plan)
    yield from contradictory(plan)
    yield from _of_prompts(plan)


def _of_prompts(plan: Plan) -> Iterator[tuple[str, str]]:
    """What is drawn and voted on."""
    if not any(prompt.with_trigger for prompt in plan.prompts):
        yield "prompts", "none of them has the trigger, and those are what is voted on"
    texts = Counter(prompt.text for prompt in plan.prompts)
    for text in (text for text, count in texts.items() if count > 1):
        yield "prompts", f"{text[:80]!r} stands there {texts[text]} times; one prompt can have several seeds"
    for prompt in plan.prompts:
        if len(prompt.text) > 300 or len(prompt.plain) > 300:
            yield "prompts", "a text is longer than 300 characters"
        if not 1 <= len(prompt.seeds) <= 8 or not all(0 <= seed < 2**63 for seed in prompt.seeds):
            yield "prompts", "each has 1 to 8 seeds, none negative"


def _of_pictures(plan: Plan) -> Iterator[tuple[str, str]]:
    """What is shown, what it is called, and what should stay."""
    if plan.prior == "none":
        for name in ("prior_share", "prior_weight", "prior_prompts"):
            if getattr(plan, name) != getattr(Plan, name):
                yield name, "it means something with a prior alone"
    if any("{trigger}" in prompt or plan.trigger.lower() in prompt.lower() for prompt in plan.prior_prompts):
        yield "prior_prompts", "the trigger is in one of them, and the prior is what stays without it"
    if plan.keep_tokens != Plan.keep_tokens and not plan.caption_shuffle:
        yield "keep_tokens", "it means something with caption_shuffle alone"
    sides = (plan.resolution, *plan.resolutions)
    if len(set(sides)) < len(sides):
        yield "resolutions", "a side stands there twice, or is the resolution itself"
    if not all(16 <= side <= 2048 for side in sides):
        yield "resolutions", "a side is not from 16 to 2048 px"
    if set(plan.repeats) & set(plan.held_out):
        yield "repeats", "a picture in it is held out, and those are never trained on"


def _meaningless(plan: Plan) -> Iterator[tuple[str, str]]:
    """Fields that would be accepted and ignored."""
    usual = {field.name: field.default for field in fields(plan)}
    for name, other, value in NEEDS:
        if getattr(plan, name) != usual[name] and getattr(plan, other) != value:
            yield name, f"it means something with {other} {value} alone"
    if flow(plan.base) and plan.targets == "attention+ff+conv":
        yield "targets", f"{plan.base} has no convolutions; attention+ff is all that it has"
    if plan.optimizer == "prodigy" and plan.text_encoder_rate not in (0.0, plan.learning_rate):
        yield "text_encoder_rate", "prodigy has one rate for all: learning_rate, or 0"
    kind = "flow" if flow(plan.base) else "diffusion"
    for field in knobs(Plan):
        if field.knob.only not in (None, kind) and getattr(plan, field.name):
            yield field.name, f"it belongs to {field.knob.only} models, and {plan.base} is none"
