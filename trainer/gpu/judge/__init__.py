"""The judge: what a checkpoint is worth, in numbers that compare across checkpoints and scales."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from storage.domain.concepts import in_turn
from storage.domain.measurement import Measurement
from storage.domain.plan import Plan, PreviewPrompt, Validation
from trainer.gpu.families.family import Base, Words
from trainer.gpu.judge import losses, sharpness
from trainer.gpu.judge.eye import Eye
from trainer.gpu.judge.flags import flags
from trainer.gpu.judge.sight import Drawn, References, Seen, seed_variety, seen
from trainer.gpu.latents import Encoded
from trainer.gpu.preview import Panel

MOST_TRAINING = 4
"""Training pictures whose loss is measured: enough to show the gap to the held-out ones."""


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What every checkpoint of an order is held against: measured once on the base."""

    plan: Plan
    held_out: Sequence[Encoded]
    training: Sequence[Encoded]
    base_held_out_N82: Tensor
    base_training_N82: Tensor
    eye: Eye | None
    references: References | None
    base_drawn: Panel
    most: int
    """Pictures a forward pass."""

    @property
    def base_by_stratum(self) -> tuple[float, ...]:
        """The base's loss on training pictures, by stratum: what the progress line compares with."""
        return tuple(self.base_training_N82.mean(dim=(0, 2)).tolist())


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A measurement, and the held-out losses that later ones are compared with."""

    measurement: Measurement
    held_out: tuple[float, ...]


def yardstick(
    base: Base,
    plan: Plan,
    *,
    pictures: Sequence[Encoded],
    words: dict[str, Words],
    eye: Eye | None,
    drawn: Panel,
    most: int,
) -> Yardstick:
    """Measures the base; it may wear nothing."""
    base.wear(None)
    held_out = [p for p in pictures if p.picture.held_out]
    training = in_turn(plan, [p for p in pictures if not p.picture.held_out], lambda p: p.picture.id)[:MOST_TRAINING]
    return Yardstick(
        plan=plan,
        held_out=held_out,
        training=training,
        base_held_out_N82=losses.draws(base, held_out, plan, words, most=most),
        base_training_N82=losses.draws(base, training, plan, words, most=most),
        eye=eye,
        references=references(eye, plan.prompts, pictures, drawn) if eye else None,
        base_drawn=drawn,
        most=most,
    )


def references(eye: Eye, prompts: Sequence[PreviewPrompt], pictures: Sequence[Encoded], drawn: Panel) -> References:
    """What the eye holds previews against: all of the member's pictures, and the base's own drawings."""
    return References(
        training_ND=eye.pictures([p.picture.image for p in pictures]),
        ids=tuple(p.picture.id for p in pictures),
        base=looked_at(eye, drawn),
        plain_RD=eye.texts([prompt.plain or prompt.text for prompt in prompts]),
    )


def looked_at(eye: Eye, drawn: Panel) -> Drawn:
    """Embeddings of a panel."""
    return dict(zip(drawn, eye.pictures(list(drawn.values())), strict=True))


def measure(
    base: Base,
    stick: Yardstick,
    words: dict[str, Words],
    drawn: Panel,
    *,
    step: int,
    earlier: Mapping[int, tuple[float, ...]],
) -> Verdict:
    """Measures what the base wears after `step` steps; `earlier` holds the held-out losses of earlier checkpoints, by step."""
    began = time.monotonic()
    plan = stick.plan
    now_held_out = losses.draws(base, stick.held_out, plan, words, most=stick.most)
    now_training = losses.draws(base, stick.training, plan, words, most=stick.most)
    relative = tuple(losses.relative(now_held_out, stick.base_held_out_N82).flatten().tolist())
    eyed = looked_at(stick.eye, drawn) if stick.eye else {}
    look = seen(plan, eyed, stick.references) if eyed and stick.references else None
    finite = bool(torch.isfinite(now_training).all() and torch.isfinite(now_held_out).all())
    rows = [row for row, prompt in enumerate(plan.prompts) if prompt.with_trigger]
    triggered = {cell: image for cell, image in drawn.items() if cell[0] in rows}
    on_training = tuple(losses.relative(now_training, stick.base_training_N82).flatten().tolist())
    utilities = _utilities(plan, look, relative, on_training, earlier)
    measurement = Measurement(
        validation_ratio=_number(losses.ratio(now_held_out, stick.base_held_out_N82)),
        training_ratio=_number(losses.ratio(now_training, stick.base_training_N82)),
        likeness=look.likeness if look else None,
        likenesses=look.likenesses if look and plan.concepts else (),
        adherence=look.adherence if look else None,
        variety=look.variety if look else None,
        leakage=look.leakage if look else None,
        memorisation=look.memorisation if look else None,
        utility=sum(utilities) / len(utilities) if utilities else None,
        utilities=utilities,
        flags=flags([*triggered.values()], finite=finite, seen=look, overfits=losses.overfits(relative, step, earlier)),
        seconds=round(time.monotonic() - began, 3),
        sharpness=sharpness.relative(triggered, stick.base_drawn, [p.picture.image for p in stick.training]),
        seed_variety=seed_variety(eyed, stick.references.base, rows) if eyed and stick.references else None,
    )
    return Verdict(measurement=measurement, held_out=relative)


def _utilities(
    plan: Plan,
    look: Seen | None,
    held_out: Sequence[float],
    training: Sequence[float],
    earlier: Mapping[int, tuple[float, ...]],
) -> tuple[float, ...]:
    """What checkpoints are compared by; nothing where a number is none.

    With an eye: one utility a triggered prompt; where validation has a full voice, they shrink as the held-out loss rises
    above its lowest. Without an eye: how much of the base's loss is gone, a number a stratum: on held-out pictures where they
    have a full voice, else on training pictures, so that one or two held-out ones only veto.
    """
    full = plan.validation is Validation.FULL and bool(held_out)
    if look is None:
        draws = torch.tensor(held_out if full else training, dtype=torch.float64).view(-1, losses.STRATA, 2)
        found = (1.0 - draws.mean(dim=(0, 2))).clamp(0.0, 1.0).tolist() if len(draws) else []
    elif full:
        known = [math.fsum(values) for values in (held_out, *earlier.values())]
        lowest = min(filter(math.isfinite, known), default=math.nan)
        found = [u * lowest / known[0] for u in look.utilities]
    else:
        found = list(look.utilities)
    return tuple(found) if all(map(math.isfinite, found)) else ()


def _number(value: float | None) -> float | None:
    """JSON has no NaN: a loss that is none is not measured, and the flag says so."""
    return value if value is not None and math.isfinite(value) else None
