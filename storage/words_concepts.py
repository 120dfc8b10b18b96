"""Several concepts of one LoRA in plain words: the same in the terminal, on the page and on the card."""

from __future__ import annotations

from storage.domain.concepts import prompt_words, turns
from storage.domain.measurement import Measurement
from storage.domain.plan import Plan


def concept_lines(plan: Plan) -> list[str]:
    """How each concept is called and how much of what is seen shows it; nothing where a plan has one subject."""
    held_out = set(plan.held_out)
    seen = [sum(turns(plan, id_) for id_ in c.pictures if id_ not in held_out) for c in plan.concepts]
    lines = []
    for concept, words, views in zip(plan.concepts, prompt_words(plan), seen, strict=False):
        count = len(concept.pictures)
        pictures = "1 picture" if count == 1 else f"{count} pictures"
        again = f", each seen {concept.repeats} times a round" if concept.repeats > 1 else ""
        lines.append(f'"{words}" calls one of them: {pictures}{again}, {100 * views / sum(seen):.0f} % of all views.')
    return [f"It learns {len(lines)} things, each with a trigger of its own.", *lines] if lines else []


def concepts_line(plan: Plan | None, measurement: Measurement | None) -> str:
    """The likeness of each concept in one line; empty where there is one subject, or nothing was measured."""
    if plan is None or measurement is None or not measurement.likenesses:
        return ""
    each = zip(plan.concepts, measurement.likenesses, strict=False)
    said = ", ".join(f"{concept.trigger} {100 * likeness:.0f}\u00a0%" for concept, likeness in each)
    return f"Likeness of each to its own pictures: {said}."


def trigger_words(plan: Plan | None, trigger: str) -> str:
    """What a card calls the trigger: of several concepts all words with their classes."""
    return ", ".join(prompt_words(plan)) if plan and plan.concepts else trigger
