"""From a device to a fit: what a large base needs, what a resumed order keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from trainer.fit import ROOMY_GIB, Device, fit_for

CPU = Device(kind="cpu", memory_gib=None, threads=2)


def plan_of(base: str, pictures: int = 24) -> Plan:
    return plan_for(
        base=base,
        subject_type=SubjectType.STYLE,
        class_word="picture",
        trigger="zorvex",
        seed=1,
        pictures=[PictureOf(id=str(n), dhash=n) for n in range(pictures)],
    )


def gpu(memory_gib: float | None) -> Device:
    return Device(kind="cuda", memory_gib=memory_gib, threads=2)


def test_the_pocket_runs_whole_batches_in_fp32_everywhere() -> None:
    for device in (CPU, gpu(8.0)):
        fit = fit_for(plan_of("pocket"), device)
        assert (fit.precision, fit.micro_batch, fit.gradient_checkpointing) == ("fp32", 8, False)
        assert fit.deterministic == (device.kind == "cpu")


@pytest.mark.parametrize(
    ("memory_gib", "micro_batch"),
    [(None, 1), (12.0, 1), (ROOMY_GIB - 0.1, 1), (ROOMY_GIB, 2), (139.0, 2)],
)
def test_a_large_base_takes_less_at_once_on_a_small_card(memory_gib: float | None, micro_batch: int) -> None:
    fit = fit_for(plan_of("sdxl"), gpu(memory_gib))
    assert (fit.precision, fit.micro_batch, fit.gradient_checkpointing) == ("bf16", micro_batch, micro_batch == 1)
    assert plan_of("sdxl").batch_size % fit.micro_batch == 0


def test_an_order_that_goes_on_keeps_its_fit_where_the_device_can_run_it() -> None:
    before = fit_for(plan_of("sdxl"), gpu(24.0))
    assert fit_for(plan_of("sdxl"), gpu(139.0), before) == before
    more_threads = replace(CPU, threads=16)
    pocket = fit_for(plan_of("pocket"), CPU)
    assert fit_for(plan_of("pocket"), more_threads, pocket) == pocket, "sums in another order are another run"
    assert fit_for(plan_of("pocket"), gpu(24.0), pocket).device == "cuda"
