"""The optimisers of a plan, each from the library that its authors publish.

What a library needs to go on after a resume is read off its state (`kept`) and given back (`give_back`): tensors to
safetensors, numbers to JSON.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from storage.domain.plan import Plan
from trainer.gpu.job import JobRefused

SEARCHED = ("d", "d_max", "d_numerator", "d_denom", "d_hat", "k")
"""What prodigy keeps beside its tensors: its estimates of the distance to the solution, and their count."""


Group = dict[str, Any]
"""As torch takes parameters by groups."""


def groups(parameters: Mapping[str, nn.Parameter], plan: Plan) -> list[Group]:
    """The parameters by rate; `share` is what a group's rate is of the plan's. One group where no text encoder learns."""
    if not plan.text_encoder_rate:
        return [{"params": list(parameters.values())}]
    in_words = {name: parameter for name, parameter in parameters.items() if name.startswith("text_encoder")}
    others = [parameter for name, parameter in parameters.items() if name not in in_words]
    share = plan.text_encoder_rate / plan.learning_rate
    return [{"params": others}, {"params": list(in_words.values()), "share": share}]


def optimizer_for(parameters: Iterable[nn.Parameter] | Iterable[Group], plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser; the rate is set at every step. Raises `JobRefused` for one that this machine does not have.

    With g the gradient, k the step from 1, b1 and b2 the betas, all by coordinate:

    - adamw (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; the decay times the rate as PyTorch has it, where the
      paper keeps it apart from the rate):

          m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
          w <- w - rate decay w - rate (m / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + eps)

    - adamw8bit: the same with m and v kept in blocks, each number as one of 256 fixed ones q times the block's largest size:
      x_i ~ q[c_i] max|x|, c_i the nearest (Dettmers et al. 2021, arXiv 2110.02861, section 2.1). Blocks have 2048 numbers in
      the paper and 256 in bitsandbytes, which is used on a GPU and on the CPU; tensors under 4096 numbers keep 32 bits there.
    - prodigy (Mishchenko and Defazio 2023, arXiv 2306.06101, "Adam version": algorithm 4 of v1): d grows as a lower bound on
      the distance to the solution, from w_0 where the run started:

          m <- b1 m + (1 - b1) d g    v <- b2 v + (1 - b2) d^2 g^2    w <- w - rate d m / (sqrt(v) + d eps)
          r <- sqrt(b2) r + (1 - sqrt(b2)) rate d^2 <g, w_0 - w>    s <- sqrt(b2) s + (1 - sqrt(b2)) rate d^2 g
          d <- max(d, r / |s|_1)

      Bias correction and the safeguard for warm-up are on, as its README advises for diffusion models.
    """
    settings: dict[str, Any] = {
        "lr": plan.learning_rate,
        "betas": (plan.adam_beta1, plan.adam_beta2),
        "eps": plan.adam_epsilon,
        "weight_decay": plan.weight_decay,
    }
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(parameters, foreach=True, **settings)
    return _prodigy(parameters, plan, settings) if plan.optimizer == "prodigy" else _eight_bits(parameters, settings)


def _eight_bits(
    parameters: Iterable[nn.Parameter] | Iterable[Group], settings: dict[str, Any]
) -> torch.optim.Optimizer:
    listed: list[Any] = list(parameters)  # of one kind or the other
    if any(parameter.device.type not in ("cpu", "cuda") for parameter in _each(listed)):
        raise JobRefused("adamw8bit runs on NVIDIA GPUs and on the CPU alone: choose adamw or prodigy")
    try:
        from bitsandbytes.optim.adamw import AdamW8bit  # noqa: PLC0415 -- seconds to import, for who asks for it
    except ImportError as error:
        raise JobRefused("adamw8bit needs the package bitsandbytes: pip install lorasmith[small]") from error
    made: torch.optim.Optimizer = AdamW8bit(listed, **settings)
    return made


def _each(given: Iterable[nn.Parameter] | Iterable[Group]) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for item in given:
        found += item["params"] if isinstance(item, dict) else [item]
    return found


def _prodigy(
    parameters: Iterable[nn.Parameter] | Iterable[Group], plan: Plan, settings: dict[str, Any]
) -> torch.optim.Optimizer:
    try:
        from prodigyopt import Prodigy  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise JobRefused("prodigy needs the package prodigyopt") from error
    with contextlib.redirect_stdout(sys.stderr):  # it prints what kind of weight decay it uses
        made: torch.optim.Optimizer = Prodigy(
            parameters, d_coef=plan.prodigy_d_coef, use_bias_correction=True, safeguard_warmup=True, **settings
        )
    return made


def kept(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The optimiser's tensors as `<kind>/<parameter>`, on the CPU, and its numbers."""
    tensors = {
        f"{kind}/{name}": value.detach().to("cpu", copy=True).contiguous()
        for name, parameter in parameters.items()
        for kind, value in optimizer.state.get(parameter, {}).items()
        if kind != "step" and isinstance(value, Tensor)
    }
    group = optimizer.param_groups[0]
    return tensors, {name: group[name] for name in SEARCHED if name in group}


def give_back(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    *,
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, float],
    step: int,
) -> None:
    """Sets the optimiser to what `kept` said after `step` steps; at step 0 it is as new."""
    optimizer.state.clear()
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        by_name.setdefault(name, {})[kind] = value
    for name, parameter in parameters.items() if step else ():
        if name in by_name:
            moved = {kind: value.to(parameter.device, copy=True) for kind, value in by_name[name].items()}
            optimizer.state[parameter] = {"step": _counted(optimizer, step), **moved}
    for group in optimizer.param_groups:
        for number in SEARCHED:
            group.pop(number, None)
        group.update({name: value for name, value in optimizer.defaults.items() if name in SEARCHED})
        group.update(numbers)


def _counted(optimizer: torch.optim.Optimizer, step: int) -> Tensor | int:
    """How the library counts its steps: torch's own in a tensor."""
    return torch.tensor(float(step)) if isinstance(optimizer, torch.optim.AdamW) else step
