"""Captions of drawn scenes: fixed phrasings over the vocabulary, with made-up words thrown in."""

from collections.abc import Sequence
from random import Random

from trainer.pocket.vocabulary import BACKGROUNDS, nonce

PERSONS = ("man", "woman")
NONCE_SHARE = 0.08
UNSAID_SHARE = 0.06  # how often the colour, and apart from it the background, is left out


def noun_phrase(
    class_word: str, colour: str | None, *, size: str | None = None, extra: str | None = None, tail: str | None = None
) -> str:
    """`a small red zorvex dog with stripes`, or `a man wearing red`: persons wear their colour."""
    worn = class_word in PERSONS
    before = [word for word in (size, None if worn else colour, extra, class_word) if word]
    after = [f"wearing {colour}"] if worn and colour else []
    return " ".join([_article(before[0]), *before, *after, *([tail] if tail else [])])


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" or word == "umbrella" else "a"


def prompt(class_word: str, colour: str, background: str) -> str:
    """The plain caption of a gate or benchmark prompt."""
    return f"{noun_phrase(class_word, colour)} {BACKGROUNDS[background]}"


def caption(
    random: Random, phrases: Sequence[str], background: str, *, style: str | None = None, plain: bool = False
) -> str:
    """One caption of a scene; `plain` keeps to the phrasing of `prompt`."""
    thing = random.choice((" and ", " next to ")).join(phrases)
    place = BACKGROUNDS[background]
    if plain or random.random() < 0.55:
        text = f"{thing} {place}"
    elif random.random() < 0.5:
        text = f"a {random.choice(('picture', 'drawing', 'photo'))} of {thing} {place}"
    else:
        text = f"{thing}, {place}"
    if not plain and random.random() < UNSAID_SHARE:
        text = thing
    if style:
        text = f"{text}, {style} style" if random.random() < 0.7 else f"{style} style, {text}"
    if not plain and random.random() < NONCE_SHARE / 2:
        text = f"{nonce(random)}, {text}" if random.random() < 0.5 else f"{text}, {nonce(random)}"
    return text
