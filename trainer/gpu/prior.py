"""What keeps the class itself: views that ask for it without the trigger, learned beside the order's pictures.

Ruiz et al. 2023 (DreamBooth, arXiv 2208.12242, section 3.3, equation 2) add to the loss of a picture x with caption c that of
a picture x_pr that the frozen base drew for the class prompt c_pr, with noise and timestep of their own:

    E[ w_t |f(a_t x + s_t e, c) - x|^2 + lambda w_t' |f(a_t' x_pr + s_t' e', c_pr) - x_pr|^2 ]

Here both terms are what the base's objective is (noise, velocity or flow), w_t is the plan's weight, lambda `prior_weight`.
The cheaper form draws no pictures: the order's own are noised, called by a text without the trigger, and the target is what the
base says about them with the adapter switched off, as Learning without Forgetting keeps old answers on new pictures (Li and
Hoiem 2016, arXiv 1606.09282, section 3); ai-toolkit calls it differential output preservation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from storage.domain.plan import Plan
from trainer.gpu.captions import caption, prior_caption
from trainer.gpu.families.family import Base, Words
from trainer.gpu.latents import Encoded
from trainer.gpu.noise import generator, uniform
from trainer.gpu.views import Batch, Hear, batches, views


def due(plan: Plan, step: int) -> bool:
    """Whether a step looks at the prior, where there is one."""
    return float(uniform((1,), plan.seed, step, "prior")) < plan.prior_share


def prior_batches(
    base: Base,
    pictures: Sequence[Encoded],
    words: dict[str, Words],
    plan: Plan,
    *,
    step: int,
    most: int,
    hear: Hear | None = None,
) -> Iterator[Batch]:
    """The prior's batches of a step, as many views as the step itself has; none on steps without it.

    `pictures` are the order's own for `base_prediction`, else the class pictures, whose captions have no trigger.
    """
    if plan.prior == "none" or not due(plan, step):
        return
    called = prior_caption if plan.prior == "base_prediction" else caption
    apart = _apart(plan)
    seen = views(apart, pictures, base.schedule.steps, step, called=called)
    for batch in batches(base, seen, words, apart, step=step, most=most, hear=hear):
        yield replace(batch, kind=plan.prior, weight=plan.prior_weight)


@torch.no_grad()
def base_says(base: Base, denoiser: nn.Module, batch: Batch, noisy_BCHW: Tensor) -> Tensor:
    """What the base predicts, by the training's own denoiser with its adapter switched off."""
    with _off(denoiser):
        return base.predict(denoiser, noisy_BCHW, batch.t_B, batch.words, batch.framing)


@lru_cache(maxsize=8)
def _apart(plan: Plan) -> Plan:
    """The same plan with another seed: the prior's pictures, noise and timesteps are drawn apart from the order's.

    Tags stay as they are: a class picture is called by the words that it was drawn from.
    """
    drawn = torch.randint(2**62, (1,), generator=generator(plan.seed, 0, "prior"))
    return replace(plan, seed=int(drawn), caption_shuffle=0)


@contextmanager
def _off(denoiser: nn.Module) -> Iterator[None]:
    layers = [layer for layer in denoiser.modules() if isinstance(layer, LoraLayer)]
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)
