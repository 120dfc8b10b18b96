"""What is drawn to find the scale: prompts and seeds of the same kind as a plan's own, and none of them.

A scale chosen on the pictures that are reported would flatter them. The strip of the delivery is drawn from the plan's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from storage.domain.concepts import shown, voices
from storage.domain.orders import SubjectType
from storage.domain.panels import MOST_ROWS, ROWS, SEEDS_A_PROMPT
from storage.domain.plan import Plan, PreviewPrompt

_PLACES = ("in a green meadow", "on a stone floor", "in an empty white room", "under a bright blue sky")
_OTHERS = (
    "a stack of old books on a chair",
    "a street with parked cars",
    "a plate of pancakes",
    "a mountain lake at sunrise",
)
_THINGS = ("a dog", "a tree", "a boat", "a teapot")
_POCKET = (
    "a big {} on grass",
    "a photo of a {} in the snow",
    "a {}, at night",
    "a drawing of a {} at sea",
)
"""Phrasings of the pocket's pretraining captions that its panel does not use; the four places of neither are kept for tests."""
_POCKET_OTHERS = (
    "a yellow lamp on grass",
    "a black bird in the snow",
    "a pink rabbit at night",
    "a purple mushroom on grass",
)
_POCKET_THINGS = (
    "a green tree on grass",
    "a red star in the snow",
    "an orange balloon at night",
    "a white boat at sea",
)
_OTHER_SEEDS = 1_000_003
"""Added to the plan's seed."""


def scale_prompts(plan: Plan) -> tuple[PreviewPrompt, ...]:
    """As many prompts with the trigger as the plan has, up to four, one seed each; and twice as many without as it has.

    Of several concepts each has as many. Prompts without the trigger have two seeds, of which the base draws both and a scale
    the first (`once`): leakage is told against the base's distance between seeds. They are twice as many because leakage
    differs more between prompts than between seeds: one of seven leaked four times as much as the others (EXPERIMENTS.md, "Scale").
    """
    triggered = [prompt for prompt in plan.prompts if prompt.with_trigger]
    speakers = voices(plan)
    each = max(1, min(ROWS, len(triggered) // len(speakers), (MOST_ROWS - len(_OTHERS)) // len(speakers)))
    called = [
        _texts(speaker, (number * each + n) % ROWS) for number, speaker in enumerate(speakers) for n in range(each)
    ]
    rows = [PreviewPrompt(text=text, plain=plain, seeds=_seeds(plan, n)[:1]) for n, (text, plain) in enumerate(called)]
    others = (_POCKET_OTHERS if plan.base == "pocket" else _OTHERS)[: 2 * (len(plan.prompts) - len(triggered))]
    return (
        *rows,
        *(
            PreviewPrompt(text=text, plain=text, seeds=_seeds(plan, len(rows) + n), with_trigger=False)
            for n, text in enumerate(others)
        ),
    )


def strip_prompts(plan: Plan) -> tuple[PreviewPrompt, ...]:
    """Of the plan's own: two with the trigger at their first seeds and one without; of several concepts the first of each."""
    triggered = [prompt for prompt in plan.prompts if prompt.with_trigger]
    firsts = [next(p for p in triggered if n in shown(plan, p.text)) for n in range(len(plan.concepts))]
    others = [prompt for prompt in plan.prompts if not prompt.with_trigger]
    return (*once(tuple(dict.fromkeys(firsts) if firsts else triggered[:2])), *others[:1])


def once(prompts: Sequence[PreviewPrompt]) -> tuple[PreviewPrompt, ...]:
    """Each at its first seed: what is drawn at a scale."""
    return tuple(replace(prompt, seeds=prompt.seeds[:1]) for prompt in prompts)


def _texts(plan: Plan, row: int) -> tuple[str, str]:
    """A prompt with the trigger, and the same without."""
    called = f"{plan.trigger} {plan.class_word}"
    if plan.subject_type is SubjectType.STYLE:
        thing = (_POCKET_THINGS if plan.base == "pocket" else _THINGS)[row]
        return (
            f"{thing}, {plan.trigger} style" if plan.base == "pocket" else f"{thing} in {plan.trigger} style"
        ), thing
    if plan.base == "pocket":
        return _POCKET[row].format(called), _POCKET[row].format(plan.class_word)
    return f"a photo of a {called} {_PLACES[row]}", f"a photo of a {plan.class_word} {_PLACES[row]}"


def _seeds(plan: Plan, row: int) -> tuple[int, ...]:
    return tuple((plan.seed + _OTHER_SEEDS + 7919 * (row * SEEDS_A_PROMPT + k)) % 2**31 for k in range(SEEDS_A_PROMPT))
