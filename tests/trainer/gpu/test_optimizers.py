"""Each optimiser does what its paper says, and goes on after a resume as if nothing had been."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from storage.domain.plan import Plan
from tests.builders import tiny_plan
from trainer.gpu.job import JobRefused
from trainer.gpu.optimizers import give_back, kept, optimizer_for

NAMES = ("adamw", "adamw8bit", "prodigy")


def plan(optimizer: str, **changes: object) -> Plan:
    made = replace(tiny_plan(), learning_rate=1.0 if optimizer == "prodigy" else 1e-2, weight_decay=0.0)
    return replace(made, optimizer=optimizer, **changes)  # type: ignore[arg-type]


def large(seed: int = 1) -> nn.Parameter:
    """4096 numbers: from here on 8 bits are used."""
    return nn.Parameter(torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)))


def stepped(optimizer: torch.optim.Optimizer, weight: nn.Parameter, gradient: Tensor) -> None:
    weight.grad = gradient.clone()
    optimizer.step()


def gradients(count: int, seed: int = 2) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return [torch.randn(64, 64, generator=drawn) for _ in range(count)]


def test_the_first_step_of_adam_is_the_rate_in_the_direction_of_each_gradients_sign() -> None:
    """With bias correction m / sqrt(v) is g / |g| (Kingma and Ba 2015, section 2.1)."""
    for name in ("adamw", "adamw8bit"):
        weight = large()
        before = weight.detach().clone()
        gradient = gradients(1)[0]
        stepped(optimizer_for([weight], plan(name)), weight, gradient)
        assert torch.allclose(before - weight, 1e-2 * gradient.sign(), atol=2e-5), name


def test_weight_decay_shrinks_by_rate_times_decay_and_no_gradient_scales_it() -> None:
    """Decoupled: w <- w - rate * decay * w, as PyTorch has it (Loshchilov and Hutter 2019, algorithm 2, without the rate there)."""
    weight, plain = large(), large()
    before = weight.detach().clone()
    gradient = gradients(1)[0]
    stepped(optimizer_for([weight], plan("adamw", weight_decay=0.5)), weight, gradient)
    stepped(optimizer_for([plain], plan("adamw")), plain, gradient)
    assert torch.allclose(plain - weight, 1e-2 * 0.5 * before, atol=1e-6)


def test_eight_bits_hold_both_moments_in_a_quarter_of_the_memory_and_follow_the_same_path() -> None:
    """One byte a number and a scale for each 256, bitsandbytes' block; with the same optima (Dettmers et al. 2021, table 1)."""
    small, full = large(), large()
    eight, thirty_two = optimizer_for([small], plan("adamw8bit")), optimizer_for([full], plan("adamw"))
    start = small.detach().clone()
    for gradient in gradients(30):
        stepped(eight, small, gradient + 0.3 * small.detach())
        stepped(thirty_two, full, gradient + 0.3 * full.detach())
    tensors, _ = kept(eight, {"w": small})
    moments = {kind: t for kind, t in tensors.items() if not kind.startswith("qmap")}
    assert {t.dtype for kind, t in moments.items() if kind.startswith("state")} == {torch.uint8}
    held = sum(t.numel() * t.element_size() for t in moments.values())
    assert held / (2 * 4 * 4096) == pytest.approx(0.25, abs=0.01)
    moved, wanted = (small - start).detach().flatten(), (full - start).detach().flatten()
    assert float(nn.functional.cosine_similarity(moved, wanted, dim=0)) > 0.995
    assert float(moved.norm() / wanted.norm()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("distance", [1.0, 100.0])
def test_prodigy_finds_the_distance_to_the_solution_from_below(distance: float) -> None:
    """d_k <= D for every k (Mishchenko and Defazio 2023: a lower bound), here in the largest coordinate, and comes near it."""
    weight = nn.Parameter(torch.zeros(64))
    optimizer = optimizer_for([weight], plan("prodigy"))
    found = []
    for _ in range(150):
        stepped(optimizer, weight, (weight.detach() - distance).sign())  # of the sum of |w - D|
        found.append(optimizer.param_groups[0]["d"])
    assert found[0] < 1e-3 * distance
    assert found == sorted(found)
    assert 0.15 * distance < found[-1] < 0.3 * distance, "within a factor of seven over eight orders of magnitude"
    assert float((weight.detach() - distance).abs().mean()) < 0.05 * distance


def test_the_factor_on_what_prodigy_finds_is_a_factor_on_its_steps() -> None:
    def d_after(coefficient: float) -> float:
        weight = nn.Parameter(torch.ones(64))
        optimizer = optimizer_for([weight], plan("prodigy", prodigy_d_coef=coefficient))
        for _ in range(10):
            stepped(optimizer, weight, torch.ones(64))
        return float(optimizer.param_groups[0]["d"])

    assert d_after(2.0) > 1.5 * d_after(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_moments_forget_as_fast_as_the_plan_says(name: str) -> None:
    def end(**changes: object) -> Tensor:
        weight = large()
        optimizer = optimizer_for([weight], plan(name, **changes))
        for gradient in gradients(3):
            stepped(optimizer, weight, gradient)
        return weight.detach()

    usual = end()
    assert torch.equal(usual, end(adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8))
    for changes in ({"adam_beta1": 0.5}, {"adam_beta2": 0.9}, {"adam_epsilon": 1e-2}):
        assert not torch.equal(usual, end(**changes)), changes


def after(name: str, *, interrupted_at: int | None) -> Tensor:
    """Two parameters after seven steps; one is too small for 8 bits, one starts at zero as B does."""
    weights = {"a": large(), "b": nn.Parameter(torch.zeros(8, 2))}
    optimizer = optimizer_for(weights.values(), plan(name, weight_decay=0.1))
    for step in range(1, 8):
        drawn = torch.Generator().manual_seed(step)
        for weight in weights.values():
            weight.grad = torch.randn(weight.shape, generator=drawn) + weight.detach()
        optimizer.step()
        if step == interrupted_at:
            tensors, numbers = kept(optimizer, weights)
            tensors = load(save(tensors))
            numbers = json.loads(json.dumps(numbers))
            optimizer = optimizer_for(weights.values(), plan(name, weight_decay=0.1))
            give_back(optimizer, weights, tensors=tensors, numbers=numbers, step=step)
    return torch.cat([weight.detach().flatten() for weight in weights.values()])


@pytest.mark.parametrize("name", NAMES)
def test_stored_and_given_back_every_optimiser_goes_on_bit_for_bit(name: str) -> None:
    undisturbed = after(name, interrupted_at=None)
    assert torch.equal(after(name, interrupted_at=1), undisturbed)
    assert torch.equal(after(name, interrupted_at=4), undisturbed)


@pytest.mark.parametrize("name", NAMES)
def test_sent_back_to_the_start_an_optimiser_is_as_new(name: str) -> None:
    def three(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> Tensor:
        for gradient in gradients(3):
            stepped(optimizer, weight, gradient)
        return weight.detach().clone()

    weight = large()
    optimizer = optimizer_for([weight], plan(name))
    first = three(optimizer, weight)
    with torch.no_grad():
        weight.copy_(large())
    give_back(optimizer, {"w": weight}, tensors={}, numbers={}, step=0)
    assert torch.equal(three(optimizer, weight), first)


@pytest.mark.parametrize(("name", "package"), [("adamw8bit", "bitsandbytes.optim.adamw"), ("prodigy", "prodigyopt")])
def test_an_optimiser_whose_package_is_missing_is_refused_by_name(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(JobRefused, match=package.partition(".")[0]):
        optimizer_for([large()], plan(name))


def test_eight_bits_are_refused_by_name_where_no_library_has_them() -> None:
    with pytest.raises(JobRefused, match="NVIDIA GPUs and on the CPU"):
        optimizer_for([nn.Parameter(torch.empty(64, 64, device="meta"))], plan("adamw8bit"))
