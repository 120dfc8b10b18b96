"""A base that cannot be used is refused before anything is ordered or trained, with what it is and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from storage.domain.bases import BASES
from storage.lora_file import write_lora
from tests.storage.test_base_file import SD15, SDXL, UNET, VAE, made
from trainer import alone, bases, worker
from trainer.settings import POCKET
from trainer.weights import faults

LORA = "lora_unet_down_blocks_1_attentions_0_proj_in.lora_down.weight"
Made = Callable[[Path], Path]


def sd15_file(home: Path) -> Path:
    return made(home / "base.safetensors", UNET, VAE, SD15)


def sdxl_file(home: Path) -> Path:
    return made(home / "base.safetensors", UNET, VAE, *SDXL)


def lora_file(home: Path) -> Path:
    return made(home / "rex.safetensors", LORA)


def half_a_file(home: Path) -> Path:
    whole = sdxl_file(home)
    whole.write_bytes(whole.read_bytes()[:-1])
    return whole


def garbage(home: Path) -> Path:
    path = home / "base.safetensors"
    path.write_bytes(b"<!DOCTYPE html><title>Sign in</title>" + bytes(4096))
    return path


def pickled(home: Path) -> Path:
    path = home / "base.ckpt"
    path.write_bytes(b"\x80\x02}q\x00.")
    return path


def lora_folder(home: Path) -> Path:
    write_lora(home / "pytorch_lora_weights.safetensors", {"unet.a.lora_A.weight": np.zeros(1, np.float16)}, {})
    return home


def sdxl_folder(home: Path) -> Path:
    shutil.copytree(POCKET, home / "pocket")
    return home / "pocket"


def folder_without_a_part(home: Path) -> Path:
    folder = sdxl_folder(home)
    index = json.loads((folder / "model_index.json").read_text())
    del index["text_encoder_2"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def half_a_folder(home: Path) -> Path:
    folder = sdxl_folder(home)
    (weights,) = (folder / "vae").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    return folder


BAD: list[tuple[str, Made, str]] = [
    ("sdxl", sd15_file, "the file is SD 1.5, and SDXL is wanted; train on base sd15"),
    ("sdxl", lora_file, "the file is a LoRA, not a base model; name the base that it was made for"),
    ("sdxl", half_a_file, "Get the base model's .safetensors file again"),
    ("sdxl", garbage, "Get the base model's .safetensors file again"),
    ("sd15", pickled, "get the .safetensors version of it"),
    ("flux1-dev", sdxl_file, "this base model is a folder of parts; name the folder"),
    ("flux1-dev", lora_file, "is a LoRA, not a base model"),
    ("z-image", lora_folder, "it holds a LoRA, not a base model; name the base that it was made for"),
    (
        "sd15",
        sdxl_folder,
        "it holds a StableDiffusionXLPipeline, and Stable Diffusion 1.5 is a StableDiffusionPipeline",
    ),
    ("sdxl", folder_without_a_part, "model_index.json names no text_encoder_2"),
    ("sdxl", half_a_folder, "vae/diffusion_pytorch_model.safetensors is damaged or not whole"),
    ("sdxl", lambda home: home, "it holds no base model: model_index.json is missing or damaged"),
]


@pytest.mark.parametrize("case", BAD, ids=[f"{base}-{make.__name__}" for base, make, _ in BAD])
def test_a_base_that_cannot_be_used_is_refused_with_what_it_is_and_what_to_do(
    case: tuple[str, Made, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base, make, says = case
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    place = make(home)
    setting = f"LORASMITH_BASE_{base.upper().replace('-', '_')}"
    monkeypatch.setenv(setting, str(place))
    monkeypatch.setenv("LORASMITH_BASES", base)
    monkeypatch.setenv("LORASMITH_DATA_DIR", str(tmp_path / "data"))
    wanted = f"{place} cannot be used as {BASES[base].title}:"
    for command in (
        lambda: alone.main([str(tmp_path), "--subject", "style", "--out", str(out), "--base", base]),
        lambda: worker.main(),  # noqa: PLW0108 -- its arguments are the command line's
    ):
        monkeypatch.setattr("sys.argv", ["worker"])
        assert command() != 0
        said = " ".join(capsys.readouterr().err.split())
        for words in (wanted, says, f"Set {setting} to a whole", f"lorasmith fetch {base}"):
            assert words.replace(" ", "") in said.replace(" ", ""), said
    assert not out.exists(), "nothing was ordered"
    assert bases.main([]) == 0
    listed = capsys.readouterr().out
    assert says in listed
    assert setting in listed


def test_whole_ones_are_taken(tmp_path: Path) -> None:
    assert faults(POCKET, BASES["pocket"]) == ()
    assert faults(sd15_file(tmp_path), BASES["sd15"]) == ()
    assert faults(sdxl_file(tmp_path), BASES["sdxl"]) == ()
