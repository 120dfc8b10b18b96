"""Previews: drawn from the exported file, in the base that has never carried the training adapter."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from PIL import Image

from storage import faults
from storage.domain.plan import Plan, PreviewPrompt
from trainer.gpu.families.family import Base, Drawing, Words
from trainer.gpu.memory import halving
from trainer.gpu.pictures import Shape

Panel = Mapping[tuple[int, int], Image.Image]
"""(row, seed) -> picture."""
BATCH_PIXELS = 16 * 64 * 64
"""Pictures of so many pixels together are drawn at once on the CPU, and of 256 times as many on a GPU."""


class Sampling(Protocol):
    """How pictures are drawn: a plan says it, and a comparison of LoRAs."""

    @property
    def resolution(self) -> int: ...
    @property
    def preview_steps(self) -> int: ...
    @property
    def guidance(self) -> float: ...
    @property
    def prompts(self) -> Sequence[PreviewPrompt]: ...


def shape_of(base: Base, plan: Sampling) -> Shape:
    """Previews are square: every prompt is drawn in the shape that bases know best."""
    square = [shape for shape in base.shapes(plan.resolution) if shape.height == shape.width]
    return square[0]


def at_once(base: Base, shape: Shape) -> int:
    """Pictures that are drawn together where memory allows it."""
    return max(1, BATCH_PIXELS * (256 if base.device.type != "cpu" else 1) // (shape.height * shape.width))


def panel(
    base: Base,
    plan: Sampling,
    words: Mapping[str, Words],
    *,
    prompts: Sequence[PreviewPrompt] | None = None,
    tell: Callable[[], None] = lambda: None,
) -> dict[tuple[int, int], Image.Image]:
    """Every prompt at every seed, with what the base wears. `tell` is called at each step of the sampler."""
    rows = plan.prompts if prompts is None else prompts
    wanted = [(row, seed) for row, prompt in enumerate(rows) for seed in prompt.seeds]
    shape = shape_of(base, plan)
    drawn: dict[tuple[int, int], Image.Image] = {}

    def draw(most: int) -> None:
        while len(drawn) < len(wanted):
            cells = wanted[len(drawn) : len(drawn) + most]
            drawings = [Drawing(words=words[rows[row].text], seed=seed) for row, seed in cells]
            with _telling(base, tell):
                pictures = base.draw(drawings, words[""], shape=shape, steps=plan.preview_steps, guidance=plan.guidance)
            drawn.update(zip(cells, pictures, strict=True))
            faults.gap("preview")
            tell()

    halving(at_once(base, shape), draw)
    return drawn


@contextlib.contextmanager
def _telling(base: Base, tell: Callable[[], None]) -> Iterator[None]:
    """A batch of large pictures takes minutes on a small card: whoever listens hears of every look of the denoiser."""
    hook = base.denoiser.register_forward_hook(lambda *_: tell())
    try:
        yield
    finally:
        hook.remove()


def base_panel(
    base: Base, plan: Plan, words: Mapping[str, Words], cache: Path, *, tell: Callable[[], None] = lambda: None
) -> dict[tuple[int, int], Image.Image]:
    """The plan's panel without the LoRA: drawn once an order, then read from `cache`."""
    kept = kept_base(base, plan, cache)
    if kept is not None:
        return kept
    base.wear(None)
    drawn = panel(base, plan, words, tell=tell)
    save(drawn, _base_folder(base, plan, cache), lambda row, seed: f"{row}-{seed}.png")
    return drawn


def kept_base(base: Base, plan: Plan, cache: Path) -> dict[tuple[int, int], Image.Image] | None:
    """What `base_panel` drew; None where it is not all there."""
    folder = _base_folder(base, plan, cache)
    wanted = [(row, seed) for row, prompt in enumerate(plan.prompts) for seed in prompt.seeds]
    found = {cell: opened(folder / f"{cell[0]}-{cell[1]}.png") for cell in wanted}
    whole = {cell: image for cell, image in found.items() if image is not None}
    return whole if len(whole) == len(found) else None


def _base_folder(base: Base, plan: Plan, cache: Path) -> Path:
    return cache / f"base-{_key(base, plan)}"


def save(drawn: Panel, folder: Path, name: Callable[[int, int], str]) -> None:
    """Writes every picture as PNG, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for (row, seed), image in drawn.items():
        file = folder / name(row, seed)
        part = file.with_suffix(".part")
        image.save(part, format="PNG")
        part.replace(file)


def opened(file: Path) -> Image.Image | None:
    """A picture that `save` wrote; None where it is not there or damaged."""
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def _key(base: Base, plan: Plan) -> str:
    text = json.dumps(
        [[asdict(p) for p in plan.prompts], plan.preview_steps, plan.guidance, plan.resolution, base.vae_sha256]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:24]
