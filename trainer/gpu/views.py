"""What one training step looks at: which pictures, mirrored or not, called what, at which timestep, under which noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

from storage.domain.concepts import turns, voiced
from storage.domain.plan import Plan
from trainer.gpu.captions import caption
from trainer.gpu.families.family import Base, Words, stacked
from trainer.gpu.latents import Encoded
from trainer.gpu.noise import generator, normal, shuffled, step_noise, uniform
from trainer.gpu.pictures import Framing
from trainer.gpu.timesteps import timesteps

Hear = Callable[[Sequence[str]], Words]
"""Texts to words."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture in one step."""

    place: int
    """Its number within the step."""
    encoded: Encoded
    mirrored: bool
    text: str
    timestep: int
    posterior: tuple[int, int] | None = None
    """(run seed, step) of the draw from what the autoencoder says; None takes the most likely latents."""

    @property
    def latents(self) -> Tensor:
        """(C, H, W)."""
        most_likely_CHW = self.encoded.mirrored if self.mirrored else self.encoded.plain
        if self.posterior is None:
            return most_likely_CHW
        spread_CHW = self.encoded.mirrored_std if self.mirrored else self.encoded.plain_std
        return most_likely_CHW + spread_CHW * normal(
            tuple(spread_CHW.shape), *self.posterior, f"posterior-{self.place}"
        )


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Views of one shape, ready for the denoiser. B views."""

    latents_BCHW: Tensor
    noise_BCHW: Tensor
    t_B: Tensor
    words: Words
    """As the frozen text encoders say them."""
    framing: tuple[Framing, ...]
    step: int = 0
    places: tuple[int, ...] = ()
    """Numbers of the views within their step, for what is drawn a view; none where nothing is trained."""
    kind: Literal["pictures", "class_pictures", "base_prediction"] = "pictures"
    """What the denoiser is held against: the order's pictures, the prior's, or what the base says (`prior`)."""
    weight: float = 1.0
    """Of its loss."""
    say: Callable[[], Words] | None = None
    """The words as text encoders that learn say them now; None where none does."""


def views(
    plan: Plan, pictures: Sequence[Encoded], schedule_steps: int, step: int, *, called: Callable[..., str] = caption
) -> list[View]:
    """The views of `step` (from 1), each `called` something in the words of its picture's concept.

    Every picture is seen as often as the plan says before a new round begins.
    """
    count = plan.views_a_step
    round_ = [picture for picture in pictures for _ in range(turns(plan, picture.picture.id))]
    seen = [round_[_turn((step - 1) * count + place, len(round_), plan.seed)] for place in range(count)]
    seen = [_sized(encoded, plan.seed, step, place) for place, encoded in enumerate(seen)]
    moments = timesteps(plan, [encoded.picture.shape for encoded in seen], schedule_steps, step)
    return [
        View(
            place=place,
            encoded=encoded,
            mirrored=plan.flip and float(uniform((1,), plan.seed, step, f"flip-{place}")) < 0.5,
            text=called(voiced(plan, encoded.picture.id), step=step, view=place, own=encoded.picture.caption),
            timestep=moments[place],
            posterior=(plan.seed, step) if plan.latents == "sampled" else None,
        )
        for place, encoded in enumerate(seen)
    ]


def _sized(encoded: Encoded, seed: int, step: int, place: int) -> Encoded:
    """The picture at one of its sizes; all alike."""
    if not encoded.sizes:
        return encoded
    drawn = torch.randint(len(encoded.sizes), (1,), generator=generator(seed, step, f"size-{place}"))
    return encoded.sizes[int(drawn)]


def _turn(number: int, count: int, seed: int) -> int:
    """The picture of the view with this number since the start: a new random order for every round."""
    round_, place = divmod(number, count)
    return shuffled(count, seed, round_, "order")[place]


def batches(
    base: Base,
    seen: Sequence[View],
    words: dict[str, Words],
    plan: Plan,
    *,
    step: int,
    most: int,
    hear: Hear | None = None,
) -> Iterator[Batch]:
    """The views in batches of one shape each and at most `most` views; `hear` is of text encoders that learn."""
    by_shape = sorted(seen, key=lambda view: (view.encoded.picture.shape, view.place))
    for _, group in groupby(by_shape, key=lambda view: view.encoded.picture.shape):
        alike = list(group)
        for start in range(0, len(alike), most):
            together = alike[start : start + most]
            say = partial(hear, [view.text for view in together]) if hear else None
            yield replace(_batch(base, together, words, plan, step), say=say)


def _batch(base: Base, alike: Sequence[View], words: dict[str, Words], plan: Plan, step: int) -> Batch:
    latents_BCHW = torch.stack([view.latents for view in alike])
    shape = tuple(latents_BCHW.shape[1:])
    noise = [step_noise(shape, plan, step=step, view=view.place) for view in alike]
    return Batch(
        latents_BCHW=latents_BCHW.to(base.device),
        noise_BCHW=torch.stack(noise).to(base.device),
        t_B=torch.tensor([view.timestep for view in alike], device=base.device),
        words=stacked([words[view.text] for view in alike]),
        framing=tuple(view.encoded.picture.framing for view in alike),
        step=step,
        places=tuple(view.place for view in alike),
    )
