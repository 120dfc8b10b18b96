"""The judge: what a checkpoint is worth, in numbers that compare across checkpoints and scales."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from storage.domain.concepts import in_turn
from storage.domain.measurement import Measurement
from storage.domain.plan import Plan, PreviewPrompt, Validation
from trainer.gpu.families.family import Base, Words
from trainer.gpu.judge import colour, losses, sharpness, strata
from trainer.gpu.judge.costs import Costs
from trainer.gpu.judge.eyes import Eyes
from trainer.gpu.judge.flags import flags
from trainer.gpu.judge.identity import FACE
from trainer.gpu.judge.intervals import of_mean
from trainer.gpu.judge.sight import CLIP, Looked, References, Seen, by, seed_varieties, seen
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
    eye: Eyes | None
    references: References | None
    base_drawn: Panel
    most: int
    """Pictures a forward pass."""
    edges: tuple[int, ...]
    """Where the strata of the training density begin, for pictures of the first training picture's shape."""
    untold: Costs
    """What drawing the base's panel and measuring the base took, until a checkpoint's measurement has told it."""

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
    eye: Eyes | None,
    drawn: Panel,
    most: int,
    drawing_s: float = 0.0,
) -> Yardstick:
    """Measures the base; it may wear nothing."""
    began = time.monotonic()
    base.wear(None)
    held_out = [p for p in pictures if p.picture.held_out]
    training = in_turn(plan, [p for p in pictures if not p.picture.held_out], lambda p: p.picture.id)[:MOST_TRAINING]
    base_held_out_N82 = losses.draws(base, held_out, plan, words, most=most)
    base_training_N82 = losses.draws(base, training, plan, words, most=most)
    known = references(eye, plan.prompts, pictures, drawn) if eye else None
    return Yardstick(
        plan=plan,
        held_out=held_out,
        training=training,
        base_held_out_N82=base_held_out_N82,
        base_training_N82=base_training_N82,
        eye=eye,
        references=known,
        base_drawn=drawn,
        most=most,
        edges=strata.edges(plan, training[0].picture.shape, base.schedule.steps),
        untold=Costs({"drawing": drawing_s, "base": time.monotonic() - began}),
    )


def references(eye: Eyes, prompts: Sequence[PreviewPrompt], pictures: Sequence[Encoded], drawn: Panel) -> References:
    """What the eyes hold previews against: all of the member's pictures, and the base's own drawings."""
    training, base = eye.look([p.picture.image for p in pictures]), looked_at(eye, drawn)
    subjects = [embeddings for (row, _), embeddings in base.items() if prompts[row].with_trigger]
    blind = FACE in training and not (_sees(training[FACE]) and _sees(torch.stack([e[FACE] for e in subjects])))
    return References(
        training=training,
        ids=tuple(p.picture.id for p in pictures),
        base=base,
        plain_RD=eye.texts([prompt.plain or prompt.text for prompt in prompts]),
        order=tuple(name for name in eye.order if not (blind and name == FACE)),
    )


def _sees(many_ND: Tensor) -> bool:
    """Whether an eye finds what it looks for in at least half of some pictures."""
    return 2 * int((many_ND.norm(dim=-1) > 0).sum()) >= len(many_ND)


def looked_at(eye: Eyes, drawn: Panel) -> Looked:
    """Embeddings of a panel."""
    found = eye.look(list(drawn.values()))
    return {cell: {name: seen_KD[k] for name, seen_KD in found.items()} for k, cell in enumerate(drawn)}


def measure(
    base: Base,
    stick: Yardstick,
    words: dict[str, Words],
    drawn: Panel,
    *,
    step: int,
    earlier: losses.Earlier,
    drawing_s: float = 0.0,
) -> Verdict:
    """Measures what the base wears after `step` steps; `earlier` holds the held-out losses of earlier checkpoints, by step.

    `drawing_s` is what drawing took. What the base cost is told with the first checkpoint that it is measured for:
    once an order, and again where another process went on with it.
    """
    began, costs = time.monotonic(), stick.untold.taken()
    costs.add("drawing", drawing_s)
    with costs.of("validation"):
        now = _Losses(
            stick=stick,
            held_out_N82=losses.draws(base, stick.held_out, stick.plan, words, most=stick.most),
            training_N82=losses.draws(base, stick.training, stick.plan, words, most=stick.most),
        )
    with costs.of("encoders"):
        looked = looked_at(stick.eye, drawn) if stick.eye else {}
    with costs.of("statistics"):
        found = _measured(now, looked, drawn, step=step, earlier=earlier)
    found = replace(found, seconds=round(time.monotonic() - began, 3), costs=costs.all)
    return Verdict(measurement=found, held_out=now.relative)


