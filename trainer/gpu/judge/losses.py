"""Losses that compare: the same pictures, noises and timesteps for every checkpoint, scale and the base.

Stratified timesteps and antithetic noise (each with its negative) take most of the chance out of them; training loss alone
says nothing (Voronov et al. 2023, arXiv 2302.04841). The draws come from the pictures' bytes, never from the run's seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from storage.domain.plan import Plan
from trainer.gpu.captions import judged
from trainer.gpu.families.family import Base, Words, stacked
from trainer.gpu.latents import Encoded
from trainer.gpu.loop import losses
from trainer.gpu.noise import normal
from trainer.gpu.views import Batch

STRATA = 8
"""Equal parts of the schedule, each judged at its middle: the training density is uniform."""
_SEED = 20_251_121
"""The judge's own, so that no training draw is ever judged with."""


def middles(steps: int) -> list[int]:
    """The timestep in the middle of each stratum."""
    return [int((k + 0.5) * steps / STRATA) for k in range(STRATA)]


@torch.no_grad()
def draws(base: Base, pictures: Sequence[Encoded], plan: Plan, words: dict[str, Words], *, most: int) -> Tensor:
    """Loss of every draw with what the base wears: (pictures, strata, 2 signs), float64."""
    found = []
    for encoded in pictures:
        wanted = _batches(base, encoded, words[judged(plan, encoded.picture.id)], most)
        flat = torch.cat([losses(base, base.denoiser, batch).cpu().double() for batch in wanted])
        found.append(flat.view(STRATA, 2))
    return torch.stack(found) if found else torch.zeros(0, STRATA, 2, dtype=torch.float64)


def _batches(base: Base, encoded: Encoded, words: Words, most: int) -> list[Batch]:
    shape = tuple(encoded.plain.shape)
    moments = middles(base.schedule.steps)
    noise = [normal(shape, _SEED, k, encoded.picture.sha256) for k in range(STRATA)]
    signed = [sign * noise[k] for k in range(STRATA) for sign in (1.0, -1.0)]
    timesteps = [moments[k] for k in range(STRATA) for _ in range(2)]
    return [
        Batch(
            latents_BCHW=encoded.plain.expand(len(signed[at : at + most]), *shape).to(base.device),
            noise_BCHW=torch.stack(signed[at : at + most]).to(base.device),
            t_B=torch.tensor(timesteps[at : at + most], device=base.device),
            words=stacked([words] * len(signed[at : at + most])),
            framing=(encoded.picture.framing,) * len(signed[at : at + most]),
        )
        for at in range(0, len(signed), most)
    ]


def relative(now_N82: Tensor, base_N82: Tensor) -> Tensor:
    """Every draw over the base's mean in its stratum, so that no stratum outweighs the others."""
    return now_N82 / base_N82.mean(dim=(0, 2), keepdim=True)


def ratio(now_N82: Tensor, base_N82: Tensor) -> float | None:
    """Mean relative loss: 1.0 is the base's, below something was learned; None without pictures."""
    return float(relative(now_N82, base_N82).mean()) if len(now_N82) else None


FAR_PAST = 2.0
"""How many times the step of the lowest held-out loss a checkpoint may be: likeness is best near that minimum, and variety is
lost slowly for about three times as long (spacepxl, demystifying-sd-finetuning), so a rise alone is no reason to stand back."""


def overfits(now: Sequence[float], step: int, earlier: Mapping[int, Sequence[float]]) -> bool:
    """Whether relative losses are clearly above the lowest so far and that lowest is far behind.

    Clearly: by more than two standard errors, paired over draws. `earlier` holds the losses of earlier checkpoints, by step.
    """
    same = {at: known for at, known in earlier.items() if len(known) == len(now) and all(map(math.isfinite, known))}
    if not now or not same:
        return False
    lowest = min(same, key=lambda at: math.fsum(same[at]))
    differences = torch.tensor([a - b for a, b in zip(now, same[lowest], strict=True)], dtype=torch.float64)
    risen = float(differences.mean()) > 2.0 * float(differences.std() / math.sqrt(len(differences)))
    return risen and step > FAR_PAST * lowest


@torch.no_grad()
def predictions(base: Base, pictures: Sequence[Encoded], words: Words) -> Tensor:
    """What the base says at the same draws for another text, one plain sign a stratum; flat, float32 on the CPU."""
    found = []
    for encoded in pictures:
        for batch in _batches(base, encoded, words, 2):
            noisy_BCHW = base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
            said = base.predict(base.denoiser, noisy_BCHW[:1], batch.t_B[:1], words, batch.framing[:1])
            found.append(said.flatten().cpu())
    return torch.cat(found)
