"""Whether a trigger is a new word to a base: rare in its tokenizer, and close to nothing it knows.

A known word brings its meaning along and fights what is learned (Ruiz et al. 2023, arXiv 2208.12242, section 3.2, asks for
rare tokens, one to three of them). A word that a tokenizer keeps as one piece is common; one that it spells nearly letter by
letter ("xxy5syt00" there) means its letters; one that the judge's text end hears almost as a common noun means that noun.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from storage.domain.orders import MOST_PIECES
from storage.domain.plan import Plan
from trainer.gpu.judge.eye import Eye

_COMMON = (
    "person man woman child dog cat bird horse car house tree flower food cup chair toy robot doll ball book "
    "painting photo drawing cartoon sketch city beach snow night red blue green yellow black white"
)
COMMON = tuple(_COMMON.split())
CLOSEST = 0.97
"""Cosine in the judge's text end from which a word is heard as a known one. Measured with the pocket's, which knows few words:
made-up words reach 0.95, so only spellings of the same word are caught there; tokens tell the rest. Other judges: not measured."""


WORDS = 10_000
"""Entries from which a vocabulary holds words: CLIP's 49408, T5's 32100, Qwen's 151643. The pocket's spells the rest."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a base makes of a trigger."""

    pieces: tuple[int, ...]
    """Into how many pieces each of the base's tokenizers cuts it."""
    like: str | None
    """The common word that it means nearly the same as; None where none does, or nobody could be asked."""

    spelled: int = 0
    """Pieces of the tokenizer of words that cuts it into most, where those are more than `MOST_PIECES`."""

    @property
    def known(self) -> bool:
        """Whether it has a meaning already: a tokenizer knows it whole, or it is like a common word."""
        return min(self.pieces, default=2) == 1 or self.like is not None

    @property
    def new(self) -> bool:
        """Whether it can carry a meaning of its own."""
        return not self.known and not self.spelled

    @property
    def cut(self) -> int:
        """Pieces to tell of: 1 where it is known whole, more than `MOST_PIECES` where it is spelled; 0 where nobody was asked."""
        least = min(self.pieces, default=0)
        return least if least < 2 else self.spelled or min(least, MOST_PIECES)


def heard(trigger: str, tokenizers: Iterable[Any], eye: Eye | None) -> Heard:
    """Ask the base's tokenizers, and the judge beside it where there is one."""
    asked = list(tokenizers)
    pieces = tuple(len(t(trigger, add_special_tokens=False).input_ids) for t in asked)
    most = max((cut for cut, t in zip(pieces, asked, strict=True) if len(t) >= WORDS), default=0)
    like = _like(trigger, eye) if eye else None
    return Heard(pieces=pieces, like=like, spelled=most if most > MOST_PIECES else 0)


def _like(trigger: str, eye: Eye) -> str | None:
    words = [trigger.lower(), *COMMON]
    if trigger.lower() in COMMON:
        return trigger.lower()
    directions_ND = eye.texts(words)
    nearness_N = directions_ND[1:] @ directions_ND[0]
    best = int(nearness_N.argmax())
    return COMMON[best] if float(nearness_N[best]) >= CLOSEST else None


class SameWord(Exception):
    """Two concepts cannot be told apart by their triggers."""


def require_apart(plan: Plan, tokenizers: Iterable[Any]) -> None:
    """Raises `SameWord` where a plan's triggers are one word to its base: the concepts would become one."""
    alike = heard_alike([concept.trigger for concept in plan.concepts], tokenizers)
    if alike is not None:
        one, other = alike
        raise SameWord(f"the base reads the triggers {one} and {other} as one word; call one of the two otherwise")


def heard_alike(triggers: Sequence[str], tokenizers: Iterable[Any]) -> tuple[str, str] | None:
    """Two triggers that every tokenizer of a base cuts into the same pieces: to it they are one word. None where there are none."""
    known = list(tokenizers)
    cut = {word: [tuple(t(word, add_special_tokens=False).input_ids) for t in known] for word in triggers}
    return next(((a, b) for a, b in combinations(triggers, 2) if known and cut[a] == cut[b]), None)


def tokenizers_of(pipeline: object) -> Sequence[Any]:
    """Those of a stock pipeline, whatever the family calls them."""
    names = ("tokenizer", "tokenizer_2", "tokenizer_3")
    return [t for t in (getattr(pipeline, name, None) for name in names) if t is not None]
