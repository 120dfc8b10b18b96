"""What each rung of the memory ladder takes on a GPU, beside its estimate.

    python -m tests.benchmarks.rungs                                       the estimates, for every base and card
    python -m tests.benchmarks.rungs --base sdxl --device cuda             measured: random weights of full size, a few steps
    python -m tests.benchmarks.rungs --base sd15 --device cpu --px 64      the same code where there is no GPU: nothing is measured

Denoiser and autoencoder are of full size with random weights; in the place of resident text encoders lies as much memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from storage.domain.bases import BASES
from storage.domain.caches import ENCODINGS
from storage.domain.fit import Fit, recomputed
from storage.domain.footprint import FOOTPRINTS, Peak, peak
from storage.domain.plan import Plan
from storage.domain.rungs import Device, TooSmall, fit_on, ladder, least_gib, rung_of
from trainer.fit import largest_recipe
from trainer.gpu import counted
from trainer.gpu.adapter import attach
from trainer.gpu.families import Base, Words
from trainer.gpu.memory import free, is_out_of_memory
from trainer.gpu.optimizers import optimizer_for
from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.placing import follow, quantise, stream, tile
from trainer.gpu.recomputing import recompute
from trainer.gpu.shapes import full_size

CARDS_GIB = (6, 8, 12, 16, 24, 48, 80)
GIB = float(1 << 30)
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
}
"""https://huggingface.co/stabilityai/sdxl-vae/blob/main/config.json; the others have more latent channels and else the same."""


NO_CUDA = "rungs: PyTorch finds no CUDA GPU here, so there is nothing to measure; --device cpu runs the same code without measuring"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One rung on one device: GiB at most, and seconds of a step."""

    step: float
    draw: float
    encode: float
    step_s: float


def words_of(name: str, count: int, device: torch.device) -> Words:
    said = ENCODINGS[name]
    hidden = torch.randn(count, said.tokens, said.width, device=device, dtype=torch.bfloat16)
    return Words(hidden_BLD=hidden, pooled_BP=torch.randn(count, said.pooled, device=device) if said.pooled else None)


def random_weights(name: str) -> nn.Module:
    """The denoiser with values of a plausible size; what they are does not matter to memory."""
    denoiser = next(iter(full_size(name).values())).bfloat16().to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*denoiser.parameters(), *denoiser.buffers()):
            tensor.normal_(std=0.02) if tensor.is_floating_point() else tensor.zero_()
    return denoiser.requires_grad_(False)


def placed(denoiser: nn.Module, fit: Fit) -> None:
    device = torch.device(fit.device)
    if fit.quantised != "none":
        quantise(denoiser, fit.quantised)
    if fit.offload:
        stream(denoiser, device)
    else:
        denoiser.to(device)


def peak_since(device: torch.device) -> float:
    """GiB at most since the last call."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.synchronize()
    most = torch.cuda.max_memory_allocated() / GIB
    torch.cuda.reset_peak_memory_stats()
    return most


def measured(name: str, plan: Plan, fit: Fit, steps: int) -> Measured:
    """Learns, draws and encodes once each under this fit. Raises torch's error where memory runs out."""
    device = torch.device(fit.device)
    peak_since(device)
    denoiser = random_weights(name)
    placed(denoiser, fit)
    vae = AutoencoderKL(**VAE).to(device).eval().requires_grad_(False)
    if fit.vae_tiles:
        tile(vae)
    resident = 0 if fit.encoders == "streamed" else int(FOOTPRINTS[name].encoders * 1e6 * 2)
    held = torch.empty(resident if device.type == "cuda" else 0, dtype=torch.uint8, device=device)
    base = counted._bare(name, denoiser)
    base.device = device
    adapter = attach(denoiser, base.lora_targets(plan.targets), plan)
    follow(denoiser)
    recompute(denoiser, recomputed(fit, (), 1))
    optimizer = optimizer_for(adapter.parameters.values(), plan)
    seconds = _learn(base, name, plan, fit=fit, optimizer=optimizer, steps=steps)
    step = peak_since(device)
    looks = max(1, fit.looks_at_once) * (2 if plan.guidance > 1 else 1)
    with torch.no_grad():
        _predict(base, name, plan, looks, device)
        side = plan.resolution // 8
        vae.decode(torch.randn(1, 4, side, side, device=device))
        draw = peak_since(device)
        vae.encode(torch.randn(1, 3, plan.resolution, plan.resolution, device=device))
    del held
    return Measured(step=step, draw=draw, encode=peak_since(device), step_s=seconds)


