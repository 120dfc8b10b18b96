"""Losses that compare: the same pictures, noises and timesteps for every checkpoint, scale and the base.

Timesteps stratified over the training density and antithetic noise (each with its negative) take most of the chance out of them;
training loss alone says nothing (Voronov et al. 2023, arXiv 2302.04841). The draws come from the pictures' bytes, never from the
run's seed. What computes is the exported file in the base, which is never in training mode: no dropout, no training adapter.

Shapes: N pictures, 8 strata, 2 signs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from storage.domain.plan import Plan
from trainer.gpu.captions import judged
from trainer.gpu.families.family import Base, Words, stacked
from trainer.gpu.judge.strata import STRATA, middles
from trainer.gpu.latents import Encoded
from trainer.gpu.loop import losses
from trainer.gpu.noise import normal
from trainer.gpu.views import Batch

_SEED = 20_251_121
"""The judge's own, so that no training draw is ever judged with."""


@torch.no_grad()
def draws(base: Base, pictures: Sequence[Encoded], plan: Plan, words: dict[str, Words], *, most: int) -> Tensor:
    """Loss of every draw with what the base wears: (pictures, strata, 2 signs), float64."""
    found = []
    for encoded in pictures:
        moments = middles(plan, encoded.picture.shape, base.schedule.steps)
        wanted = _batches(base, encoded, moments, words[judged(plan, encoded.picture.id)], most)
        flat = torch.cat([losses(base, base.denoiser, batch).cpu().double() for batch in wanted])
        found.append(flat.view(STRATA, 2))
    return torch.stack(found) if found else torch.zeros(0, STRATA, 2, dtype=torch.float64)


def _batches(base: Base, encoded: Encoded, moments: Sequence[int], words: Words, most: int) -> list[Batch]:
    shape = tuple(encoded.plain.shape)
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


def by_stratum(now_N82: Tensor, base_N82: Tensor) -> tuple[float, ...]:
    """The ratio in each stratum, clean to noisy; none without pictures."""
    return tuple(relative(now_N82, base_N82).mean(dim=(0, 2)).tolist()) if len(now_N82) else ()


def ratio_error(now_N82: Tensor, base_N82: Tensor) -> float | None:
    """Standard error of `ratio`, paired with the base draw by draw; None without pictures."""
    return error(relative(now_N82, base_N82) - relative(base_N82, base_N82)) if len(now_N82) else None


def error(values_N82: Tensor) -> float | None:
    """Standard error of a mean of differences between relative losses; None without pictures.

    The larger of two: draws as if each stood alone (a single picture has nothing else), and pictures as what is drawn, because
    the draws of one picture are alike (Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference", II.A).
    """
    if not len(values_N82):
        return None
    alone = float(values_N82.std()) / math.sqrt(values_N82.numel())
    clustered = float(values_N82.mean(dim=(1, 2)).std()) / math.sqrt(len(values_N82)) if len(values_N82) > 1 else 0.0
    return max(alone, clustered)


FAR_PAST = 2.0
"""How many times the step of the lowest held-out loss a checkpoint may be: likeness is best near that minimum, and variety is
lost slowly for about three times as long (spacepxl, demystifying-sd-finetuning), so a rise alone is no reason to stand back."""

Earlier = Mapping[int, Sequence[float]]
"""Relative held-out losses of earlier checkpoints, flat, by step."""


def lowest(now: Sequence[float], earlier: Earlier) -> int | None:
    """The step with the lowest losses so far, of the same draws; None where no earlier one compares."""
    same = [at for at, known in earlier.items() if len(known) == len(now) and all(map(math.isfinite, known))]
    return min(same, key=lambda at: math.fsum(earlier[at]), default=None) if now else None


def rise(now: Sequence[float], then: Sequence[float]) -> tuple[float, float]:
    """By how much losses rose between two checkpoints, paired over draws, and the standard error of that."""
    differences = torch.tensor([a - b for a, b in zip(now, then, strict=True)], dtype=torch.float64)
    return float(differences.mean()), error(differences.view(-1, STRATA, 2)) or 0.0


def overfits(now: Sequence[float], step: int, earlier: Earlier) -> bool:
    """Whether relative losses are clearly above the lowest so far and that lowest is far behind.

    Clearly: by more than two standard errors.
    """
    best = lowest(now, earlier)
    if best is None:
        return False
    risen, doubt = rise(now, earlier[best])
    return risen > 2.0 * doubt and step > FAR_PAST * best


def kept(now: Sequence[float], earlier: Earlier) -> float:
    """What is left of a checkpoint's worth where its held-out losses are above their lowest: lowest / now, as far as that is sure.

    With d the rise and s its standard error, the share d^2 / (d^2 + s^2) of the rise counts: the weight between "as measured" and
    "no rise" whose expected squared error is least (Wiener's, with the measured d for the true one). 1.0 at the lowest.
    """
    best = lowest(now, earlier)
    if best is None or (total := math.fsum(now)) <= (least := math.fsum(earlier[best])):
        return 1.0
    risen, doubt = rise(now, earlier[best])
    sure = risen**2 / (risen**2 + doubt**2)
    return 1.0 / (1.0 + sure * (total / least - 1.0)) if least > 0 else 1.0


@torch.no_grad()
def predictions(base: Base, pictures: Sequence[Encoded], words: Words) -> Tensor:
    """What the base says at the same draws for another text, one plain sign a stratum; flat, float32 on the CPU."""
    whole = [int((k + 0.5) * base.schedule.steps / STRATA) for k in range(STRATA)]  # what is told apart is no training
    found = []
    for encoded in pictures:
        for batch in _batches(base, encoded, whole, words, 2):
            noisy_BCHW = base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
            said = base.predict(base.denoiser, noisy_BCHW[:1], batch.t_B[:1], words, batch.framing[:1])
            found.append(said.flatten().cpu())
    return torch.cat(found)
