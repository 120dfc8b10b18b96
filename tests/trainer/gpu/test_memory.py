"""Memory that runs out, at the places where it really does: the run steps down one rung, does it again, says so, and replays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from storage.domain.fit import Fit
from storage.domain.footprint import BITS
from storage.domain.plan import Plan
from tests.builders import CPU_FIT, make_job, tiny_plan
from trainer.events import Departed, Failed, Finished
from trainer.gpu.families import FAMILIES, Base
from trainer.gpu.families.stock import copied
from trainer.gpu.job import read
from trainer.gpu.placing import CannotQuantise, StreamedLinear, follow, quantise, stream

Job = Callable[..., Path]
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory")
FILE = "checkpoints/2/lora.safetensors"


PLAN = replace(tiny_plan(6, 2), batch_size=4)


FIT = replace(CPU_FIT, micro_batch=4)


@contextmanager
def short_of_memory(module: nn.Module, when: Callable[[tuple[Any, ...]], bool], times: int = 1) -> Iterator[None]:
    """The next calls of a network of which `when` is true find no memory."""
    left = [times]

    def look(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if left[0] and when((*inputs, *named.values())):
            left[0] -= 1
            raise NO_MEMORY

    hook = module.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield
        assert not left[0], "it was never called like that"
    finally:
        hook.remove()


def loaded(desk: Any, job: Job) -> Base:
    """The base before any order."""
    return desk.child._base(read(job("first", plan=PLAN, fit=FIT))).base


def departures(told: list[Any]) -> list[Departed]:
    assert not [event for event in told if isinstance(event, Failed)], told[-1]
    return [event for event in told if isinstance(event, Departed)]


def kinds(told: list[Any]) -> list[tuple[int, str, int]]:
    return [(event.step, event.kind, event.ordinal) for event in departures(told)]


def replayed(desk: Any, job: Job, left: list[Departed], fit: Fit = FIT, plan: Plan = PLAN) -> Path:
    """The same order in another folder, killed after its first step, with the departures that were told."""
    folder = job("replayed", plan=plan, fit=fit, departures=[d for d in left if d.step <= 1])
    desk.forget()
    desk.train(folder, 1)
    desk.forget()
    make_job(folder, desk.child._loaded.source, plan=plan, fit=fit, departures=left)
    assert not departures(desk.train(folder, 2))
    return folder


def same_files(one: Path, other: Path) -> None:
    for file in sorted(one.glob("checkpoints/*/*")):
        assert (other / file.relative_to(one)).read_bytes() == file.read_bytes(), file.name


def test_a_step_without_memory_is_done_again_in_smaller_parts_and_then_by_computing_again(desk: Any, job: Job) -> None:
    folder = job(plan=PLAN, fit=FIT)
    desk.train(folder, 1)
    denoiser = desk.child._training.adapter.denoiser
    with short_of_memory(denoiser, lambda _: torch.is_grad_enabled(), times=3):
        told = desk.train(folder, 2)
    assert kinds(told) == [(2, "micro_batch_halved", 0), (2, "micro_batch_halved", 1), (2, "all_recomputed", 0)]
    assert denoiser.down_blocks[1].gradient_checkpointing
    again = replayed(desk, job, departures(told))
    assert (again / FILE).read_bytes() == (folder / FILE).read_bytes()
    same_files(folder, again)


def test_where_memory_ends_in_the_backward_pass_no_half_of_a_gradient_stays(desk: Any, job: Job) -> None:
    folder = job(plan=PLAN, fit=replace(FIT, micro_batch=1))
    desk.train(folder, 1)
    layer = next(iter(desk.child._training.adapter.downs.values()))
    calls = iter(range(100))

    def short(_: torch.Tensor) -> None:
        if next(calls) == 2:  # the third picture of four
            raise NO_MEMORY

    hook = layer.register_hook(short)
    told = desk.train(folder, 2)
    hook.remove()
    assert kinds(told) == [(2, "all_recomputed", 0)]
    again = replayed(desk, job, departures(told), replace(FIT, micro_batch=1))
    assert (again / FILE).read_bytes() == (folder / FILE).read_bytes()


def test_previews_without_memory_are_drawn_fewer_at_a_time(desk: Any, job: Job) -> None:
    folder = job(plan=PLAN, fit=FIT)
    desk.train(folder, 1)
    denoiser = desk.child._bench.base.denoiser
    large = lambda inputs: inputs[0].shape[0] == 8  # noqa: E731 -- four previews, each with and without its prompt
    with short_of_memory(denoiser, large):
        told = desk.train(folder, 2)
    assert kinds(told) == [(2, "looks_halved", n) for n in range(3)], "sixteen pictures at a time become two"
    same_files(folder, replayed(desk, job, departures(told)))


def test_measurements_without_memory_are_taken_fewer_at_a_time(desk: Any, job: Job) -> None:
    folder = job(plan=PLAN, fit=FIT)
    desk.train(folder, 1)
    with short_of_memory(desk.child._bench.base.denoiser, lambda inputs: inputs[0].shape[0] == 16):
        told = desk.train(folder, 2)
    assert kinds(told) == [(2, "looks_halved", 0)]
    same_files(folder, replayed(desk, job, departures(told)))


def test_a_base_that_cannot_be_measured_whole_before_the_first_step_departs_before_it(desk: Any, job: Job) -> None:
    denoiser = loaded(desk, job).denoiser
    folder = job(plan=PLAN, fit=FIT)
    with short_of_memory(denoiser, lambda inputs: inputs[0].shape[0] == 16):
        told = desk.train(folder, 2)
    assert kinds(told) == [(0, "looks_halved", 0)]
    same_files(folder, replayed(desk, job, departures(told)))


def test_pictures_that_cannot_be_encoded_whole_are_all_encoded_in_tiles(desk: Any, job: Job) -> None:
    """In a picture of 64 px there are tiles of 32."""
    larger = replace(PLAN, resolution=64)
    vae = loaded(desk, job).parts["vae"]
    folder = job(plan=larger, fit=FIT)
    calls = iter(range(100))
    with short_of_memory(vae.encoder, lambda _: next(calls) == 3):
        told = desk.train(folder, 2)
    assert kinds(told) == [(0, "vae_tiled", 0)]
    assert vae.use_tiling
    same_files(folder, replayed(desk, job, departures(told), plan=larger))
    untouched = job("untouched", plan=larger, fit=FIT)
    desk.train(untouched, 2)
    assert not vae.use_tiling, "the next order is encoded whole again"
    assert (untouched / FILE).read_bytes() != (folder / FILE).read_bytes()


def test_a_sweep_without_memory_goes_on_with_fewer_at_a_time(desk: Any, job: Job, one: Any) -> None:
    folder = job(plan=PLAN, fit=FIT)
    desk.train(folder, 2)
    with short_of_memory(desk.child._bench.base.denoiser, lambda inputs: inputs[0].shape[0] >= 4):
        told = desk.finish(folder, 2)
    one(told, Finished)
    assert {kind for _, kind, _ in kinds(told)} == {"looks_halved"}


def test_half_of_the_blocks_is_computed_again_where_the_fit_says_so(desk: Any, job: Job, one: Any) -> None:
    """On a CPU a block computed again gives the same bits."""
    plain = job("plain", plan=PLAN, fit=FIT)
    desk.train(plain, 2)
    for name, fit in (
        ("half", replace(FIT, gradient_checkpointing=True, half_recomputed=True)),
        ("all", replace(FIT, gradient_checkpointing=True)),
    ):
        folder = job(name, plan=PLAN, fit=fit)
        desk.train(folder, 2)
        counted = Blocks(desk)
        assert counted.blocks == 12
        # what stands before the first adapter keeps nothing, so there is nothing to compute again
        assert counted.again == {"half": 5, "all": 9}[name]
        assert (folder / FILE).read_bytes() == (plain / FILE).read_bytes()


class Blocks:
    """How many blocks one step of a training goes through, and through how many twice."""

    def __init__(self, desk: Any) -> None:
        denoiser, counts = desk.child._training.adapter.denoiser, {}
        kinds = ("ResnetBlock2D", "BasicTransformerBlock")
        blocks = [m for m in denoiser.modules() if type(m).__name__ in kinds]

        def count(block: nn.Module, *_: Any) -> None:
            counts[id(block)] = counts.get(id(block), 0) + 1

        hooks = [block.register_forward_pre_hook(count) for block in blocks]
        desk.child._training._try(2)
        for hook in hooks:
            hook.remove()
        most = max(counts.values()) // 2 if max(counts.values()) > 1 else 1
        self.blocks, self.again = len(counts), sum(n > most for n in counts.values())


@pytest.mark.parametrize("what", ["offload", "encoders"])
def test_what_lies_in_main_memory_gives_the_same_bytes(what: str, desk: Any, job: Job) -> None:
    plain = job("plain", plan=PLAN, fit=FIT)
    desk.train(plain, 2)
    away = replace(FIT, offload=True) if what == "offload" else replace(FIT, encoders="streamed")
    folder = job(what, plan=PLAN, fit=away)
    told = desk.train(folder, 2)
    assert not departures(told)
    parts = desk.child._loaded.base.parts
    gone = parts["unet"] if what == "offload" else parts["text_encoder_2"]
    assert any(isinstance(m, StreamedLinear) for m in gone.modules())
    same_files(plain, folder)
    desk.finish(folder, 2)
    desk.child._loaded = None


def test_a_matrix_in_main_memory_has_the_same_gradient() -> None:
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(160, 128), nn.GELU(), nn.Linear(128, 160, bias=False)).requires_grad_(False)
    away = copied(here)
    x, grads = torch.randn(3, 5, 160), []
    stream(away, torch.device("cpu"))
    assert [type(m) for m in away][::2] == [StreamedLinear, StreamedLinear]
    assert away[0].weight is here[0].weight, "one place in memory"
    for model in (here, away):
        seen = x.clone().requires_grad_()
        out = model(seen)
        out.square().sum().backward()
        grads.append((out.detach(), seen.grad))
    assert torch.equal(grads[0][0], grads[1][0])
    assert torch.equal(grads[0][1], grads[1][1])


def test_adapters_follow_a_streamed_matrix_to_where_it_is_used() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = nn.Sequential(nn.Linear(160, 128)).requires_grad_(False)
    stream(model, torch.device("cpu"))
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["0"]), model)
    model[0].base_layer.where = torch.device("meta")
    follow(model)
    assert {p.device.type for name, p in model.named_parameters() if "lora_" in name} == {"meta"}
    assert model[0].base_layer.weight.device.type == "cpu"


@pytest.mark.parametrize(("how", "most"), [("int8", 0.02), ("nf4", 0.12)])
def test_a_quantised_matrix_says_nearly_the_same_and_is_shared_by_the_copy(how: Any, most: float) -> None:
    """Rounded by bitsandbytes itself, which has kernels for the CPU; the error of nf4 is about a tenth for normal weights."""
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(256, 256)).requires_grad_(False).to(torch.bfloat16)
    x = torch.randn(4, 256, dtype=torch.bfloat16)
    before = whole(x)
    quantise(whole, how)
    small = whole.to("cpu")
    twin = copied(small)
    assert twin[0] is not small[0]
    assert twin[0].weight.data_ptr() == small[0].weight.data_ptr()
    seen = x.clone().requires_grad_()
    after = twin(seen)
    after.sum().backward()
    assert seen.grad is not None
    error = float((after.detach() - before).float().norm() / before.float().norm())
    assert 0 < error < most
    assert small[0].weight.data.element_size() == 1
    if how == "nf4":
        scales = small[0].weight.quant_state
        held = (small[0].weight.data, scales.absmax, scales.state2.absmax)
        assert sum(tensor.nbytes for tensor in held) * 8 / 256**2 == pytest.approx(BITS["nf4"], abs=0.001)


def test_a_quantised_base_is_refused_by_name_where_there_is_no_cuda(random_base: Path, desk: Any, job: Job) -> None:
    with pytest.raises(CannotQuantise, match="nf4 needs a CUDA GPU, and this is cpu"):
        FAMILIES["pocket"](str(random_base), replace(CPU_FIT, quantised="nf4"))
    told = desk.train(job(fit=replace(CPU_FIT, quantised="int8")), 2)
    assert isinstance(told[-1], Failed)
    assert "int8 needs a CUDA GPU" in told[-1].reason
