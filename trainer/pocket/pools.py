"""Pools of drawn pictures with captions and labels, kept on disk so that a resumed run does not draw again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.pocket.architecture import PICTURE_PX
from trainer.pocket.curriculum import Series
from trainer.pocket.scenes import PAIRS, ScenePlan, draw_scene, plan_scene
from trainer.pocket.textures import draw_texture
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

Pictures = NDArray[np.uint8]
UNTOLD = -1  # label of a scene with two things or a style: no single right answer


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pictures (N, 64, 64, 3), their captions, and labels: (N, 3) of class, colour and background where nothing else was asked."""

    pictures: Pictures
    captions: list[str]
    labels: NDArray[np.int64]


def labels_of(plan: ScenePlan) -> tuple[int, int, int]:
    """Class, colour and background as numbers; `UNTOLD` where the picture has no single answer."""
    places = tuple(BACKGROUNDS)
    if len(plan.things) != 1 or plan.style:
        return UNTOLD, UNTOLD, UNTOLD
    thing = plan.things[0]
    return CLASSES.index(thing.class_word), COLOURS.index(thing.colour), places.index(plan.background)


def scene_pool(
    folder: Path,
    one: Series,
    *,
    every_combination: bool = False,
    labels: Callable[[ScenePlan], tuple[int, ...]] = labels_of,
) -> Pool:
    """The pool of a series, from disk where it already lies."""
    kind = ("-all" if every_combination else "") + ("" if one.pairs == PAIRS else f"-pairs{round(one.pairs * 100):03d}")
    name = f"scenes-{one.seed}-{round(one.spread * 100):03d}-{one.count}{kind}"
    plans = [
        plan_scene(one.seed, index, one.spread, every_combination=every_combination, pairs=one.pairs)
        for index in range(one.count)
    ]
    pictures = _kept(folder / f"{name}.npy", one.count, lambda index: draw_scene(plans[index], PICTURE_PX))
    answers = np.array([labels(plan) for plan in plans], dtype=np.int64)
    return Pool(pictures=pictures, captions=[plan.caption for plan in plans], labels=answers)


def texture_pool(folder: Path, *, seed: int, count: int) -> Pictures:
    """Abstract textures (N, 64, 64, 3) for the autoencoder."""
    return _kept(folder / f"textures-{seed}-{count}.npy", count, lambda index: draw_texture(seed, index, PICTURE_PX))


def _kept(path: Path, count: int, draw: Callable[[int], Image.Image]) -> Pictures:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = np.stack([np.asarray(draw(index)) for index in range(count)])
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, pictures)
        unfinished.replace(path)
    kept: Pictures = np.load(path, mmap_mode="r")
    return kept