def _learn(base: Base, name: str, plan: Plan, *, fit: Fit, optimizer: torch.optim.Optimizer, steps: int) -> float:
    began = time.monotonic()
    for _ in range(steps):
        for _ in range(plan.batch_size // fit.micro_batch):
            _predict(base, name, plan, fit.micro_batch, base.device).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (time.monotonic() - began) / steps


def _predict(base: Base, name: str, plan: Plan, count: int, device: torch.device) -> torch.Tensor:
    encoding = ENCODINGS[name]
    side = plan.resolution // encoding.factor
    noisy = torch.randn(count, encoding.channels, side, side, device=device)
    shape = Shape(height=plan.resolution, width=plan.resolution)
    framing = [Framing(original=(plan.resolution,) * 2, shape=shape)] * count
    times = torch.full((count,), 500, device=device)
    return base.predict(base.denoiser, noisy, times, words_of(name, count, device), framing)


def estimates() -> list[str]:
    """A table: every base, the smallest card, what each rung takes, and the rung of each card."""
    heads = [name for name, _ in ladder(largest_recipe("sdxl"), Device(kind="cuda", memory_gib=8.0, threads=1))]
    lines = [
        "GiB at the largest recipe (rank 32, 1024 px or the base's own, one picture), estimated; CUDA peaks: not measured",
        "",
        f"| base | least card | {' | '.join(heads)} |",
        "|" + "---|" * (2 + len(heads)),
    ]
    for name in FOOTPRINTS:
        plan = largest_recipe(name)
        rungs = ladder(plan, Device(kind="cuda", memory_gib=8.0, threads=1))
        needed = [found.gib for _, fit in rungs if (found := peak(plan, fit)) is not None]
        lines.append(f"| {name} | {least_gib(plan)} GiB | {' | '.join(f'{gib:.1f}' for gib in needed)} |")
    lines += ["", f"| rung on | {' | '.join(f'{gib} GiB' for gib in CARDS_GIB)} |", "|" + "---|" * (1 + len(CARDS_GIB))]
    lines += [f"| {name} | {' | '.join(_chosen(name, gib) for gib in CARDS_GIB)} |" for name in FOOTPRINTS]
    return lines


def _chosen(name: str, gib: float) -> str:
    try:
        return rung_of(fit_on(largest_recipe(name), Device(kind="cuda", memory_gib=gib, threads=1)))
    except TooSmall:
        return "refused"


def compared(name: str, device: str, px: int, steps: int, file: Path | None) -> list[str]:
    """Every rung of one base on this device, the largest last: a rung that does not fit says so."""
    plan = replace(largest_recipe(name), resolution=px)
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU: not measured"
    lines = [
        f"{name}, {px} px, rank {plan.rank}, {steps} steps; {card}; torch {torch.__version__}, CUDA {torch.version.cuda}",
        "",
        "| rung | estimated | learning | drawing | encoding | s a step |",
        "|---|---|---|---|---|---|",
    ]
    kind: Any = device
    for rung, fit in reversed(list(ladder(plan, Device(kind="cuda", memory_gib=8.0, threads=torch.get_num_threads())))):
        if device == "cpu" and fit.quantised != "none":
            continue
        free()
        lines.append(_row(rung, peak(plan, fit), name, plan, fit=replace(fit, device=kind), steps=steps))
        print(lines[-1], file=sys.stderr)
        if file:
            file.write_text("\n".join(lines) + "\n")
    return lines


def _row(rung: str, guess: Peak | None, name: str, plan: Plan, *, fit: Fit, steps: int) -> str:
    estimated = f"{guess.gib:.1f}" if guess else "-"
    try:
        found = measured(name, plan, fit, steps)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return f"| {rung} | {estimated} | out of memory | | | |"
    cells = ["not measured" if gib != gib else f"{gib:.1f}" for gib in (found.step, found.draw, found.encode)]  # noqa: PLR0124 -- NaN
    return f"| {rung} | {estimated} | {' | '.join(cells)} | {found.step_s:.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=[*FOOTPRINTS])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--px", type=int, help="the base's native size if not given")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write the table as it grows")
    given = parser.parse_args(arguments)
    if given.base is None:
        print("\n".join(estimates()))
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        print(NO_CUDA, file=sys.stderr)
        sys.exit(2)
    px = given.px or BASES[given.base].native_px
    print("\n".join(compared(given.base, given.device, px, given.steps, given.out)))


if __name__ == "__main__":
    main()
