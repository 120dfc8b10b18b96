"""From a run's snapshots to the folder that ships: a stock SDXL pipeline and the judge, in fp16 safetensors.

The way back serves machines that have no snapshots: a run can go on from the exported folder.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from transformers import CLIPModel
from transformers.models.clip import CLIPImageProcessorPil

from trainer.pocket.architecture import (
    PICTURE_PX,
    assemble_pipeline,
    build_clip,
    build_tokenizer,
    load_pipeline,
    text_half,
)
from trainer.pocket.denoiser_training import averaged_parts
from trainer.pocket.model_card import CARD, LICENCE
from trainer.pocket.snapshots import Tensors, load_snapshot, save_snapshot, under
from trainer.pocket.vae import FIRST_COMPONENTS, PatchBasis
from trainer.pocket.vae_training import load_vae

MIB = 2**20
LARGEST_FILE_MIB = 15
LARGEST_FOLDER_MB = 40
CLOCKS = "clocks.json"
CLOCKED = ("vae", "clip", "unet")


def export_run(run: Path, folder: Path) -> Path:
    """Write pipeline, judge, card and licence; the parts of an older export are replaced, the oracle stays."""
    clip = load_clip(run)
    tensors, _ = load_snapshot(run / "unet.safetensors")
    unet, text = averaged_parts(tensors)
    pipeline = assemble_pipeline(
        vae=load_vae(run, load_basis(run)), unet=unet, text_encoder=text, text_encoder_2=text_half(clip)
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(folder)
    save_judge(clip, folder / "judge")
    write_clocks(run, folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "LICENSE").write_text(LICENCE, encoding="utf-8")
    check_sizes(folder)
    return folder


def write_clocks(run: Path, folder: Path) -> None:
    """How far each stage of the run had come: seconds, steps, samples. A run that goes on from the folder goes on from there."""
    clocks = {stage: load_snapshot(run / f"{stage}.safetensors")[1] for stage in CLOCKED}
    (folder / CLOCKS).write_text(json.dumps(clocks, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_clocks(folder: Path) -> dict[str, dict[str, float]]:
    """The inverse of `write_clocks`; all zero for a folder of an older export."""
    if not (folder / CLOCKS).exists():
        return {stage: {"elapsed_s": 0.0, "step": 0, "samples": 0} for stage in CLOCKED}
    clocks: dict[str, dict[str, float]] = json.loads((folder / CLOCKS).read_text(encoding="utf-8"))
    return clocks


def save_judge(clip: CLIPModel, folder: Path) -> None:
    """The whole tiny CLIP with its tokenizer and the numbers that turn a picture into its input."""
    shutil.rmtree(folder, ignore_errors=True)
    clip.half().save_pretrained(folder)
    clip.float()
    build_tokenizer().save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    side = {"height": PICTURE_PX, "width": PICTURE_PX}
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": PICTURE_PX}, crop_size=side, image_mean=half, image_std=half
    )
    processor.save_pretrained(folder)


def check_sizes(folder: Path) -> None:
    """Raise ValueError where a file is over 15 MiB or the folder over 40 MB: the repository carries it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        if path.stat().st_size > LARGEST_FILE_MIB * MIB:
            raise ValueError(f"{path} has more than {LARGEST_FILE_MIB} MiB")
    if sum(path.stat().st_size for path in files) > LARGEST_FOLDER_MB * 1e6:
        raise ValueError(f"{folder} has more than {LARGEST_FOLDER_MB} MB")


def load_basis(run: Path) -> PatchBasis:
    """The patch basis of a run."""
    tensors, _ = load_snapshot(run / "basis.safetensors")
    return PatchBasis(first=tensors["first"], second=tensors["second"], shift=tensors["shift"])


def load_clip(run: Path) -> CLIPModel:
    """The tiny CLIP of a run's last snapshot."""
    tensors, _ = load_snapshot(run / "clip.safetensors")
    clip = build_clip()
    clip.load_state_dict(under("clip", tensors))
    return clip.eval()


def basis_of_vae(vae: AutoencoderKL) -> PatchBasis:
    """Read the basis back from the encoder it was written into."""
    first = vae.encoder.down_blocks[1].resnets[0].conv_shortcut
    second = vae.encoder.down_blocks[2].resnets[0].conv_shortcut
    count, inputs = vae.config.latent_channels, 4 * FIRST_COMPONENTS
    return PatchBasis(
        first=first.weight[:FIRST_COMPONENTS, :12, 0, 0].detach().clone(),
        second=second.weight[:count, :inputs, 0, 0].detach().clone(),
        shift=second.bias[:count].detach().clone(),
    )


def snapshots_from_export(folder: Path, run: Path) -> None:
    """Make a run's snapshots from an exported folder where the run has none: weights and clocks go on, optimizers start afresh."""
    clocks = read_clocks(folder)
    pipeline = load_pipeline(folder)
    basis = basis_of_vae(pipeline.vae)
    clip = CLIPModel.from_pretrained(folder / "judge", dtype=torch.float32, local_files_only=True)
    decoder = [*pipeline.vae.decoder.parameters(), *pipeline.vae.post_quant_conv.parameters()]
    denoiser = [*pipeline.unet.parameters(), *pipeline.text_encoder.parameters()]
    _unless_there(run / "basis.safetensors", {"first": basis.first, "second": basis.second, "shift": basis.shift}, {})
    _unless_there(
        run / "clip.safetensors", {f"clip/{name}": value for name, value in clip.state_dict().items()}, clocks["clip"]
    )
    vae = {f"vae/{name}": value for name, value in pipeline.vae.state_dict().items()}
    vae |= {f"average/{n}": value.detach().clone() for n, value in enumerate(decoder)}
    _unless_there(run / "vae.safetensors", vae, clocks["vae"])
    owners = {f"owner/{number}": value for number, value in enumerate(denoiser)}
    averages = {f"average/{number}": value.clone() for number, value in enumerate(denoiser)}
    _unless_there(run / "unet.safetensors", owners | averages, clocks["unet"])


def _unless_there(path: Path, tensors: Tensors, numbers: dict[str, float]) -> None:
    if not path.exists():
        save_snapshot(path, tensors, numbers)