@dataclass(frozen=True, kw_only=True)
class _Losses:
    """Of one checkpoint, at the same draws as the base's."""

    stick: Yardstick
    held_out_N82: Tensor
    training_N82: Tensor

    @property
    def relative(self) -> tuple[float, ...]:
        """Held-out losses over the base's, flat."""
        return tuple(losses.relative(self.held_out_N82, self.stick.base_held_out_N82).flatten().tolist())

    @property
    def on_training(self) -> tuple[float, ...]:
        """The same of training pictures."""
        return tuple(losses.relative(self.training_N82, self.stick.base_training_N82).flatten().tolist())

    @property
    def finite(self) -> bool:
        """Whether all are numbers."""
        return bool(torch.isfinite(self.training_N82).all() and torch.isfinite(self.held_out_N82).all())

    @property
    def gaps(self) -> tuple[float, ...]:
        """Held-out minus training ratio by stratum; nothing where one of them is none."""
        if not (self.finite and len(self.held_out_N82)):
            return ()
        held_out = losses.by_stratum(self.held_out_N82, self.stick.base_held_out_N82)
        training = losses.by_stratum(self.training_N82, self.stick.base_training_N82)
        return tuple(round(a - b, 5) for a, b in zip(held_out, training, strict=True))


def _measured(now: _Losses, looked: Looked, drawn: Panel, *, step: int, earlier: losses.Earlier) -> Measurement:
    """All numbers but what they cost."""
    stick, plan = now.stick, now.stick.plan
    rows = [row for row, prompt in enumerate(plan.prompts) if prompt.with_trigger]
    triggered = {cell: image for cell, image in drawn.items() if cell[0] in rows}
    look = seen(plan, looked, stick.references) if looked and stick.references else None
    utilities = _utilities(plan, look, now.relative, now.on_training, earlier)
    found = Measurement(
        validation_ratio=_number(losses.ratio(now.held_out_N82, stick.base_held_out_N82)),
        training_ratio=_number(losses.ratio(now.training_N82, stick.base_training_N82)),
        validation_error=_number(losses.ratio_error(now.held_out_N82, stick.base_held_out_N82)),
        training_error=_number(losses.ratio_error(now.training_N82, stick.base_training_N82)),
        gaps=now.gaps,
        likeness=look.likeness if look else None,
        likenesses=look.likenesses if look and plan.concepts else (),
        adherence=look.adherence if look else None,
        variety=look.variety if look else None,
        leakage=look.leakage if look else None,
        memorisation=look.memorisation if look else None,
        utility=sum(utilities) / len(utilities) if utilities else None,
        utilities=utilities,
        flags=flags(
            [*triggered.values()],
            finite=now.finite,
            seen=look,
            overfits=losses.overfits(now.relative, step, earlier),
        ),
        seconds=0.0,
    )
    return _of_pictures(_beside(found, looked, look, stick, rows), triggered, stick)


def _beside(
    found: Measurement, looked: Looked, look: Seen | None, stick: Yardstick, rows: Sequence[int]
) -> Measurement:
    """With what is said beside the numbers that count: by which eye, a second opinion, variety of seeds, intervals."""
    if look is None or stick.references is None:
        return found
    first, second, *_ = (*stick.references.order, "")
    varied = seed_varieties(by(CLIP, looked), by(CLIP, stick.references.base), rows)
    spread = of_mean(varied)
    return replace(
        found,
        likeness_by=first,
        second_likeness=look.second,
        second_by=second,
        coherence=stick.references.coherence,
        seed_variety=sum(varied) / len(varied) if varied else None,
        intervals={**look.intervals, **({"seed_variety": spread} if spread else {})},
    )


def _of_pictures(found: Measurement, triggered: Panel, stick: Yardstick) -> Measurement:
    """With what the pixels say by themselves."""
    taught = [p.picture.image for p in stick.training]
    drifts = {
        "sharpness": sharpness.drifts(triggered, stick.base_drawn, taught),
        "saturation": colour.drifts(triggered, stick.base_drawn, taught),
    }
    around = {name: sharpness.interval(logs) for name, logs in drifts.items()}
    return replace(
        found,
        sharpness=sharpness.relative(drifts["sharpness"]),
        saturation=sharpness.relative(drifts["saturation"]),
        intervals={**found.intervals, **{name: interval for name, interval in around.items() if interval}},
    )


def _utilities(
    plan: Plan,
    look: Seen | None,
    held_out: Sequence[float],
    training: Sequence[float],
    earlier: losses.Earlier,
) -> tuple[float, ...]:
    """What checkpoints are compared by; nothing where a number is none.

    With an eye: one utility a triggered prompt; where validation has a full voice, they shrink as the held-out loss rises
    above its lowest, as far as that rise is sure. Without an eye: how much of the base's loss is gone, a number a stratum: on
    held-out pictures where they have a full voice, else on training pictures, so that one or two held-out ones only veto.
    """
    full = plan.validation is Validation.FULL and bool(held_out)
    if look is None:
        draws = torch.tensor(held_out if full else training, dtype=torch.float64).view(-1, strata.STRATA, 2)
        found = (1.0 - draws.mean(dim=(0, 2))).clamp(0.0, 1.0).tolist() if len(draws) else []
    elif full:
        left = losses.kept(held_out, earlier) if all(map(math.isfinite, held_out)) else math.nan
        found = [u * left for u in look.utilities]
    else:
        found = list(look.utilities)
    return tuple(found) if all(map(math.isfinite, found)) else ()


def _number(value: float | None) -> float | None:
    """JSON has no NaN: a loss that is none is not measured, and the flag says so."""
    return value if value is not None and math.isfinite(value) else None
