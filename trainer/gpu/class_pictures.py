"""Pictures of the class that the base itself draws: what DreamBooth's prior is learned on.

Ruiz et al. 2023, arXiv 2208.12242, section 3.3: x_pr is what the frozen base draws for the class prompt from its own noise.

Each is kept under a name made of all that decides it, so that another base, prompt, sampler or size never finds it, and the
same one never draws it twice. Seeds are 0, 1, 2 ... whatever the run's seed: a second run finds the first one's pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from storage.domain.plan import Plan, PreviewPrompt
from trainer.gpu.captions import class_texts
from trainer.gpu.families.family import Base, Words
from trainer.gpu.families.fingerprints import of_module
from trainer.gpu.latents import Encoded, Keeping, encoded
from trainer.gpu.pictures import framed
from trainer.gpu.preview import panel, shape_of

VERSION = 1
"""Of how they are drawn: another number finds nothing of before."""
AT_ONCE = 8
"""Pictures that are lost at most if the child is ended while it draws."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One class picture."""

    text: str
    seed: int
    file: Path


def class_pictures(
    base: Base,
    plan: Plan,
    words: dict[str, Words],
    *,
    own: Sequence[tuple[str, str]],
    cache: Path,
    tell: Callable[[], None],
    keeping: Keeping,
) -> list[Encoded]:
    """All class pictures of a plan, encoded; drawn where they are missing. `own` are ids and captions of single pictures.

    The base wears nothing afterwards. `tell` is called at each step of the sampler and after each picture.
    """
    base.wear(None)
    wanted = _wanted(base, plan, own, cache)
    missing = [each for each in wanted if not _whole(each.file)]
    for start in range(0, len(missing), AT_ONCE):
        _draw(base, plan, words, missing[start : start + AT_ONCE], tell)
    among = (shape_of(base, plan),)
    pictures = [
        framed(each.file, among, picture_id=f"class-{each.seed}", held_out=False, caption=each.text) for each in wanted
    ]
    return encoded(base, pictures, cache, lambda _: tell(), keeping)


def _wanted(base: Base, plan: Plan, own: Sequence[tuple[str, str]], cache: Path) -> list[_Wanted]:
    """The classes in turn, and of each its prompts in turn; each picture with a seed of its own."""
    classes = class_texts(plan, own)
    drawn_by = [VERSION, of_module(base.denoiser), base.words_sha256, base.vae_sha256]
    shape = shape_of(base, plan)
    how = [*drawn_by, plan.preview_steps, plan.guidance, shape.height, shape.width]
    found = []
    for seed in range(plan.prior_pictures):
        texts, turn = classes[seed % len(classes)], seed // len(classes)
        text = texts[turn % len(texts)]
        key = hashlib.sha256(json.dumps([*how, text, seed]).encode()).hexdigest()[:40]
        found.append(_Wanted(text=text, seed=seed, file=cache / f"class-{key}.png"))
    return found


def _draw(base: Base, plan: Plan, words: dict[str, Words], some: Sequence[_Wanted], tell: Callable[[], None]) -> None:
    rows = [PreviewPrompt(text=each.text, seeds=(each.seed,), with_trigger=False) for each in some]
    drawn = panel(base, plan, words, prompts=rows, tell=tell)
    for row, each in enumerate(some):
        each.file.parent.mkdir(parents=True, exist_ok=True)
        part = each.file.with_suffix(".part")
        drawn[row, each.seed].save(part, format="PNG")
        part.replace(each.file)


def _whole(file: Path) -> bool:
    """Whether a kept picture can still be read to its end."""
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
