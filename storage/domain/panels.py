"""What is drawn at every checkpoint, and what training captions say: words only, by subject type.

A panel has prompts near the training pictures, prompts that put the subject elsewhere, and prompts without the trigger,
where others must stay themselves. The pocket knows only the words of its drawn world.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.orders import SubjectType
from storage.domain.plan import Concept, PreviewPrompt

ROWS = 4
"""Prompts with the trigger, at most."""
OTHERS = 2
"""Prompts without it, at most."""

SEEDS_A_PROMPT = 2
MOST_ROWS = 16
"""Of a plan's panel."""
ROWS_A_CONCEPT = 2
"""Where several concepts share a panel and it has room: more rows cost drawing time at every checkpoint."""

_POCKET_PLACES = ("on grass", "in the snow", "at night", "at sea")
"""Phrases of the pocket's pretraining captions, word for word; a test compares them with its vocabulary."""
_PLACES = ("on a beach", "in a snowy forest", "in a city at night", "on a wooden table")
_PEOPLES_PLACES = (*_PLACES[:3], "in a sunny kitchen")

_POCKET_OTHERS = ("a red cat on grass", "a blue car in the snow")
_OTHERS = ("a photo of a person walking a dog in a park", "a bowl of fruit on a table")

_STYLE_THINGS = ("a cat", "a house", "a car", "a flower")
_POCKET_STYLE_THINGS = (
    "a red cat on grass",
    "a blue house in the snow",
    "a yellow car at night",
    "a pink flower at sea",
)


def captions_for(subject_type: SubjectType, *, pocket: bool) -> tuple[str, ...]:
    """Caption templates of training pictures; one is drawn for every view."""
    if subject_type is SubjectType.STYLE and pocket:  # its pretraining says styles after a comma
        return ("a picture, {trigger} style", "a drawing, {trigger} style", "{trigger} style")
    if subject_type is SubjectType.STYLE:
        return ("a picture in {trigger} style", "{trigger} style", "a {class_word} in {trigger} style")
    if pocket:
        return ("a {trigger} {class_word}", "a picture of a {trigger} {class_word}", "{trigger} {class_word}")
    return ("a photo of {trigger} {class_word}", "{trigger} {class_word}", "a picture of {trigger} {class_word}")


def prompts_for(
    subject_type: SubjectType,
    *,
    trigger: str,
    class_word: str,
    seed: int,
    pocket: bool,
    rows: int = ROWS,
    seeds: int = SEEDS_A_PROMPT,
    others: int = OTHERS,
) -> tuple[PreviewPrompt, ...]:
    """The panel of one order: prompts with the trigger at so many seeds each, and some without at `SEEDS_A_PROMPT`.

    A smaller panel is a part of the largest: the same prompts at the same seeds, so that what a smaller one would have seen
    can be read from what was drawn for a larger one.
    """
    shown = _subject_prompts(subject_type, trigger=trigger, class_word=class_word, pocket=pocket)
    return _numbered(shown[:rows], _others(pocket=pocket)[:others], seed, seeds)


def prompts_of_concepts(
    subject_type: SubjectType,
    concepts: Sequence[Concept],
    *,
    seed: int,
    pocket: bool,
    seeds: int = SEEDS_A_PROMPT,
    others: int = OTHERS,
) -> tuple[PreviewPrompt, ...]:
    """The panel of several concepts: rows of each in places of its own, two concepts together, then rows without a trigger."""
    beside = _others(pocket=pocket)[:others]
    each = min(ROWS_A_CONCEPT, (MOST_ROWS - OTHERS - 1) // len(concepts))
    shown: list[tuple[str, str]] = []
    for number, concept in enumerate(concepts):
        rows = _subject_prompts(subject_type, trigger=concept.trigger, class_word=concept.class_word, pocket=pocket)
        shown += [rows[(number * each + n) % len(rows)] for n in range(each)]
    shown.append(_together(subject_type, concepts[0], concepts[1], pocket=pocket))
    return _numbered(shown, beside, seed, seeds)


def _numbered(
    shown: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]], seed: int, seeds: int
) -> tuple[PreviewPrompt, ...]:
    """Rows with their seeds; those of others stay the same whatever stands before them."""
    triggered = [
        PreviewPrompt(text=text, plain=plain, with_trigger=True, seeds=_seeds(seed, row)[:seeds])
        for row, (text, plain) in enumerate(shown)
    ]
    beside = [
        PreviewPrompt(text=text, plain=plain, with_trigger=False, seeds=_seeds(seed, max(ROWS, len(shown)) + row))
        for row, (text, plain) in enumerate(others)
    ]
    return (*triggered, *beside)


def _others(*, pocket: bool) -> list[tuple[str, str]]:
    return [(text, text) for text in (_POCKET_OTHERS if pocket else _OTHERS)]


def _together(subject_type: SubjectType, one: Concept, other: Concept, *, pocket: bool) -> tuple[str, str]:
    """Two concepts in one picture."""
    if subject_type is SubjectType.STYLE and pocket:
        return f"{_POCKET_STYLE_THINGS[0]}, {one.trigger} style, {other.trigger} style", _POCKET_STYLE_THINGS[0]
    if subject_type is SubjectType.STYLE:
        return f"{_STYLE_THINGS[0]} in {one.trigger} style and {other.trigger} style", _STYLE_THINGS[0]
    place = _POCKET_PLACES[0] if pocket else _places(subject_type)[0]
    lead = "a" if pocket else "a photo of a"
    called, plain = (
        f"{lead} {a} and a {b} {place}"
        for a, b in (
            (f"{one.trigger} {one.class_word}", f"{other.trigger} {other.class_word}"),
            (one.class_word, other.class_word),
        )
    )
    return called, plain


def _subject_prompts(
    subject_type: SubjectType, *, trigger: str, class_word: str, pocket: bool
) -> list[tuple[str, str]]:
    if subject_type is SubjectType.STYLE and pocket:
        return [(f"{thing}, {trigger} style", thing) for thing in _POCKET_STYLE_THINGS]
    if subject_type is SubjectType.STYLE:
        return [(f"{thing} in {trigger} style", thing) for thing in _STYLE_THINGS]
    places = _POCKET_PLACES if pocket else _places(subject_type)
    lead = "a" if pocket else "a photo of a"
    return [(f"{lead} {trigger} {class_word} {place}", f"{lead} {class_word} {place}") for place in places]


def _places(subject_type: SubjectType) -> tuple[str, ...]:
    return _PEOPLES_PLACES if subject_type in (SubjectType.PERSON, SubjectType.CHARACTER) else _PLACES


def _seeds(seed: int, row: int) -> tuple[int, ...]:
    return tuple((seed + 7919 * (row * SEEDS_A_PROMPT + k)) % 2**31 for k in range(SEEDS_A_PROMPT))
