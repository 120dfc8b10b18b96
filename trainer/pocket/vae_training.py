"""Training of the decoder on textures and scenes; the encoder is fitted, not trained."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss
from torch.optim import AdamW

from trainer.pocket.architecture import build_vae
from trainer.pocket.clip import floats
from trainer.pocket.pools import Pictures
from trainer.pocket.snapshots import (
    Average,
    load_snapshot,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    save_snapshot,
    under,
)
from trainer.pocket.vae import PatchBasis, fit_basis, prepare_decoder, write_encoder

BATCH = 16
RATE = 3e-3
LATENT_NOISE = 0.03


def basis_of(run: Path, textures: Pictures, scenes: Pictures) -> PatchBasis:
    """The basis of a run: fitted once on 2000 textures and 2000 scenes, then kept in `run/basis.safetensors`."""
    path = run / "basis.safetensors"
    if not path.exists():
        fitted = fit_basis(floats(np.concatenate([textures[:2000], scenes[:2000]])))
        save_snapshot(path, {"first": fitted.first, "second": fitted.second, "shift": fitted.shift}, {})
    tensors, _ = load_snapshot(path)
    return PatchBasis(first=tensors["first"], second=tensors["second"], shift=tensors["shift"])


def train_decoder(
    run: Path,
    basis: PatchBasis,
    textures: Pictures,
    scenes: Pictures,
    *,
    minutes: float,
    resume: bool = False,
    device: str = "cpu",
) -> AutoencoderKL:
    """Train the decoder for that many minutes; snapshots go to `run/vae.safetensors` once a minute."""
    torch.manual_seed(0)
    vae = build_vae()
    write_encoder(vae, basis)
    prepare_decoder(vae)
    vae = vae.to(device, memory_format=torch.channels_last)
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    average = Average(parameters, 0.998)
    elapsed, step = _resumed(run, vae, optimizer, average, parameters) if resume else (0.0, 0)
    began, spoken = time.monotonic() - elapsed, elapsed
    numbers = np.random.default_rng(step)
    while (now := time.monotonic() - began) < 60 * minutes:
        share = now / (60 * minutes)
        for group in optimizer.param_groups:
            group["lr"] = 1e-5 + (RATE - 1e-5) * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * share))
        pictures_BCHW = _varied(_batch(textures, scenes, numbers).to(device), numbers)
        loss = _loss(vae, basis, pictures_BCHW)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.follow(parameters)
        step += 1
        if now - spoken > 60:
            spoken = now
            _save(run, vae, optimizer, average, {"elapsed_s": now, "step": step})
            print(f"{now:5.0f} s  step {step}  loss {loss.item():.4f}", flush=True)  # noqa: T201
    _save(run, vae, optimizer, average, {"elapsed_s": 60 * minutes, "step": step})
    average.write(parameters)
    return vae.eval()


def load_vae(run: Path, basis: PatchBasis) -> AutoencoderKL:
    """The autoencoder of a run's last snapshot, with averaged weights."""
    vae = build_vae()
    write_encoder(vae, basis)
    tensors, _ = load_snapshot(run / "vae.safetensors")
    vae.load_state_dict(under("vae", tensors))
    _write_average(vae, under("average", tensors))
    return vae.eval()


@torch.no_grad()
def _write_average(vae: AutoencoderKL, average: dict[str, Tensor]) -> None:
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for number, parameter in enumerate(parameters):
        parameter.copy_(average[str(number)])


def _batch(textures: Pictures, scenes: Pictures, numbers: np.random.Generator) -> Tensor:
    half = BATCH // 2
    rows = np.sort(numbers.integers(0, len(textures), half)), np.sort(numbers.integers(0, len(scenes), half))
    return floats(np.concatenate([textures[rows[0]], scenes[rows[1]]]))


def _varied(pictures_BCHW: Tensor, numbers: np.random.Generator) -> Tensor:
    """Flips, permuted colour channels and negatives: eight times the pictures for nothing."""
    if numbers.random() < 0.5:
        pictures_BCHW = pictures_BCHW.flip(3)
    if numbers.random() < 0.3:
        pictures_BCHW = pictures_BCHW.transpose(2, 3)
    if numbers.random() < 0.5:
        pictures_BCHW = pictures_BCHW[:, torch.from_numpy(numbers.permutation(3)).to(pictures_BCHW.device)]
    return -pictures_BCHW if numbers.random() < 0.3 else pictures_BCHW


def _loss(vae: AutoencoderKL, basis: PatchBasis, pictures_BCHW: Tensor) -> Tensor:
    """Absolute error + 3 x squared error + 1/4 x absolute error of neighbour differences."""
    latents_BCHW = basis.encode(pictures_BCHW)
    noisy_BCHW = (latents_BCHW + LATENT_NOISE * torch.randn_like(latents_BCHW)).contiguous(
        memory_format=torch.channels_last
    )
    with torch.autocast(pictures_BCHW.device.type, torch.bfloat16):
        drawn_BCHW = vae.decode(noisy_BCHW).sample
    drawn_BCHW = drawn_BCHW.float()
    slopes = sum(l1_loss(drawn_BCHW.diff(dim=side), pictures_BCHW.diff(dim=side)) for side in (2, 3))
    return l1_loss(drawn_BCHW, pictures_BCHW) + 3 * mse_loss(drawn_BCHW, pictures_BCHW) + 0.25 * slopes


def _save(run: Path, vae: AutoencoderKL, optimizer: AdamW, average: Average, numbers: dict[str, float]) -> None:
    tensors = {
        **prefixed("vae", vae.state_dict()),
        **prefixed("average", {str(place): value for place, value in enumerate(average.values)}),
        **prefixed("adam", optimizer_tensors(optimizer)),
    }
    save_snapshot(run / "vae.safetensors", tensors, numbers)


def _resumed(
    run: Path, vae: AutoencoderKL, optimizer: AdamW, average: Average, parameters: list[torch.nn.Parameter]
) -> tuple[float, int]:
    tensors, numbers = load_snapshot(run / "vae.safetensors")
    vae.load_state_dict(under("vae", tensors))
    if adam := under("adam", tensors):
        restore_optimizer(optimizer, adam)
    kept = under("average", tensors)
    average.values = [kept[str(place)].to(parameter.device) for place, parameter in enumerate(parameters)]
    average.steps = int(numbers["step"])
    return numbers["elapsed_s"], int(numbers["step"])
