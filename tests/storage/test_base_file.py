"""What a base model in one file is, read off its header alone; what cannot be trained on is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from storage.base_file import BaseFile, read_base_file
from storage.domain.errors import FileRefused
from storage.lora_file import write_lora

UNET = "model.diffusion_model.input_blocks.0.0.weight"
VAE = "first_stage_model.decoder.conv_in.weight"
SD15 = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
SDXL = (
    "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight",
    "conditioner.embedders.1.model.positional_embedding",
)


def made(path: Path, *names: str, channels: int = 4, metadata: Mapping[str, str] | None = None) -> Path:
    one = np.zeros((1, channels, 1, 1), np.float16)
    write_lora(path, {name: one if name == UNET else np.zeros(1, np.float16) for name in names}, dict(metadata or {}))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "base.safetensors"


def test_families_are_told_by_their_text_encoders(file: Path) -> None:
    assert read_base_file(made(file, UNET, VAE, SD15)).family == "sd15"
    assert read_base_file(made(file, UNET, VAE, *SDXL)).family == "sdxl"


@pytest.mark.parametrize(
    ("marks", "metadata", "wanted"),
    [
        ((), {}, ("epsilon", False)),
        (("v_pred",), {}, ("v_prediction", False)),
        (("v_pred", "ztsnr"), {}, ("v_prediction", True)),
        (("ztsnr",), {}, ("epsilon", False)),
        ((), {"modelspec.prediction_type": "epsilon"}, ("epsilon", False)),
        ((), {"modelspec.prediction_type": "v"}, ("v_prediction", False)),
        ((), {"modelspec.prediction_type": "v", "ss_zero_terminal_snr": "True"}, ("v_prediction", True)),
    ],
)
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_what_it_predicts_is_read_off_marks_and_header(
    family: str, marks: tuple[str, ...], metadata: dict[str, str], wanted: tuple[str, bool], file: Path
) -> None:
    encoders = SDXL if family == "sdxl" else (SD15,)
    found = read_base_file(made(file, UNET, VAE, *encoders, *marks, metadata=metadata), family)
    assert found == BaseFile(family=family, prediction=wanted[0], zero_terminal=wanted[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "channels", "said"),
    [
        (("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",), 4, "is a LoRA, not a base model"),
        (("unet.mid_block.attentions.0.proj_in.lora_A.weight",), 4, "is a LoRA, not a base model"),
        (("model.diffusion_model.double_blocks.0.img_attn.qkv.weight",), 4, "a FLUX model"),
        (("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",), 4, "an SD 3 model"),
        ((UNET, VAE, "cond_stage_model.model.ln_final.weight"), 4, "an SD 2 model"),
        ((UNET, VAE, "conditioner.embedders.0.model.ln_final.weight"), 4, "SDXL's refiner"),
        (("down_blocks.0.resnets.0.conv1.weight",), 4, "diffusers folder"),
        ((UNET,), 4, "no text encoder"),
        ((UNET, SD15), 4, "VAE baked in"),
        ((UNET, VAE, SD15), 9, "an inpainting model"),
        ((UNET, VAE, *SDXL), 8, "edits pictures"),
        ((UNET, VAE, *SDXL, "edm_mean"), 4, "an EDM model"),
        (("whatever",), 4, "no SD 1.5 or SDXL checkpoint"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_name(
    names: tuple[str, ...], channels: int, said: str, file: Path
) -> None:
    with pytest.raises(FileRefused, match=said):
        read_base_file(made(file, *names, channels=channels))


def test_another_family_than_the_one_wanted_is_refused_with_its_base(file: Path) -> None:
    with pytest.raises(FileRefused, match=r"is SD 1\.5, and SDXL is wanted; train on base sd15"):
        read_base_file(made(file, UNET, VAE, SD15), "sdxl")


def test_a_prediction_that_nobody_knows_is_refused(file: Path) -> None:
    with pytest.raises(FileRefused, match="predicts 'sample'"):
        read_base_file(made(file, UNET, VAE, SD15, metadata={"modelspec.prediction_type": "sample"}))


def test_a_half_finished_download_is_told_as_such(file: Path) -> None:
    made(file, UNET, VAE, SD15)
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(FileRefused, match=r"cut short.*Get the base model's \.safetensors file again"):
        read_base_file(file)
    file.write_bytes(b"")
    with pytest.raises(FileRefused, match="empty"):
        read_base_file(file)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_a_pickle_is_never_opened(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"can run code when opened.*get the \.safetensors version"):
        read_base_file(tmp_path / name)  # it is not even there
    disguised = tmp_path / "renamed.safetensors"
    for first in (b"PK\x03\x04" + bytes(64), b"\x80\x02}q\x00" + bytes(64)):
        disguised.write_bytes(first)
        with pytest.raises(FileRefused, match="pickle"):
            read_base_file(disguised)
