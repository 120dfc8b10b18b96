"""From a device to a fit: which rung a plan takes on which card, and what a resumed order keeps."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from storage.domain.fit import Departure, Fit, looks_at_once, micro_batch, recomputed, tiled
from storage.domain.footprint import FOOTPRINTS, main_gib, peak, usable_gib
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.rungs import MAIN_SPARE_GIB, RUNGS, TooSmall, Work, ladder, least_gib, next_below, rung_of
from storage.words import fit_sentence
from trainer.fit import Device, fit_for, largest_recipe

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


def gpu(memory_gib: float | None, *, bf16: bool = True) -> Device:
    return Device(kind="cuda", memory_gib=memory_gib, threads=2, bf16=bf16)


def test_the_pocket_runs_whole_batches_in_fp32_everywhere() -> None:
    for device in (CPU, gpu(8.0)):
        fit = fit_for(plan_of("pocket"), device)
        assert (fit.precision, fit.micro_batch, fit.gradient_checkpointing) == ("fp32", 8, False)
        assert fit.deterministic == (device.kind == "cpu")


@pytest.mark.parametrize("base", sorted(FOOTPRINTS))
def test_every_rung_of_the_ladder_needs_less_than_the_one_above(base: str) -> None:
    plan = replace(plan_of(base), batch_size=2)
    needed = [peak(plan, fit) for _, fit in ladder(plan, gpu(8.0))]
    sizes = [p.gib for p in needed if p is not None]
    assert len(sizes) == len(RUNGS) + 1, "the whole base twice: both pictures at once, and one"
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("base", sorted(FOOTPRINTS))
@pytest.mark.parametrize("memory_gib", [8.0, 12.0, 16.0, 24.0, 48.0, 80.0])
def test_what_is_chosen_fits_and_the_rung_above_would_not(base: str, memory_gib: float) -> None:
    plan, device = plan_of(base), gpu(memory_gib)
    chosen = fit_for(plan, device)
    needed = peak(plan, chosen)
    assert needed is not None
    assert needed.gib <= usable_gib(memory_gib)
    for _, above in ladder(plan, device):
        if replace(above, looks_at_once=chosen.looks_at_once, caches=chosen.caches) == chosen:
            break
        more = peak(plan, replace(above, caches="disk"))
        assert more is not None
        assert more.gib > usable_gib(memory_gib)


def test_sdxl_has_a_rung_for_8_gb_and_klein_4b_for_12_at_the_largest_recipe() -> None:
    for base, memory_gib in (("sdxl", 8.0), ("flux2-klein-4b", 12.0)):
        plan = largest_recipe(base)
        assert (plan.rank, plan.resolution) == (32, 1024)
        fit = fit_for(plan, gpu(memory_gib))
        assert not fit.offload
        assert fit.vae_tiles
        assert fit.encoders == "streamed"


def test_a_roomy_card_keeps_everything_and_an_unknown_one_is_taken_for_a_small_one() -> None:
    plan = replace(plan_of("sdxl"), batch_size=2)
    fit = fit_for(plan, gpu(139.0))
    assert (rung_of(fit), fit.micro_batch, fit.precision, fit.vae_tiles) == ("whole", 2, "bf16", False)
    assert fit_for(plan, gpu(None)) == fit_for(plan, gpu(8.0))


def test_a_card_without_bf16_takes_fp32_at_twice_the_base() -> None:
    plan = plan_of("sdxl")
    old, new = fit_for(plan, gpu(11.0, bf16=False)), fit_for(plan, gpu(11.0))
    assert (old.precision, new.precision) == ("fp32", "bf16")
    assert RUNGS.index(rung_of(old)) > RUNGS.index(rung_of(new))


def test_apple_gpus_never_get_a_quantised_base() -> None:
    for memory_gib in (5.0, 8.0, 16.0, 64.0):
        fit = fit_for(plan_of("sdxl"), Device(kind="mps", memory_gib=memory_gib, threads=2))
        assert (fit.device, fit.quantised) == ("mps", "none")


def test_a_card_that_is_too_small_is_refused_with_numbers_and_with_what_would_fit() -> None:
    plan = largest_recipe("flux1-dev")
    with pytest.raises(TooSmall) as refused:
        fit_for(plan, gpu(6.0))
    said = str(refused.value)
    assert "flux1-dev at 1024 px and rank 32" in said
    assert "6 GiB" in said
    least = least_gib(plan)
    assert f"a GPU of {least} GiB" in said
    assert fit_for(plan, gpu(least)).offload, "what it says is true"
    assert "768 px instead of 1024" in said
    assert fit_for(replace(plan, resolution=768), gpu(6.0))


def test_rank_optimiser_batch_and_size_of_pictures_count() -> None:
    plan, fit = plan_of("sdxl"), fit_for(plan_of("sdxl"), gpu(48.0))

    def gib(plan: Plan, fit: Fit = fit) -> float:
        needed = peak(plan, fit)
        assert needed is not None
        return needed.gib

    assert gib(replace(plan, rank=128)) > gib(plan)
    assert gib(replace(plan, optimizer="adamw8bit")) < gib(plan) < gib(replace(plan, optimizer="prodigy"))
    assert gib(replace(plan, ema_decay=0.99)) > gib(plan)
    assert gib(replace(plan, resolution=512)) < gib(plan) < gib(plan, replace(fit, micro_batch=2))


def test_an_order_that_goes_on_keeps_its_fit_where_the_device_can_run_it_and_only_there() -> None:
    before = fit_for(plan_of("sdxl"), gpu(24.0))
    assert fit_for(plan_of("sdxl"), gpu(139.0), before) == before
    assert rung_of(before) == "whole"
    smaller = fit_for(plan_of("sdxl"), gpu(8.0), before)
    assert smaller == fit_for(plan_of("sdxl"), gpu(8.0)), "it does not fit on the smaller card"
    assert fit_for(plan_of("sdxl"), gpu(24.0, bf16=False), before).precision == "fp32"
    more_threads = replace(CPU, threads=16)
    pocket = fit_for(plan_of("pocket"), CPU)
    assert fit_for(plan_of("pocket"), more_threads, pocket) == pocket, "sums in another order are another run"
    assert fit_for(plan_of("pocket"), gpu(24.0), pocket).device == "cuda"


def test_a_stored_fit_of_an_earlier_version_means_what_it_meant() -> None:
    fit = Fit.from_json(
        '{"device": "cuda", "precision": "bf16", "micro_batch": 1, "gradient_checkpointing": true, "threads": 2, '
        '"deterministic": false}'
    )
    assert recomputed(fit, (), 5) == "all"
    assert (fit.encoders, fit.quantised, fit.offload, fit.vae_tiles) == ("resident", "none", False, False)


def test_how_it_ran_is_said_in_words() -> None:
    small = fit_sentence(fit_for(largest_recipe("flux1-dev"), gpu(16.0)))
    assert "a graphics card in bf16" in small
    assert "rounded to 4 bits" in small
    assert "base model in main memory" in fit_sentence(fit_for(largest_recipe("flux1-dev"), gpu(8.0)))
    assert "read from disk" in fit_sentence(replace(fit_for(plan_of("pocket"), CPU), caches="disk"))
    assert "the processor (2 threads) in fp32" in fit_sentence(fit_for(plan_of("pocket"), CPU))


def stepped(fit: Fit, work: Work) -> list[str]:
    """All that is given up when memory runs out again and again."""
    left: tuple[Departure, ...] = ()
    while (kind := next_below(fit, left, 3, work)) is not None:
        left = (*left, Departure(step=3, kind=kind, reason="test"))
        assert len(left) < 20
    return [departure.kind for departure in left]


def test_a_step_gives_up_speed_before_it_moves_the_base_and_a_cpu_has_nowhere_to_move_it() -> None:
    whole = fit_for(replace(plan_of("sdxl"), batch_size=4), gpu(139.0))
    tail = ["encoders_streamed", "base_offloaded"]
    assert stepped(whole, "step") == ["micro_batch_halved", "micro_batch_halved", "all_recomputed", *tail]
    assert stepped(whole, "look") == ["looks_halved"] * 4 + ["vae_tiled", *tail]
    assert stepped(whole, "pictures") == ["vae_tiled", *tail]
    assert stepped(whole, "texts") == tail
    assert stepped(fit_for(plan_of("pocket"), CPU), "step") == ["micro_batch_halved"] * 3 + ["all_recomputed"]
    quantised = replace(fit_for(plan_of("sdxl"), gpu(8.0)), quantised="nf4")
    assert stepped(quantised, "texts") == [], "a quantised base stays where it is"


CLASS_PICTURES = replace(plan_of("sdxl"), prior="class_pictures", prior_pictures=1000, latents="sampled")
"""Two megabytes of latents a picture: 2 GiB of caches beside 4 of decoded pictures."""


@pytest.mark.parametrize("device", [CPU, gpu(24.0)])
def test_caches_lie_in_memory_as_long_as_they_fit_and_on_disk_from_there(device: Device) -> None:
    plan = CLASS_PICTURES if device.kind == "cuda" else replace(CLASS_PICTURES, base="pocket", batch_size=4)
    fit = replace(fit_for(plan, device, pictures=24), caches="memory")
    needed = main_gib(plan, fit, 24) + MAIN_SPARE_GIB
    assert fit_for(plan, replace(device, main_gib=needed), pictures=24).caches == "memory"
    little = replace(device, main_gib=needed - 0.001)
    assert fit_for(plan, little, pictures=24) == replace(fit, caches="disk"), "and nothing else is given up for it"
    assert fit_for(plan, little, pictures=23).caches == "memory"
    assert main_gib(plan, replace(fit, caches="disk"), 24) < needed - MAIN_SPARE_GIB - 0.001


def test_encoded_texts_leave_the_card_before_a_rung_is_given_up_for_them() -> None:
    plan = replace(plan_of("flux2-klein-9b"), caption_shuffle=16)
    device = gpu(80.0)
    assert fit_for(plan, device, pictures=1).caches == "memory"
    many = fit_for(plan, device, pictures=40)
    assert (rung_of(many), many.caches) == ("whole", "disk"), "9 GiB of texts"


def test_an_order_that_goes_on_may_move_its_caches_and_nothing_else() -> None:
    before = fit_for(CLASS_PICTURES, gpu(24.0))
    tight = replace(gpu(24.0), main_gib=main_gib(CLASS_PICTURES, before) + MAIN_SPARE_GIB - 0.1)
    assert fit_for(CLASS_PICTURES, tight, before) == replace(before, caches="disk")
    assert fit_for(CLASS_PICTURES, gpu(24.0), replace(before, caches="disk")) == before


def test_a_base_that_main_memory_has_no_room_for_is_refused_with_what_it_takes() -> None:
    plan = largest_recipe("flux1-dev")
    least = replace(gpu(8.0), main_gib=16.0)
    with pytest.raises(TooSmall, match=r"takes (\d+) GiB there, and 16 GiB are free\. Close other programs") as refused:
        fit_for(plan, least)
    said = int(re.findall(r"takes (\d+) GiB", str(refused.value))[0])
    assert fit_for(plan, replace(least, main_gib=float(said))).offload, "what it says is true"


def test_the_card_that_is_named_is_one_for_the_main_memory_that_there_is() -> None:
    plan, tight = largest_recipe("flux1-dev"), replace(gpu(6.0), main_gib=16.0)
    with pytest.raises(TooSmall) as refused:
        fit_for(plan, tight)
    (said,) = re.findall(r"a GPU of (\d+) GiB", str(refused.value))
    assert int(said) > least_gib(plan), "the base cannot lie in so little main memory"
    assert not fit_for(plan, replace(tight, memory_gib=float(said))).offload
    with pytest.raises(TooSmall):
        fit_for(plan, replace(tight, main_gib=1.0))


def test_departures_hold_from_their_step_on() -> None:
    fit = replace(fit_for(plan_of("pocket"), CPU), micro_batch=8)
    left = (
        Departure(step=4, kind="all_recomputed", reason="test"),
        Departure(step=4, kind="vae_tiled", reason="test"),
        Departure(step=6, kind="looks_halved", reason="test"),
    )
    assert [recomputed(fit, left, step) for step in (3, 4)] == ["none", "all"]
    assert [tiled(fit, left, step) for step in (3, 4)] == [False, True]
    assert [looks_at_once(16, left, step) for step in (5, 6)] == [16, 8]
    assert micro_batch(fit, left, 9) == 8
