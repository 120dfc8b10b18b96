"""Several things in one LoRA, each called by a word of its own.

Kumari et al. 2023 (Custom Diffusion, arXiv 2212.04488, section 3.2, "Joint training on multiple concepts"): the pictures of all
concepts are one training set, and each concept has its own rare word beside its class. One after the other is worse: the first
is forgotten (https://www.cs.cmu.edu/~custom-diffusion/results.html, sequential training).

Which concept a prompt shows is read from its words, so that a person's own prompts work like the recipe's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from typing import TypeVar

from storage.domain.orders import prompt_with
from storage.domain.plan import Concept, Plan

T = TypeVar("T")
MOST_REPEATS = 1000
LONGEST_WORD = 200
"""Characters, as the plan's own trigger and class word."""


def calls(text: str, trigger: str) -> bool:
    """Whether a trigger stands in a text as a word."""
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text, re.IGNORECASE) is not None


def voices(plan: Plan) -> tuple[Plan, ...]:
    """The plan as each of its concepts says it, with that one's trigger and class word; without concepts as it is."""
    return tuple(replace(plan, trigger=c.trigger, class_word=c.class_word) for c in plan.concepts) or (plan,)


@lru_cache(maxsize=1024)
def voiced(plan: Plan, picture_id: str) -> Plan:
    """The plan as the concept of one picture says it; as it is for a picture that is in none."""
    at = next((n for n, concept in enumerate(plan.concepts) if picture_id in concept.pictures), None)
    return plan if at is None else voices(plan)[at]


def turns(plan: Plan, picture_id: str) -> int:
    """How often a round shows a picture: its concept's repeats, and once more for each time that it stands in `repeats`."""
    own = next((concept.repeats for concept in plan.concepts if picture_id in concept.pictures), 1)
    return own + plan.repeats.count(picture_id)


def shown(plan: Plan, text: str) -> tuple[int, ...]:
    """The numbers of the concepts that a prompt calls."""
    return tuple(n for n, concept in enumerate(plan.concepts) if calls(text, concept.trigger))


def in_turn(plan: Plan, items: Sequence[T], id_of: Callable[[T], str]) -> list[T]:
    """The items of all concepts in turn, so that the first few are of every one; without concepts as they are."""
    groups = [[item for item in items if id_of(item) in concept.pictures] for concept in plan.concepts] or [[*items]]
    return [item for together in zip_longest(*groups) for item in together if item is not None]


def prompt_words(plan: Plan) -> tuple[str, ...]:
    """What to write in a prompt, for each concept."""
    return tuple(
        prompt_with(trigger=v.trigger, class_word=v.class_word, subject_type=plan.subject_type) for v in voices(plan)
    )


def contradictory(plan: Plan) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) of each thing that concepts cannot be, or cannot stand beside."""
    if not plan.concepts:
        return
    if len(plan.concepts) == 1:
        yield "concepts", "one alone is what trigger and class_word say; leave it out or name another"
    first = plan.concepts[0]
    for name in ("trigger", "class_word"):
        if getattr(plan, name) != getattr(first, name):
            yield name, f"it is not that of the first concept, {getattr(first, name)}"
    for concept in plan.concepts:
        if wrong := _by_itself(concept, plan):
            yield "concepts", wrong
    yield from _between(plan.concepts)
    yield from _of_words(plan)


def _by_itself(concept: Concept, plan: Plan) -> str:
    for word in (concept.trigger, concept.class_word):
        if not word.strip() or len(word) > LONGEST_WORD:
            return f"{concept.trigger[:40]!r} needs a trigger and a class_word of 1 to {LONGEST_WORD} characters"
    if not 1 <= concept.repeats <= MOST_REPEATS:
        return f"the repeats of {concept.trigger} are not from 1 to {MOST_REPEATS}"
    if not concept.pictures:
        return f"{concept.trigger} has no pictures"
    if set(concept.pictures) <= set(plan.held_out):
        return f"all pictures of {concept.trigger} are held out, and those are never trained on"
    return ""


def _between(concepts: Sequence[Concept]) -> Iterator[tuple[str, str]]:
    words = Counter(concept.trigger.casefold() for concept in concepts)
    for word in (word for word, count in words.items() if count > 1):
        yield "concepts", f"the trigger {word} stands for {words[word]} of them"
    for concept in concepts:
        others = (other for other in concepts if other.trigger.casefold() != concept.trigger.casefold())
        if any(calls(f"{other.trigger} {other.class_word}", concept.trigger) for other in others):
            yield "concepts", f"the trigger {concept.trigger} is in the words of another"
    pictures = Counter(picture for concept in concepts for picture in concept.pictures)
    for picture in (picture for picture, count in pictures.items() if count > 1):
        yield "concepts", f"the picture {picture[:80]} stands there {pictures[picture]} times"


def _of_words(plan: Plan) -> Iterator[tuple[str, str]]:
    """Prompts and templates: every concept is shown and called by its own word, and others by none."""
    with_trigger = [prompt.text for prompt in plan.prompts if prompt.with_trigger]
    for concept in plan.concepts:
        if not any(calls(text, concept.trigger) for text in with_trigger):
            yield "prompts", f"none of them shows {concept.trigger}"
    for prompt in plan.prompts:
        if prompt.with_trigger != bool(shown(plan, prompt.text)):
            what = "has no trigger" if prompt.with_trigger else "has a trigger; set its with_trigger to true"
            yield "prompts", f"{prompt.text[:80]!r} {what}"
    if any(shown(plan, template) or "{trigger}" not in template for template in plan.captions):
        yield "captions", "each needs {trigger}, which is filled in for every concept, and no trigger itself"
    if any(shown(plan, prompt) for prompt in plan.prior_prompts):
        yield "prior_prompts", "a trigger is in one of them, and the prior is what stays without it"
    classes = len({concept.class_word.casefold() for concept in plan.concepts})
    if plan.prior == "class_pictures" and plan.prior_pictures < classes:
        yield "prior_pictures", f"they are fewer than the {classes} classes of the concepts"
